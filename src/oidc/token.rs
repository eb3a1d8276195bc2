//! An ID token (OpenID Connect Core 1.0 §2): read, verified and judged, each step making what the next one needs, so that
//! nothing of a token can be used before its signature holds.
//!
//! Written here since no JWT library that builds on AWS-LC knows ES256K, which Telegram lets operators choose, and since
//! reading three parts of Base64 is the small part of it.

use super::Identity;
use super::error::TokenFault;
use super::keys::{Algorithm, Key};
use aws_lc_rs::constant_time;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chappe_core::{Phone, Time};
use serde::Deserialize;
use serde_json::{Number, Value};
use std::time::Duration;

/// The longest token that is read, in bytes.
const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// How far the issuer's clock may be off ours. Telegram's tokens live for half a minute or so.
const LEEWAY: Duration = Duration::from_secs(60);
/// The longest subject, in bytes (Core §2).
const SUBJECT_MAX_BYTES: usize = 255;
/// The longest name that is taken over, in characters.
const NAME_MAX_CHARS: usize = 100;

/// A token as it came, in the compact form of RFC 7515. Nothing in it is believed yet.
pub(super) struct Unverified<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    signed: &'a [u8],
    signature: Vec<u8>,
    payload: Vec<u8>,
}

/// What a token says, under a signature that holds.
#[derive(Debug)]
pub(super) struct Claims(Body);

/// What a token must say to be an answer to a log-in.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// Whether the issuer promises to check the verifier of a code, which binds the code, and so the token, to this
    /// log-in as a nonce does.
    pub(super) pkce: bool,
    pub(super) now: Time,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Body {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: Number,
    iat: Number,
    nbf: Option<Number>,
    nonce: Option<String>,
    name: Option<Value>,
    phone_number: Option<Value>,
    phone_number_verified: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Unverified<'_> {
    /// Takes a token apart.
    pub(super) fn parse(token: &str) -> Result<Unverified<'_>, TokenFault> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(TokenFault::Malformed);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed);
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::Malformed)?;
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let Header { alg, kid, crit } = serde_json::from_slice(&header).map_err(|_| TokenFault::Malformed)?;
        if crit.is_some() {
            return Err(TokenFault::Critical);
        }
        let algorithm = Algorithm::parse(&alg).ok_or(TokenFault::Algorithm)?;
        Ok(Unverified { algorithm, kid, signed: signed.as_bytes(), signature, payload })
    }

    /// Reads what a token says if one of these keys signed it.
    pub(super) fn verify<'k>(&self, keys: impl Iterator<Item = &'k Key>) -> Result<Claims, TokenFault> {
        let mut keys = keys.peekable();
        if keys.peek().is_none() {
            return Err(TokenFault::KeyUnknown);
        }
        if !keys.any(|key| key.verifies(self.signed, &self.signature)) {
            return Err(TokenFault::Signature);
        }
        serde_json::from_slice(&self.payload).map(Claims).map_err(|_| TokenFault::Malformed)
    }
}

impl Claims {
    /// Whom the token is about, if it is an answer to this log-in (Core §3.1.3.7).
    pub(super) fn judge(self, expected: &Expected<'_>) -> Result<Identity, TokenFault> {
        let Claims(body) = self;
        if body.iss != expected.issuer {
            return Err(TokenFault::Issuer);
        }
        // Another audience beside us would be one that we trust not to use the token here, and we trust none.
        let ours = match &body.aud {
            Audience::One(client) => client == expected.client_id,
            Audience::Several(clients) => {
                matches!(clients.as_slice(), [client] if client == expected.client_id)
            }
        };
        if !ours || body.azp.as_ref().is_some_and(|party| party != expected.client_id) {
            return Err(TokenFault::Audience);
        }
        let (expires, issued) = (moment(&body.exp)?, moment(&body.iat)?);
        let not_before = body.nbf.as_ref().map(moment).transpose()?;
        if expires + LEEWAY <= expected.now {
            return Err(TokenFault::Expired);
        }
        if issued.max(not_before.unwrap_or(issued)) > expected.now + LEEWAY {
            return Err(TokenFault::NotYetValid);
        }
        match &body.nonce {
            Some(nonce) => {
                constant_time::verify_slices_are_equal(nonce.as_bytes(), expected.nonce.as_bytes())
                    .map_err(|_| TokenFault::Nonce)?;
            }
            None if expected.pkce => {}
            None => return Err(TokenFault::NonceMissing),
        }
        if body.sub.is_empty() || body.sub.len() > SUBJECT_MAX_BYTES {
            return Err(TokenFault::Malformed);
        }
        Ok(Identity { phone: body.phone(), name: body.name(), subject: body.sub })
    }
}

