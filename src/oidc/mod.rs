//! Logging in by OpenID Connect: an issuer, which is Telegram unless another one is set, says who a person is.
//!
//! A log-in has two ends. [`Oidc::begin`] sends the browser to the issuer with what binds the answer to it: a state for
//! the way through the browser, a nonce for the token, and a verifier for the code (RFC 7636). The browser keeps all three
//! sealed in a cookie, so that this server keeps nothing. [`Oidc::finish`] exchanges the code with which the browser comes
//! back, over TLS, for an ID token, and believes that only under a signature of the issuer.
//!
//! Telegram's own ways (<https://core.telegram.org/bots/telegram-login>): its key set has keys of four kinds, and operators
//! choose by which one tokens are signed; there is no other place to ask about a person than the token; and tokens without
//! the nonce that was sent were seen. A missing nonce is therefore let pass where the issuer promises to check verifiers,
//! which bind a token to its log-in just as well (RFC 9700 §2.1.1); a wrong one never is.

mod cache;
mod error;
mod issuer;
mod keys;
mod metadata;
mod pending;
mod settings;
mod token;

pub use error::{OidcError, TokenFault};
pub use pending::PENDING_MAX;
pub use settings::{Configured, InvalidSettings, Settings};

use crate::env::{Clock, Random};
use crate::vault::Sealer;
use aws_lc_rs::constant_time;
use chappe_core::{Phone, Time};
use issuer::{Issuer, printable};
use metadata::Metadata;
use pending::Pending;
use token::{Claims, Expected, Unverified};

/// Where the issuer sends browsers back to, below the address of this server.
pub const CALLBACK_PATH: &str = "/login/telegram/callback";
/// The longest query that is read, in bytes.
const QUERY_MAX_BYTES: usize = 8 * 1024;

/// A way to log in that an issuer vouches for.
#[derive(Debug)]
pub struct Oidc {
    issuer: Issuer,
    sealer: Sealer,
    clock: Clock,
    random: Random,
}

/// A log-in that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Where to send the browser.
    pub redirect_url: String,
    /// What the browser has to bring back, within [`PENDING_MAX`]: in a cookie that no script reads and that comes along
    /// when the issuer sends the browser back (`HttpOnly`, `SameSite=Lax`), and is deleted then.
    pub cookie: String,
}

/// Whom the issuer says a person is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the issuer calls the person, for this client, for good. Never given to another person.
    pub subject: String,
    /// The person's number, if the person lets the issuer tell it.
    pub phone: Option<Phone>,
    /// What the person is called.
    pub name: Option<String>,
}

impl Oidc {
    /// A way to log in as `settings` say.
    pub fn new(settings: Settings, sealer: Sealer, clock: Clock, random: Random) -> Oidc {
        Oidc { issuer: Issuer::new(settings), sealer, clock, random }
    }

    /// Begins a log-in, after which the person goes to `then`. It comes back as it was given, so whoever calls judges it
    /// first; one of more than a kibibyte comes back empty.
    pub async fn begin(&self, then: &str) -> Result<Begun, OidcError> {
        let begun = self.try_begin(then).await;
        begun.inspect_err(|error| tracing::warn!(%error, "a log-in cannot begin"))
    }

    async fn try_begin(&self, then: &str) -> Result<Begun, OidcError> {
        let now = self.clock.now();
        let metadata = self.issuer.metadata(now).await?;
        let pending = Pending::draw(&self.random, now, then)?;
        let settings = self.issuer.settings();
        let mut url = metadata.authorization.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &settings.redirect_url)
            .append_pair("scope", &settings.scopes)
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &pending.challenge())
            .append_pair("code_challenge_method", "S256");
        let cookie = pending.seal(&self.sealer, &self.random, &self.client())?;
        Ok(Begun { redirect_url: url.into(), cookie })
    }

    /// Finishes the log-in that `cookie` is of, with the query that the browser came back with. Says who the person is, and
    /// where they go now.
    pub async fn finish(&self, cookie: &str, query: &str) -> Result<(Identity, String), OidcError> {
        let finished = self.try_finish(cookie, query).await;
        finished.inspect_err(|error| match error.is_of_the_person() {
            true => tracing::info!(%error, "a log-in does not come about"),
            false => tracing::warn!(%error, "a log-in fails"),
        })
    }

    async fn try_finish(&self, cookie: &str, query: &str) -> Result<(Identity, String), OidcError> {
        let now = self.clock.now();
        let callback = Callback::parse(query)?;
        let pending = Pending::open(cookie, &self.sealer, now, &self.client())?;
        // Before anything else: until then, the answer may be one that a stranger made this browser bring.
        let state = callback.state.ok_or(OidcError::BadCallback("it has no state"))?;
        constant_time::verify_slices_are_equal(state.as_bytes(), pending.state.as_bytes())
            .map_err(|_| OidcError::StateMismatch)?;
        let metadata = self.issuer.metadata(now).await?;
        let settings = self.issuer.settings();
        match callback.issuer {
            Some(issuer) if issuer != settings.issuer => return Err(OidcError::StateMismatch),
            None if metadata.names_itself => return Err(OidcError::BadCallback("it names no issuer")),
            Some(_) | None => {}
        }
        if let Some(error) = callback.error {
            return Err(match error.as_str() {
                "access_denied" => OidcError::Denied,
                error => OidcError::Refused(printable(error)),
            });
        }
        let code = callback.code.ok_or(OidcError::BadCallback("it has no code"))?;
        let token = self.issuer.exchange(&metadata, &code, &pending.verifier).await?;
        // The exchange took its time.
        let now = self.clock.now();
        let claims = self.verify(now, &metadata, &token).await?;
        let expected = Expected {
            issuer: &settings.issuer,
            client_id: &settings.client_id,
            nonce: &pending.nonce,
            pkce: metadata.pkce,
            now,
        };
        Ok((claims.judge(&expected)?, pending.then))
    }

    /// Reads a token that a key of the issuer signed. If none did, perhaps the keys have changed, and it is tried once more
    /// with those of today.
    async fn verify(&self, now: Time, metadata: &Metadata, token: &str) -> Result<Claims, OidcError> {
        let token = Unverified::parse(token)?;
        let keys = self.issuer.keys(now, metadata).await?;
        let verify =
            |keys: &keys::KeySet| token.verify(keys.for_token(token.algorithm, token.kid.as_deref()));
        match verify(&keys) {
            Err(fault @ (TokenFault::KeyUnknown | TokenFault::Signature)) => {
                match self.issuer.newer_keys(now, metadata, &keys).await? {
                    Some(newer) => Ok(verify(&newer)?),
                    None => Err(fault.into()),
                }
            }
            verified => Ok(verified?),
        }
    }

    /// Which client of which issuer a cookie is for: one that was sealed for another does not open.
    fn client(&self) -> Vec<u8> {
        let Settings { issuer, client_id, .. } = self.issuer.settings();
        format!("{issuer} {client_id}").into_bytes()
    }
}

/// What the browser came back with (RFC 6749 §4.1.2).
#[derive(Default)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

impl Callback {
    fn parse(query: &str) -> Result<Callback, OidcError> {
        if query.len() > QUERY_MAX_BYTES {
            return Err(OidcError::BadCallback("it is too long"));
        }
        let mut callback = Callback::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "state" => &mut callback.state,
                "code" => &mut callback.code,
                "error" => &mut callback.error,
                "iss" => &mut callback.issuer,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(OidcError::BadCallback("it says something twice"));
            }
        }
        Ok(callback)
    }
}
