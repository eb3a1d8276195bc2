//! The issuer's keys: a JSON Web Key Set (RFC 7517, RFC 7518 §6, RFC 8037, RFC 8812).
//!
//! A key knows the one method that it is for, by what kind of key it is. What a token says of its method only chooses
//! among keys, so that no key can be used for a method that it was not made for.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// How many keys of a set are looked at.
const KEYS_MAX: usize = 32;

/// The methods that a token may be signed by. All are by key pairs: there is no `none`, and no shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA, PKCS #1 1.5, with SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over secp256k1 with SHA-256.
    Es256k,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The method of this name. RFC 9864 calls Ed25519 by its own name, where `EdDSA` leaves the curve to the key.
    pub(super) fn parse(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            "ES256K" => Some(Algorithm::Es256k),
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

/// The keys that can be used. Those of other kinds are left out: one key that nobody here knows spoils no other.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

/// A public key.
#[derive(Debug)]
pub(super) struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    public: ParsedPublicKey,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. `None`: it is none.
    pub(super) fn parse(json: &[u8]) -> Option<KeySet> {
        let Jwks { keys } = serde_json::from_slice(json).ok()?;
        let usable = |key: Value| serde_json::from_value::<Jwk>(key).ok().and_then(Key::from_jwk);
        Some(KeySet(keys.into_iter().take(KEYS_MAX).filter_map(usable).collect()))
    }

    /// The keys that a token can be signed with which names this method and this key. A name only narrows the choice:
    /// keys need not have one, and tokens need not tell it.
    pub(super) fn for_token(&self, algorithm: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| {
            let same_name = kid.zip(key.kid.as_deref()).is_none_or(|(wanted, has)| wanted == has);
            key.algorithm == algorithm && same_name
        })
    }
}

impl Key {
    fn from_jwk(jwk: Jwk) -> Option<Key> {
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|does| does == "verify"));
        let algorithm = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Algorithm::Rs256,
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("EC", Some("secp256k1")) => Algorithm::Es256k,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            _ => return None,
        };
        // An RSA key can be meant for another method, as PS256 or encryption.
        let meant = jwk.alg.as_deref().is_none_or(|name| Algorithm::parse(name) == Some(algorithm));
        let public = match algorithm {
            Algorithm::Rs256 => {
                let components = RsaPublicKeyComponents { n: bytes(jwk.n)?, e: bytes(jwk.e)? };
                components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()?
            }
            Algorithm::Es256 => parse(&ECDSA_P256_SHA256_FIXED, &point(jwk.x, jwk.y)?)?,
            Algorithm::Es256k => parse(&ECDSA_P256K1_SHA256_FIXED, &point(jwk.x, jwk.y)?)?,
            Algorithm::EdDsa => parse(&ED25519, &bytes(jwk.x).filter(|x| x.len() == 32)?)?,
        };
        (signs && meant).then_some(Key { kid: jwk.kid, algorithm, public })
    }

    /// Whether this is a signature of `message` by this key, by the key's own method.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }
}

fn parse(method: &'static dyn VerificationAlgorithm, public: &[u8]) -> Option<ParsedPublicKey> {
    ParsedPublicKey::new(method, public).ok()
}

fn bytes(text: Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

/// A point of a curve of 256 bits, uncompressed (SEC 1, 2.3.3).
fn point(x: Option<String>, y: Option<String>) -> Option<Vec<u8>> {
    let (x, y) = (bytes(x)?, bytes(y)?);
    (x.len() == 32 && y.len() == 32).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const X: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn golden(at: usize) -> Value {
        let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
        golden["keys"][at].clone()
    }

    fn usable(keys: &[Value]) -> usize {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap().0.len()
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn keys_that_cannot_be_used_spoil_no_others() {
        let (rsa, p256, secp256k1, ed25519) = (golden(0), golden(1), golden(2), golden(3));
        let useless = [
            json!(null),
            json!("key"),
            json!({}),
            json!({"kty": "oct", "k": X, "alg": "HS256"}),
            json!({"kty": "EC", "crv": "P-384", "x": X, "y": X}),
            json!({"kty": "OKP", "crv": "X25519", "x": X}),
            json!({"kty": "future"}),
            with(rsa.clone(), "alg", json!("PS256")),
            with(rsa.clone(), "use", json!("enc")),
            with(rsa.clone(), "key_ops", json!(["encrypt"])),
            with(rsa.clone(), "e", json!("")),
            with(rsa.clone(), "n", json!("not base64!")),
            with(rsa.clone(), "kid", json!(7)),
            with(p256.clone(), "crv", json!("secp256k1")),
            with(p256.clone(), "alg", json!("ES256K")),
            with(p256.clone(), "y", json!(X)),
            with(p256.clone(), "y", json!(null)),
            with(secp256k1.clone(), "x", json!(format!("{X}AA"))),
            with(ed25519.clone(), "x", json!("AQAB")),
        ];
        for key in &useless {
            assert_eq!(usable(std::slice::from_ref(key)), 0, "{key}");
        }
        let good = [
            with(rsa, "key_ops", json!(["verify"])),
            with(p256, "use", json!(null)),
            with(secp256k1, "alg", json!(null)),
            with(ed25519, "alg", json!("Ed25519")),
        ];
        assert_eq!(usable(&[&useless[..11], &good].concat()), 4);
    }

    #[test]
    fn a_set_is_looked_at_no_further_than_its_bound() {
        assert_eq!(usable(&vec![golden(3); KEYS_MAX + 1]), KEYS_MAX);
    }

    #[test]
    fn what_is_no_key_set_is_none() {
        for json in ["", "[]", "{}", r#"{"keys": {}}"#, r#"{"keys": [}"#] {
            assert!(KeySet::parse(json.as_bytes()).is_none(), "{json}");
        }
    }

    #[test]
    fn a_name_narrows_the_choice_where_both_sides_have_one() {
        let nameless = with(golden(3), "kid", json!(null));
        let set = json!({"keys": [golden(3), with(golden(3), "kid", json!("b")), nameless, golden(1)]});
        let set = KeySet::parse(set.to_string().as_bytes()).unwrap();
        let found =
            |kid| set.for_token(Algorithm::EdDsa, kid).map(|key| key.kid.as_deref()).collect::<Vec<_>>();
        assert_eq!(found(Some("b")), [Some("b"), None]);
        assert_eq!(found(Some("unknown")), [None]);
        assert_eq!(found(None), [Some("key-EdDSA"), Some("b"), None]);
    }

    /// Weak keys are no keys: nobody is believed by one.
    #[test]
    fn an_rsa_key_of_1024_bits_verifies_nothing() {
        let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
        let (signed, signature) = golden["weak"]["token"].as_str().unwrap().rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let set = json!({"keys": [golden["weak"]["key"]]}).to_string();
        let set = KeySet::parse(set.as_bytes()).unwrap();
        assert!(set.0.iter().all(|key| !key.verifies(signed.as_bytes(), &signature)));
    }
}
