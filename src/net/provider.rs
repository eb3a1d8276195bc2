//! Calls of ours to providers that the operator configured. Their addresses may be private: the operator chose them. No
//! redirects are followed and no proxy of the environment is used.
//!
//! What matters most is what is known after a call that failed: whether the request may have reached the provider. A
//! message that may have been taken is never handed over a second time.

use super::innermost;
use axum::http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderValue, Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower_service::Service;

/// How long a name may take to be resolved, a connection to be made, and TLS to be agreed on.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long the provider may take from the first byte of the request to the last of its answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const BODY_MAX_BYTES: usize = 256 * 1024;
/// Answers with more headers than this are not read, in bytes.
const HEADERS_MAX_BYTES: usize = 32 * 1024;
/// How long a connection is kept for the next call. Less than servers keep theirs (five seconds is the shortest in common
/// use): one that the server closes while a request is under way leaves that request uncertain.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// How many connections are kept.
const IDLE_CONNECTIONS_MAX: usize = 32;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A client for providers. Share it among the calls of one channel: it keeps connections for a while.
pub struct Provider {
    connector: HttpsConnector<HttpConnector>,
    idle: Mutex<VecDeque<Idle>>,
}

/// A call without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing of the request was sent: the provider cannot have taken it.
    #[error("it cannot be reached: {0}")]
    NotSent(String),
    /// The request was begun to be sent, and no whole answer came: the provider may have taken it.
    #[error("it did not answer: {0}")]
    NoAnswer(String),
}

/// A connection that waits for its next call. Nobody drives it meanwhile: whether the provider closed it shows when it is
/// used.
struct Idle {
    origin: Origin,
    since: Instant,
    link: Link,
}

/// An open connection, and what writes and reads it.
struct Link {
    sender: SendRequest<Full<Bytes>>,
    wire: Connection<Stream, Full<Bytes>>,
}

type Origin = (Scheme, Authority);

/// How an exchange over one connection ended.
#[allow(clippy::large_enum_variant)] // There is one of it for each call, on the stack, for a moment.
enum Exchanged {
    /// With an answer, and perhaps with a connection that can be used again.
    Answer(Response<Bytes>, Option<Link>),
    /// The connection was found closed before anything was written: the request is given back.
    Unsent(Request<Full<Bytes>>, String),
    /// Something was written, and no whole answer came.
    Lost(String),
}

