//! Logging in by OpenID Connect, against an issuer on real sockets that does all that is right, and one thing that is wrong.

// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod issuer;
mod log_in;
mod misbehaviour;

use chappe::env::{Clock, Random};
use chappe::oidc::{Identity, Oidc, OidcError, Settings};
use chappe::secret::Secret;
use chappe::vault::{MasterKey, Vault};
use chappe_core::Time;
use issuer::{CLIENT_ID, CLIENT_SECRET, Issuer, NOW_S};
use std::time::Duration;

/// A server's side of logging in, and its clock.
struct House {
    oidc: Oidc,
    clock: Clock,
}

impl House {
    /// One that believes this issuer.
    fn believing(issuer: &Issuer) -> House {
        House::set_up(settings(issuer))
    }

    fn set_up(settings: Settings) -> House {
        let clock = Clock::manual(Time::from_secs(NOW_S));
        let sealer = Vault::new(&MasterKey::from_bytes([1; 32])).login_sealer();
        let oidc = Oidc::new(settings, sealer, clock.clone(), Random::seeded(1));
        House { oidc, clock }
    }

    /// A person logs in: is sent to the issuer, agrees, and comes back.
    async fn log_in(&self, issuer: &Issuer) -> Result<Identity, OidcError> {
        let begun = self.oidc.begin("/").await?;
        let query = issuer.agree(&begun.redirect_url);
        self.oidc.finish(&begun.cookie, &query).await.map(|(identity, _)| identity)
    }
}

/// What an operator sets to believe this issuer.
fn settings(issuer: &Issuer) -> Settings {
    Settings {
        issuer: issuer.url.clone(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Secret::from(CLIENT_SECRET),
        scopes: "openid profile phone".to_owned(),
        redirect_url: "https://codes.example/login/telegram/callback".to_owned(),
        plain_loopback: true,
        // Long enough for a machine under load; tests of patience set less.
        answer_max: Duration::from_secs(60),
    }
}
