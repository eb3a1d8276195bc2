//! A log-in that was begun: what the browser keeps of it, sealed, until it comes back.

use super::error::OidcError;
use crate::env::{NoEntropy, Random};
use crate::vault::Sealer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chappe_core::Time;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

/// How long a person may take at the issuer.
pub const PENDING_MAX: Duration = Duration::from_secs(600);
/// The longest cookie that is looked at, in bytes: as browsers keep them.
const COOKIE_MAX_BYTES: usize = 4096;
/// The longest place to go to afterwards, in bytes: with it, the cookie stays well below what browsers keep.
const THEN_MAX_BYTES: usize = 1024;

/// A log-in that was begun.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    /// Comes back with the browser: the answer is one to this log-in. 128 bits; Telegram takes no long ones.
    pub(super) state: String,
    /// Comes back in the token: the token is an answer to this log-in. 128 bits.
    pub(super) nonce: String,
    /// Shown when the code is exchanged: whoever else has the code cannot use it (RFC 7636). 256 bits.
    pub(super) verifier: String,
    /// Where the person goes afterwards.
    pub(super) then: String,
    until_s: i64,
}

impl Pending {
    /// Begins a log-in.
    pub(super) fn draw(random: &Random, now: Time, then: &str) -> Result<Pending, NoEntropy> {
        Ok(Pending {
            state: draw::<16>(random)?,
            nonce: draw::<16>(random)?,
            verifier: draw::<32>(random)?,
            then: if then.len() <= THEN_MAX_BYTES { then.to_owned() } else { String::new() },
            until_s: (now + PENDING_MAX).secs(),
        })
    }

    /// What the issuer is told of the verifier, by its method `S256`.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }

    /// Seals it for the browser. It opens for this `client` of an issuer alone.
    pub(super) fn seal(&self, sealer: &Sealer, random: &Random, client: &[u8]) -> Result<String, OidcError> {
        let mut drawn = [0; 12];
        random.fill(&mut drawn)?;
        let plain = serde_json::to_vec(self).unwrap_or_default(); // Texts and a number: nothing in it can fail.
        Ok(URL_SAFE_NO_PAD.encode(sealer.seal_drawn(drawn, client, &plain)))
    }

    /// Opens what the browser kept, if it is of this server and not too old.
    pub(super) fn open(
        cookie: &str,
        sealer: &Sealer,
        now: Time,
        client: &[u8],
    ) -> Result<Pending, OidcError> {
        if cookie.len() > COOKIE_MAX_BYTES {
            return Err(OidcError::Unbegun);
        }
        let sealed = URL_SAFE_NO_PAD.decode(cookie).map_err(|_| OidcError::Unbegun)?;
        let plain = sealer.open_drawn(client, &sealed).map_err(|_| OidcError::Unbegun)?;
        let pending: Pending = serde_json::from_slice(&plain).map_err(|_| OidcError::Unbegun)?;
        if now.secs() >= pending.until_s { Err(OidcError::Unbegun) } else { Ok(pending) }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(…)")
    }
}

/// Random bytes, as letters, digits, `-` and `_`.
fn draw<const BYTES: usize>(random: &Random) -> Result<String, NoEntropy> {
    let mut drawn = [0; BYTES];
    random.fill(&mut drawn)?;
    Ok(URL_SAFE_NO_PAD.encode(drawn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{MasterKey, Vault};

    fn sealer(byte: u8) -> Sealer {
        Vault::new(&MasterKey::from_bytes([byte; 32])).login_sealer()
    }

    #[test]
    fn what_the_browser_keeps_opens_here_and_in_time() {
        let (random, now) = (Random::seeded(1), Time::from_secs(1_000));
        let pending = Pending::draw(&random, now, "/requests?day=7").unwrap();
        let cookie = pending.seal(&sealer(1), &random, b"client").unwrap();
        let open = |sealer: &Sealer, now, client: &[u8]| Pending::open(&cookie, sealer, now, client);
        let opened = open(&sealer(1), now, b"client").unwrap();
        assert_eq!((&opened.state, &opened.nonce), (&pending.state, &pending.nonce));
        assert_eq!((&opened.verifier, opened.then.as_str()), (&pending.verifier, "/requests?day=7"));
        assert!(open(&sealer(1), now + PENDING_MAX - Duration::from_secs(1), b"client").is_ok());
        for (late, why) in [
            (open(&sealer(1), now + PENDING_MAX, b"client"), "too late"),
            (open(&sealer(2), now, b"client"), "another key"),
            (open(&sealer(1), now, b"another"), "another client"),
        ] {
            assert_eq!(late.unwrap_err(), OidcError::Unbegun, "{why}");
        }
    }

    #[test]
    fn no_other_cookie_opens() {
        let (random, now) = (Random::seeded(1), Time::from_secs(1_000));
        let cookie = Pending::draw(&random, now, "/").unwrap().seal(&sealer(1), &random, b"").unwrap();
        let shortened = (0..cookie.len()).map(|length| cookie[..length].to_owned());
        let long = std::iter::once("A".repeat(COOKIE_MAX_BYTES + 1));
        for cookie in shortened.chain(long).chain(["é".to_owned(), format!("{cookie}=")]) {
            assert_eq!(Pending::open(&cookie, &sealer(1), now, b"").unwrap_err(), OidcError::Unbegun);
        }
    }

    #[test]
    fn nothing_is_drawn_twice_and_the_cookie_fits_a_browser() {
        let (random, now) = (Random::seeded(1), Time::from_secs(1_000));
        let then = format!("/{}", "x".repeat(THEN_MAX_BYTES - 1));
        let (one, two) =
            [then.clone(), format!("{then}x")].map(|then| Pending::draw(&random, now, &then).unwrap()).into();
        let drawn = [&one.state, &one.nonce, &one.verifier, &two.state, &two.nonce, &two.verifier]
            .map(String::as_str);
        assert_eq!(drawn.map(str::len), [22, 22, 43, 22, 22, 43]);
        assert_eq!(std::collections::BTreeSet::from(drawn).len(), drawn.len());
        assert_eq!((one.then.as_str(), two.then.as_str()), (then.as_str(), ""));
        assert!(one.seal(&sealer(1), &random, b"").unwrap().len() < COOKIE_MAX_BYTES / 2);
    }

    /// The example of RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let mut pending = Pending::draw(&Random::seeded(1), Time::from_secs(0), "/").unwrap();
        pending.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        assert_eq!(pending.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