impl Body {
    /// The number, if it can be read and the issuer does not say that it never verified it. OpenID Connect lets numbers be
    /// written with spaces, hyphens and brackets (Core §5.1).
    fn phone(&self) -> Option<Phone> {
        if self.phone_number_verified.as_ref().is_some_and(|verified| *verified != Value::Bool(true)) {
            return None;
        }
        let written = self.phone_number.as_ref()?.as_str()?;
        let number: String = written.chars().filter(|char| !matches!(char, ' ' | '-' | '(' | ')')).collect();
        Phone::parse(&number)
    }

    /// What the person is called, on one line.
    fn name(&self) -> Option<String> {
        let written = self.name.as_ref()?.as_str()?;
        let line: String = written.chars().filter(|char| !char.is_control()).take(NAME_MAX_CHARS).collect();
        let name = line.trim();
        (!name.is_empty()).then(|| name.to_owned())
    }
}

/// A moment in seconds since the epoch (RFC 7519 §2). It may have a fraction, which is left off.
fn moment(number: &Number) -> Result<Time, TokenFault> {
    let text = number.to_string();
    let whole = text.split('.').next().unwrap_or_default();
    whole.parse().map(Time::from_secs).map_err(|_| TokenFault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::keys::KeySet;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    /// A key set with a key of each kind, and a token by each. OpenSSL made them, by way of Node.js.
    const GOLDEN: &str = include_str!("golden.json");

    fn golden() -> (KeySet, BTreeMap<String, String>) {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let keys = KeySet::parse(GOLDEN.as_bytes()).unwrap();
        (keys, serde_json::from_value(golden["tokens"].clone()).unwrap())
    }

    fn verify(keys: &KeySet, token: &str) -> Result<Claims, TokenFault> {
        let token = Unverified::parse(token)?;
        token.verify(keys.for_token(token.algorithm, token.kid.as_deref()))
    }

    fn expected(pkce: bool) -> Expected<'static> {
        Expected {
            issuer: "https://issuer.example",
            client_id: "client",
            nonce: "n-0S6_WzA2Mj",
            pkce,
            now: Time::from_secs(1_700_000_010),
        }
    }

    /// A pair of keys, and the set that has the public one.
    fn ed25519() -> (Ed25519KeyPair, KeySet) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).to_string();
        (pair, KeySet::parse(set.as_bytes()).unwrap())
    }

    fn sign(pair: &Ed25519KeyPair, header: &[u8], payload: &[u8]) -> String {
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = encode(pair.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }

    #[test]
    fn tokens_by_another_implementation_hold_under_each_kind_of_key() {
        let (keys, tokens) = golden();
        assert_eq!(tokens.keys().collect::<Vec<_>>(), ["ES256", "ES256K", "EdDSA", "RS256"]);
        for (algorithm, token) in tokens {
            let identity = verify(&keys, &token).unwrap().judge(&expected(false)).unwrap();
            assert_eq!(
                (identity.subject.as_str(), identity.name.as_deref()),
                ("4711", Some("Claude Chappe"))
            );
            assert_eq!(identity.phone, Phone::parse("391234567890"), "{algorithm}");
        }
    }

    #[test]
    fn a_token_with_any_character_changed_holds_no_more() {
        let (keys, tokens) = golden();
        for token in tokens.values() {
            for at in 0..token.len() {
                let mut changed = token.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).unwrap();
                assert!(verify(&keys, &changed).is_err(), "at {at}: {changed}");
                assert!(verify(&keys, &token[..at]).is_err(), "cut at {at}: {token}");
            }
        }
    }

    #[test]
    fn a_key_is_used_for_its_own_method_alone() {
        let (keys, tokens) = golden();
        let methods = ["RS256", "ES256", "ES256K", "EdDSA"];
        for (algorithm, token) in &tokens {
            let signature = token.rsplit_once('.').unwrap().1;
            for claimed in methods.iter().filter(|claimed| *claimed != algorithm) {
                let header = json!({"alg": claimed, "kid": format!("key-{algorithm}")}).to_string();
                let payload = token.split('.').nth(1).unwrap();
                let forged = format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header));
                assert_eq!(
                    verify(&keys, &forged).unwrap_err(),
                    TokenFault::KeyUnknown,
                    "{algorithm} as {claimed}"
                );
            }
        }
    }

    #[test]
    fn a_token_that_is_none_of_ours_is_refused_for_what_it_is() {
        let (pair, keys) = ed25519();
        let signed = |header: &str| sign(&pair, header.as_bytes(), b"{}");
        for (token, fault) in [
            (String::new(), TokenFault::Malformed),
            ("..".to_owned(), TokenFault::Malformed),
            ("a.b".to_owned(), TokenFault::Malformed),
            (format!("{}.e30.", signed("{}")), TokenFault::Malformed),
            (signed("{}"), TokenFault::Malformed),
            (signed("[]"), TokenFault::Malformed),
            (signed(r#"{"alg":["EdDSA"]}"#), TokenFault::Malformed),
            (signed(r#"{"alg":"none","alg":"EdDSA"}"#), TokenFault::Malformed),
            (signed(r#"{"alg":"EdDSA","kid":7}"#), TokenFault::Malformed),
            (format!("{}=", signed(r#"{"alg":"EdDSA"}"#)), TokenFault::Malformed),
            (format!(" {}", signed(r#"{"alg":"EdDSA"}"#)), TokenFault::Malformed),
            (
                signed(&format!(r#"{{"alg":"EdDSA","x":"{}"}}"#, "x".repeat(TOKEN_MAX_BYTES))),
                TokenFault::Malformed,
            ),
            (signed(r#"{"alg":"none"}"#), TokenFault::Algorithm),
            (signed(r#"{"alg":"None"}"#), TokenFault::Algorithm),
            (signed(r#"{"alg":""}"#), TokenFault::Algorithm),
            (signed(r#"{"alg":"HS256"}"#), TokenFault::Algorithm),
            (signed(r#"{"alg":"PS256"}"#), TokenFault::Algorithm),
            (signed(r#"{"alg":"eddsa"}"#), TokenFault::Algorithm),
            (signed(r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#), TokenFault::Critical),
            (signed(r#"{"alg":"RS256"}"#), TokenFault::KeyUnknown),
            (signed(r#"{"alg":"EdDSA"}"#), TokenFault::Malformed),
        ] {
            assert_eq!(verify(&keys, &token).unwrap_err(), fault, "{token}");
        }
    }

    fn claims() -> Value {
        json!({
            "iss": "https://issuer.example", "sub": "4711", "aud": "client", "nonce": "n-0S6_WzA2Mj",
            "iat": 1_700_000_000, "exp": 1_700_000_030,
        })
    }

    /// What is made of the usual claims with these changed, or left out where they are `null`.
    fn judged(changes: Value, pkce: bool) -> Result<Identity, TokenFault> {
        let (pair, keys) = ed25519();
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            let claims = claims.as_object_mut().unwrap();
            if value.is_null() {
                claims.remove(name)
            } else {
                claims.insert(name.clone(), value.clone())
            };
        }
        let token = sign(&pair, br#"{"alg":"EdDSA"}"#, claims.to_string().as_bytes());
        verify(&keys, &token)?.judge(&expected(pkce))
    }

    #[test]
    fn claims_are_judged_one_by_one() {
        let now = 1_700_000_010;
        let faults = [
            (json!({"iss": "https://issuer.example/"}), TokenFault::Issuer),
            (json!({"iss": "https://evil.example"}), TokenFault::Issuer),
            (json!({"aud": "another"}), TokenFault::Audience),
            (json!({"aud": []}), TokenFault::Audience),
            (json!({"aud": ["client", "another"]}), TokenFault::Audience),
            (json!({"azp": "another"}), TokenFault::Audience),
            (json!({"exp": now - 60}), TokenFault::Expired),
            (json!({"exp": -1}), TokenFault::Expired),
            (json!({"iat": now + 61}), TokenFault::NotYetValid),
            (json!({"nbf": now + 61}), TokenFault::NotYetValid),
            (json!({"nonce": "n-0S6_WzA2Mk"}), TokenFault::Nonce),
            (json!({"nonce": ""}), TokenFault::Nonce),
            (json!({"nonce": null}), TokenFault::NonceMissing),
            (json!({"sub": ""}), TokenFault::Malformed),
            (json!({"sub": "x".repeat(256)}), TokenFault::Malformed),
            (json!({"sub": 4711}), TokenFault::Malformed),
            (json!({"exp": "1700000030"}), TokenFault::Malformed),
            (json!({"exp": 1e300}), TokenFault::Malformed),
            (json!({"nbf": "soon"}), TokenFault::Malformed),
        ];
        for (changes, fault) in faults {
            assert_eq!(judged(changes.clone(), false).unwrap_err(), fault, "{changes}");
        }
        for required in ["iss", "sub", "aud", "exp", "iat"] {
            let changes = Value::Object([(required.to_owned(), Value::Null)].into_iter().collect());
            assert_eq!(judged(changes, false).unwrap_err(), TokenFault::Malformed, "without {required}");
        }
        for changes in [
            json!({}),
            json!({"aud": ["client"]}),
            json!({"azp": "client"}),
            json!({"exp": now - 59}),
            json!({"exp": i64::MAX}),
            json!({"iat": now + 60, "nbf": now + 60}),
            json!({"iat": 1_700_000_000.75}),
            json!({"sub": "x".repeat(255)}),
        ] {
            assert!(judged(changes.clone(), false).is_ok(), "{changes}");
        }
    }

    #[test]
    fn a_missing_nonce_is_let_pass_where_verifiers_are_checked_and_a_wrong_one_nowhere() {
        assert!(judged(json!({"nonce": null}), true).is_ok());
        assert_eq!(judged(json!({"nonce": "another"}), true).unwrap_err(), TokenFault::Nonce);
        assert_eq!(judged(json!({"nonce": 7}), true).unwrap_err(), TokenFault::Malformed);
    }

    #[test]
    fn a_number_counts_only_as_the_issuer_vouches_for_it() {
        for (changes, phone) in [
            (json!({}), None),
            (json!({"phone_number": "+391234567890"}), Some("391234567890")),
            (json!({"phone_number": "391234567890", "phone_number_verified": true}), Some("391234567890")),
            (json!({"phone_number": "+1 (425) 555-1212"}), Some("14255551212")),
            (json!({"phone_number": "+391234567890", "phone_number_verified": false}), None),
            (json!({"phone_number": "+391234567890", "phone_number_verified": "true"}), None),
            (json!({"phone_number": "+391234567890", "phone_number_verified": 1}), None),
            (json!({"phone_number": "not a number"}), None),
            (json!({"phone_number": "+391234567890;ext=5"}), None),
            (json!({"phone_number": 391_234_567_890_i64}), None),
        ] {
            let identity = judged(changes.clone(), false).unwrap();
            assert_eq!(identity.phone, phone.and_then(Phone::parse), "{changes}");
        }
    }

    #[test]
    fn a_name_is_one_short_line() {
        let long = "é".repeat(NAME_MAX_CHARS);
        for (written, name) in [
            (json!(null), None),
            (json!("  "), None),
            (json!(7), None),
            (json!(" Claude Chappe "), Some("Claude Chappe")),
            (json!("Claude\r\nChappe\u{0}"), Some("ClaudeChappe")),
            (json!(format!("{long}é")), Some(long.as_str())),
        ] {
            assert_eq!(judged(json!({"name": written}), false).unwrap().name.as_deref(), name, "{written}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_believed_nor_causes_a_panic(text in "\\PC{0,200}", parts in "([A-Za-z0-9_-]{0,40}\\.){0,4}") {
            let (_, keys) = ed25519();
            prop_assert!(verify(&keys, &text).is_err());
            prop_assert!(verify(&keys, &parts).is_err());
        }

        #[test]
        fn no_signed_octets_cause_a_panic(header: Vec<u8>, payload: Vec<u8>) {
            let (pair, keys) = ed25519();
            for header in [header.as_slice(), br#"{"alg":"EdDSA"}"#] {
                let verified = verify(&keys, &sign(&pair, header, &payload));
                prop_assert!(verified.is_err());
            }
        }

        #[test]
        fn a_claim_of_any_kind_is_judged_without_a_panic(
            name in "iss|sub|aud|azp|exp|iat|nbf|nonce|name|phone_number|phone_number_verified",
            number: i64,
            text in "\\PC{0,300}",
        ) {
            for value in [json!(number), json!(text), json!([text]), json!({"a": text}), json!(number > 0)] {
                let changes = Value::Object([(name.clone(), value)].into_iter().collect());
                // Whatever else it is, it is the person that was signed for.
                if let Ok(identity) = judged(changes, true) && name != "sub" {
                    prop_assert_eq!(identity.subject, "4711");
                }
            }
        }
    }
}