impl Provider {
    /// A client.
    pub fn new() -> Provider {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_MAX));
        let builder = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
        Provider { connector: builder.wrap_connector(http), idle: Mutex::default() }
    }

    /// Makes one call, to an absolute URL. A call is never repeated once anything of it was sent.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        self.call_within(ANSWER_MAX, request).await
    }

    /// Makes one call as [`Provider::call`] does, which the provider may take this long to answer.
    pub async fn call_within(
        &self,
        answer_max: Duration,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Failure> {
        let origin = address(&mut request)?;
        let mut request = request.map(Full::new);
        while let Some(link) = self.take_idle(&origin) {
            match exchange(link, request, answer_max).await {
                Exchanged::Answer(answer, link) => return Ok(self.keep(origin, link, answer)),
                // It was closed while nobody used it.
                Exchanged::Unsent(given_back, _) => request = given_back,
                Exchanged::Lost(reason) => return Err(Failure::NoAnswer(reason)),
            }
        }
        let link = self.connect(&origin).await.map_err(Failure::NotSent)?;
        match exchange(link, request, answer_max).await {
            Exchanged::Answer(answer, link) => Ok(self.keep(origin, link, answer)),
            Exchanged::Unsent(_, reason) => Err(Failure::NotSent(reason)),
            Exchanged::Lost(reason) => Err(Failure::NoAnswer(reason)),
        }
    }

    /// Connects to where this request would go, and sends nothing. Says which host that is.
    pub async fn reach(&self, mut request: Request<Bytes>) -> Result<String, Failure> {
        let origin = address(&mut request)?;
        self.connect(&origin).await.map_err(Failure::NotSent)?;
        Ok(origin.1.host().to_owned())
    }

    async fn connect(&self, (scheme, authority): &Origin) -> Result<Link, String> {
        let uri = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query("/");
        let uri = uri.build().map_err(|error| error.to_string())?;
        let mut connector = self.connector.clone();
        let connecting = async {
            std::future::poll_fn(|context| connector.poll_ready(context)).await?;
            connector.call(uri).await
        };
        let connected = timeout(CONNECT_MAX, connecting).await;
        let stream = connected
            .map_err(|_| "connecting took too long".to_owned())?
            .map_err(|error| innermost(&*error))?;
        let handshake = http1::Builder::new().max_buf_size(HEADERS_MAX_BYTES).handshake(stream).await;
        let (sender, wire) = handshake.map_err(|error| innermost(&error))?;
        Ok(Link { sender, wire })
    }

    fn take_idle(&self, origin: &Origin) -> Option<Link> {
        let mut idle = self.idle();
        idle.retain(|idle| idle.since.elapsed() < IDLE_MAX);
        let at = idle.iter().rposition(|idle| idle.origin == *origin)?;
        idle.remove(at).map(|idle| idle.link)
    }

    fn keep(&self, origin: Origin, link: Option<Link>, answer: Response<Bytes>) -> Response<Bytes> {
        if let Some(link) = link {
            let mut idle = self.idle();
            if idle.len() >= IDLE_CONNECTIONS_MAX {
                idle.pop_front();
            }
            idle.push_back(Idle { origin, since: Instant::now(), link });
        }
        answer
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Provider {
    fn default() -> Provider {
        Provider::new()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider(…)")
    }
}

/// Writes the request as it goes out: to a path, with its host and length. Returns where it goes.
fn address(request: &mut Request<Bytes>) -> Result<Origin, Failure> {
    let not_sent = |reason: &str| Failure::NotSent(reason.to_owned());
    let parts = request.uri().clone().into_parts();
    let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
        return Err(not_sent("not an absolute URL"));
    };
    if authority.as_str().contains('@') {
        return Err(not_sent("a user name or password does not belong into the URL"));
    }
    let host = HeaderValue::try_from(authority.as_str()).map_err(|_| not_sent("no host in the URL"))?;
    let path = parts.path_and_query.map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned());
    *request.uri_mut() = path.parse().map_err(|_| not_sent("no path in the URL"))?;
    let length = request.body().len();
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("chappe/", env!("CARGO_PKG_VERSION"))));
    headers.insert(CONTENT_LENGTH, length.into());
    Ok((scheme, authority))
}

/// Sends a request over a connection and drives that until the whole answer is there.
async fn exchange(link: Link, request: Request<Full<Bytes>>, answer_max: Duration) -> Exchanged {
    let Link { mut sender, wire } = link;
    let mut wire = Some(wire);
    let exchanging = async {
        if let Err(error) = sender.ready().await {
            return Exchanged::Unsent(request, innermost(&error));
        }
        match sender.try_send_request(request).await {
            Ok(answer) => match collect(answer).await {
                Ok(answer) => Exchanged::Answer(answer, None),
                Err(reason) => Exchanged::Lost(reason),
            },
            Err(mut error) => match error.take_message() {
                Some(request) => Exchanged::Unsent(request, innermost(error.error())),
                None => Exchanged::Lost(innermost(error.error())),
            },
        }
    };
    let drive = async {
        tokio::pin!(exchanging);
        loop {
            tokio::select! {
                biased;
                exchanged = &mut exchanging => return exchanged,
                // What it ended with, the exchange says.
                () = run(&mut wire) => wire = None,
            }
        }
    };
    let exchanged = timeout(answer_max, drive)
        .await
        .unwrap_or_else(|_| Exchanged::Lost(format!("no whole answer within {} s", answer_max.as_secs())));
    match exchanged {
        Exchanged::Answer(answer, _) => {
            let link = wire.filter(|_| !sender.is_closed()).map(|wire| Link { sender, wire });
            Exchanged::Answer(answer, link)
        }
        unsent_or_lost => unsent_or_lost,
    }
}

/// Drives a connection until it ends; one that has ended stays so.
async fn run(wire: &mut Option<Connection<Stream, Full<Bytes>>>) {
    match wire {
        Some(wire) => drop(wire.await),
        None => std::future::pending().await,
    }
}

async fn collect(answer: Response<hyper::body::Incoming>) -> Result<Response<Bytes>, String> {
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, BODY_MAX_BYTES).collect().await;
    let body = body.map_err(|error| innermost(&*error))?.to_bytes();
    Ok(Response::from_parts(parts, body))
}
