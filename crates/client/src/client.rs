//! The calls, over HTTPS.
//!
//! ```
//! use chappe_client::{Client, Error, Refusal, SendMessage};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let base_url = &format!("http://{}", listener.local_addr()?);
//! # std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let status = r#"{"request_id":"222370177540343","phone_number":"391234567890","request_cost":0.01"#;
//! #     for answer in [
//! #         format!(r#"{{"ok":true,"result":{status},"remaining_balance":99.99}}}}"#),
//! #         format!(r#"{{"ok":true,"result":{status},"verification_status":{{"status":"code_valid","updated_at":1}}}}}}"#),
//! #         r#"{"ok":false,"error":"FLOOD_WAIT_3"}"#.to_owned(),
//! #     ] {
//! #         let (mut stream, _) = listener.accept().unwrap();
//! #         let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
//! #         while !request.ends_with(b"}") {
//! #             let count = stream.read(&mut chunk).unwrap();
//! #             request.extend_from_slice(&chunk[..count]);
//! #         }
//! #         let length = answer.len();
//! #         write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{answer}").unwrap();
//! #     }
//! # });
//! let client = Client::new(base_url, "my-token")?;
//!
//! let sent = client.send_verification_message(&SendMessage::with_code_length("+391234567890", 6)).await?;
//! assert_eq!(sent.request_cost.to_string(), "0.01");
//!
//! // Later, with what the user has typed:
//! assert!(client.verify(&sent.request_id, "123456").await?);
//!
//! match client.check_send_ability("+391234567891").await {
//!     Ok(status) => println!("paid {}, ready to send under {}", status.request_cost, status.request_id),
//!     Err(Error::Refused(Refusal::PhoneNumberNotAvailable)) => println!("take another way"),
//!     Err(error) if error.is_retryable() => println!("again in {:?}", error.retry_after()),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```

use crate::error::Error;
use crate::refusal::Refusal;
use crate::wire::{
    Answer, Balance, CheckSendAbility, CheckVerificationStatus, IDEMPOTENCY_KEY_HEADER, RequestStatus,
    RevokeVerificationMessage, SendMessage, VerificationState,
};
use chappe_core::Money;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// Where Telegram's own gateway is: the base URL unless another is given.
pub const TELEGRAM_BASE_URL: &str = "https://gatewayapi.telegram.org";

/// The largest answer that is read. Real ones stay below a kilobyte.
const ANSWER_MAX: usize = 64 * 1024;

/// Connections are given up before common servers and proxies do so: a call sent down a connection that the other
/// side is just closing fails without anyone knowing whether it was received.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A client for one token. Clones share their connections.
///
/// Calls are POSTs with a JSON body, over HTTP/1.1. Redirects are not followed (the token would travel to who knows
/// where), proxies from the environment are not used, nothing is ever retried behind the caller's back.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    authorization: HeaderValue,
}

/// What a [`Client`] can be told before it is made.
#[derive(Clone)]
pub struct ClientBuilder {
    base_url: String,
    token: String,
    timeout: Duration,
    connect_timeout: Duration,
    user_agent: String,
    allow_plain_http: bool,
}

impl Client {
    /// A client of the gateway at `base_url`, with everything else at its default.
    pub fn new(base_url: &str, token: &str) -> Result<Client, Error> {
        Client::builder(token).base_url(base_url).build()
    }

    /// A client of Telegram's gateway, unless told otherwise.
    pub fn builder(token: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            base_url: TELEGRAM_BASE_URL.to_owned(),
            token: token.into(),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            user_agent: concat!("chappe-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            allow_plain_http: false,
        }
    }

    /// Can this number be reached? If so, one message is paid for: send it with
    /// [`request_id`](SendMessage::request_id). If not, the call is refused with
    /// [`Refusal::PhoneNumberNotAvailable`] and costs nothing.
    pub async fn check_send_ability(
        &self,
        parameters: impl Into<CheckSendAbility>,
    ) -> Result<RequestStatus, Error> {
        let parameters = parameters.into();
        self.call("checkSendAbility", &parameters, parameters.idempotency_key.as_deref()).await
    }

    /// Sends a code.
    pub async fn send_verification_message(&self, message: &SendMessage) -> Result<RequestStatus, Error> {
        self.call("sendVerificationMessage", message, message.idempotency_key.as_deref()).await
    }

    /// Where a request stands; with a code, the gateway judges it first and counts the attempt. An empty code is none.
    pub async fn check_verification_status(
        &self,
        request_id: &str,
        code: Option<&str>,
    ) -> Result<RequestStatus, Error> {
        self.call("checkVerificationStatus", &CheckVerificationStatus { request_id, code }, None).await
    }

    /// Whether this code is the right one. Wrong, too late and tried too often are all `false`; use
    /// [`check_verification_status`](Client::check_verification_status) to tell them apart.
    pub async fn verify(&self, request_id: &str, code: &str) -> Result<bool, Error> {
        // To the gateway an empty code is an absent one: it would judge nothing, and repeat an earlier "valid".
        if code.is_empty() {
            return Ok(false);
        }
        let status = self.check_verification_status(request_id, Some(code)).await?;
        Ok(status.verification_status.is_some_and(|known| known.status == VerificationState::CodeValid))
    }

