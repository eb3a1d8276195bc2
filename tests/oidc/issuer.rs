//! An issuer of OpenID Connect on this machine: it tells of itself, shows a key of each kind, lets people in, exchanges
//! codes for tokens, and misbehaves as it is told.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

pub(crate) const CLIENT_ID: &str = "123456789";
/// With characters that have to be encoded before they are put together with others.
pub(crate) const CLIENT_SECRET: &str = "s:cret/ü%";
/// The moment at which tokens are issued.
pub(crate) const NOW_S: i64 = 1_700_000_000;

/// A key, and the name under which it is shown.
pub(crate) struct Signer {
    pub(crate) kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(&'static str, &'static str, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    /// A new key for this method.
    pub(crate) fn new(algorithm: &str, kid: &str) -> Signer {
        let ec = |method: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(method).unwrap();
        let pair = match algorithm {
            "RS256" => Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
            "ES256" => Pair::Ec("ES256", "P-256", ec(&ECDSA_P256_SHA256_FIXED_SIGNING)),
            "ES256K" => Pair::Ec("ES256K", "secp256k1", ec(&ECDSA_P256K1_SHA256_FIXED_SIGNING)),
            "EdDSA" => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            _ => panic!("no keys for {algorithm}"),
        };
        Signer { kid: kid.to_owned(), pair }
    }

    fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(algorithm, _, _) => algorithm,
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// The public key, as RFC 7517 writes it.
    fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                // RFC 8017, A.1.1, for 2048 bits: nine bytes before the modulus, two between it and the exponent 65537.
                let der = pair.public_key().as_ref();
                assert_eq!((der.len(), &der[265..]), (270, &[2, 3, 1, 0, 1][..]));
                json!({"kty": "RSA", "n": encode(&der[9..265]), "e": encode(&der[267..])})
            }
            Pair::Ec(_, curve, pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm());
        jwk["use"] = json!("sig");
        jwk
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Ec(_, _, pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with these claims, by its own method and under its own name.
    pub(crate) fn token(&self, claims: &Value) -> String {
        compact(&json!({"alg": self.algorithm(), "kid": self.kid, "typ": "JWT"}), claims, |signed| {
            self.sign(signed)
        })
    }

    /// The public key as somebody would take it for a shared secret.
    pub(crate) fn public_octets(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(_, _, pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }
}

/// A token with this header, these claims, and what `sign` makes of both.
pub(crate) fn compact(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

type Mint = Arc<dyn Fn(Value, &[Signer]) -> String + Send + Sync>;
type Reply = Arc<dyn Fn() -> Response + Send + Sync>;

/// A person whom the issuer let in, and what the code that it gave is bound to.
struct Granted {
    challenge: String,
    redirect_url: String,
    nonce: Option<String>,
}

/// How the issuer behaves. Tests change it as they like.
pub(crate) struct Manners {
    /// The keys that it shows, and with the first of which it signs.
    pub(crate) keys: Vec<Signer>,
    /// Changes to what it tells of itself; what is `null` is left out.
    pub(crate) metadata: Value,
    /// Makes the token out of the claims that are right.
    pub(crate) mint: Mint,
    /// What it answers on a path instead of what is right.
    pub(crate) instead: BTreeMap<&'static str, Reply>,
    /// How often each path was called.
    pub(crate) calls: BTreeMap<String, usize>,
    /// The last request for a token: its header `Authorization`, and its form.
    pub(crate) exchanged: Option<(Option<String>, BTreeMap<String, String>)>,
    granted: BTreeMap<String, Granted>,
}

/// An issuer. Ends when it is dropped.
pub(crate) struct Issuer {
    pub(crate) url: String,
    manners: Arc<Mutex<Manners>>,
    task: JoinHandle<()>,
}

impl Issuer {
    /// One with a key of each kind, that signs with the one for this method, and does all that is right.
    pub(crate) async fn signing(algorithm: &str) -> Issuer {
        let mut names = vec!["RS256", "ES256", "ES256K", "EdDSA"];
        names.sort_by_key(|name| *name != algorithm);
        let keys = names.into_iter().map(|name| Signer::new(name, &format!("oidc-{name}"))).collect();
        Issuer::with(keys).await
    }

    /// One with a single key, which is made fast.
    pub(crate) async fn simple() -> Issuer {
        Issuer::with(vec![Signer::new("EdDSA", "oidc-1")]).await
    }

    async fn with(keys: Vec<Signer>) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let manners = Arc::new(Mutex::new(Manners {
            keys,
            metadata: json!({}),
            mint: Arc::new(|claims, keys| keys[0].token(&claims)),
            instead: BTreeMap::new(),
            calls: BTreeMap::new(),
            exchanged: None,
            granted: BTreeMap::new(),
        }));
        let router = Router::new().fallback(answer).with_state((url.clone(), manners.clone()));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Issuer { url, manners, task }
    }

    pub(crate) fn manners(&self) -> MutexGuard<'_, Manners> {
        self.manners.lock().unwrap()
    }

    /// Makes tokens by `mint`, out of the claims that are right and the keys that the issuer shows.
    pub(crate) fn mints(&self, mint: impl Fn(Value, &[Signer]) -> String + Send + Sync + 'static) {
        self.manners().mint = Arc::new(mint);
    }

    /// Changes claims of tokens; what is `null` is left out.
    pub(crate) fn claims(&self, changes: Value) {
        self.mints(move |claims, keys| keys[0].token(&merged(claims, &changes)));
    }

    /// Answers calls of a path with something else.
    pub(crate) fn answers(&self, path: &'static str, reply: impl Fn() -> Response + Send + Sync + 'static) {
        self.manners().instead.insert(path, Arc::new(reply));
    }

    pub(crate) fn calls(&self, path: &str) -> usize {
        self.manners().calls.get(path).copied().unwrap_or(0)
    }

    /// What the person does in the browser: goes to where they are sent, and agrees. Gives the query they come back with.
    pub(crate) fn agree(&self, sent_to: &str) -> String {
        let url = Url::parse(sent_to).unwrap();
        assert_eq!(url.path(), "/auth");
        let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        for (name, value) in
            [("response_type", "code"), ("client_id", CLIENT_ID), ("code_challenge_method", "S256")]
        {
            assert_eq!(asked[name], value, "{name}");
        }
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let code = format!("code-{}/+ ü", self.manners().granted.len());
        let granted = Granted {
            challenge: asked["code_challenge"].clone(),
            redirect_url: asked["redirect_uri"].clone(),
            nonce: asked.get("nonce").cloned(),
        };
        self.manners().granted.insert(code.clone(), granted);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("code", &code).append_pair("state", &asked["state"]).finish()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `base` with these changes; what is `null` is left out.
fn merged(mut base: Value, changes: &Value) -> Value {
    let fields = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    base
}

async fn answer(State((url, manners)): State<(String, Arc<Mutex<Manners>>)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    let mut manners = manners.lock().unwrap();
    *manners.calls.entry(path.clone()).or_default() += 1;
    if let Some(reply) = manners.instead.get(path.as_str()) {
        return reply();
    }
    match (&parts.method, path.as_str()) {
        (&Method::GET, "/.well-known/openid-configuration") => {
            let told = json!({
                "issuer": url,
                "authorization_endpoint": format!("{url}/auth"),
                "token_endpoint": format!("{url}/token"),
                "jwks_uri": format!("{url}/keys"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256", "ES256K", "EdDSA"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
            });
            json_answer(StatusCode::OK, &merged(told, &manners.metadata))
        }
        (&Method::GET, "/keys") => {
            let keys: Vec<_> = manners.keys.iter().map(Signer::jwk).collect();
            json_answer(StatusCode::OK, &json!({"keys": keys}))
        }
        (&Method::POST, "/token") => {
            let authorization =
                parts.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            exchange(&mut manners, &url, authorization, &body)
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Exchanges a code, for the client that it was given to, with the verifier that fits, once.
fn exchange(manners: &mut Manners, url: &str, authorization: Option<String>, body: &Bytes) -> Response {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
    manners.exchanged = Some((authorization.clone(), form.clone()));
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET));
    let is_client = authorization == Some(format!("Basic {}", STANDARD.encode(basic)))
        || form.get("client_secret").is_some_and(|secret| secret == CLIENT_SECRET);
    if !is_client {
        return json_answer(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"}));
    }
    let granted = form.get("code").and_then(|code| manners.granted.remove(code));
    let good = granted.filter(|granted| {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
        form["grant_type"] == "authorization_code"
            && form["redirect_uri"] == granted.redirect_url
            && challenge == granted.challenge
    });
    let Some(granted) = good else {
        return json_answer(StatusCode::BAD_REQUEST, &json!({"error": "invalid_grant"}));
    };
    let claims = json!({
        "iss": url, "sub": "4711", "aud": CLIENT_ID, "iat": NOW_S, "exp": NOW_S + 30, "nonce": granted.nonce,
        "name": "Claude Chappe", "phone_number": "391234567890",
    });
    let token = (manners.mint)(claims, &manners.keys);
    let answer =
        json!({"access_token": "unused", "token_type": "Bearer", "expires_in": 30, "id_token": token});
    json_answer(StatusCode::OK, &answer)
}

/// An answer in JSON.
pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

/// An answer without end.
pub(crate) fn endless() -> Response {
    let bytes = Bytes::from(vec![b' '; 1 << 16]);
    Response::new(Body::from_stream(futures_util::stream::repeat_with(move || {
        Ok::<_, std::io::Error>(bytes.clone())
    })))
}

/// An answer that begins and does not go on.
pub(crate) fn stalled() -> Response {
    Response::new(Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()))
}

/// Somewhere else.
pub(crate) fn redirect(to: &str) -> Response {
    (StatusCode::FOUND, [(LOCATION, to.to_owned())]).into_response()
}