    /// Withdraws a message and its code, as far as it has not been delivered or used. Gives no money back.
    pub async fn revoke_verification_message(&self, request_id: &str) -> Result<bool, Error> {
        self.call("revokeVerificationMessage", &RevokeVerificationMessage { request_id }, None).await
    }

    /// What the account has left. Chappe has this method; Telegram refuses with [`Refusal::UnknownMethod`] or alike.
    pub async fn get_balance(&self) -> Result<Money, Error> {
        #[derive(Serialize)]
        struct Nothing {}
        self.call("getBalance", &Nothing {}, None).await.map(|Balance { balance }| balance)
    }

    /// What time it is for the gateway, by the `Date` of an answer, in whole seconds; `None` if it does not say. A clock
    /// that is far off makes reports look old, and lets messages expire too early or too late. Needs no token.
    pub async fn server_time(&self) -> Result<Option<SystemTime>, Error> {
        let response = self.http.head(&self.base_url).send().await.map_err(transport)?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: &impl Serialize,
        idempotency_key: Option<&str>,
    ) -> Result<T, Error> {
        #[allow(clippy::expect_used)]
        let body = serde_json::to_vec(parameters).expect("words and small numbers are always JSON");
        let mut request = self
            .http
            .post(format!("{}/{method}", self.base_url))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        if let Some(key) = idempotency_key {
            let key = header(key).ok_or(Error::InvalidIdempotencyKey)?;
            request = request.header(IDEMPOTENCY_KEY_HEADER, key);
        }
        let response = request.send().await.map_err(transport)?;
        let status = response.status();
        let body = read(response).await?;

        match serde_json::from_slice::<Answer<T>>(&body).map(Answer::into_result) {
            Ok(Ok(result)) if status.is_success() => Ok(result),
            Ok(Err(Refusal::Other(name))) if status.is_server_error() => {
                Err(Error::Http { status: status.as_u16(), error: Some(name) })
            }
            Ok(Err(refusal)) => Err(Error::Refused(refusal)),
            Err(error) if status.is_success() => Err(Error::Malformed(error)),
            Ok(Ok(_)) | Err(_) => Err(Error::Http { status: status.as_u16(), error: None }),
        }
    }
}

impl ClientBuilder {
    /// Another gateway than Telegram's. Methods are appended to the path.
    #[must_use]
    pub fn base_url(self, base_url: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), ..self }
    }

    /// How long a call may take in all. Default: 10 s.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How long of that a connection may take. Default: 5 s.
    #[must_use]
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// The user agent. Default: this crate's name and version.
    #[must_use]
    pub fn user_agent(self, user_agent: impl Into<String>) -> Self {
        Self { user_agent: user_agent.into(), ..self }
    }

    /// Allows `http://` to other hosts than this one. Token, numbers and codes then travel in the clear: only for a
    /// network that is trusted to the last cable.
    #[must_use]
    pub fn allow_plain_http(self) -> Self {
        Self { allow_plain_http: true, ..self }
    }

    /// Makes the client. Certificates are checked against the system's roots; on Linux `SSL_CERT_FILE` names others.
    pub fn build(self) -> Result<Client, Error> {
        let base_url = parse_base_url(&self.base_url, self.allow_plain_http)?;
        let mut authorization = header(&self.token)
            .and_then(|_| header(&format!("Bearer {}", self.token)))
            .ok_or(Error::InvalidToken)?;
        authorization.set_sensitive(true);
        let mut http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(self.timeout)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_MAX)
            .user_agent(self.user_agent);
        if base_url.scheme() == "http" {
            // No TLS will be spoken, so a system without root certificates is good enough.
            http = http.tls_certs_only([]);
        }
        let base_url = base_url.as_str().trim_end_matches('/').to_owned();
        Ok(Client { http: http.build().map_err(Error::Setup)?, base_url, authorization })
    }
}

fn parse_base_url(text: &str, allow_plain_http: bool) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::InvalidBaseUrl("it is no URL"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let problem = match url.scheme() {
        "https" | "http" if !url.username().is_empty() || url.password().is_some() => "it holds credentials",
        "https" | "http" if url.query().is_some() || url.fragment().is_some() => "it goes on behind its path",
        "http" if !here && !allow_plain_http => "it must be https, unless plain http is allowed",
        "https" | "http" => return Ok(url),
        _ => "it must be https",
    };
    Err(Error::InvalidBaseUrl(problem))
}

/// A header's value, if the text is not empty and printable ASCII throughout.
fn header(text: &str) -> Option<HeaderValue> {
    let printable = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    printable.then(|| HeaderValue::from_str(text).ok()).flatten()
}

async fn read(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(Error::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn transport(error: reqwest::Error) -> Error {
    match error {
        error if error.is_connect() => Error::Connect(error),
        error if error.is_timeout() => Error::Timeout,
        error => Error::Transport(error),
    }
}

// The token stays out of whatever is printed.

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { timeout, connect_timeout, user_agent, allow_plain_http, .. } = self;
        f.debug_struct("ClientBuilder")
            .field("timeout", timeout)
            .field("connect_timeout", connect_timeout)
            .field("user_agent", user_agent)
            .field("allow_plain_http", allow_plain_http)
            .finish_non_exhaustive()
    }
}
