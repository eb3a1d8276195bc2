//! From an HTTP request to a call: method, body, token, in this order.

use super::answer::{Answer, Refusal, respond};
use super::callbacks;
use super::methods::{Call, Method};
use super::params::{Param, Params};
use crate::app::App;
use crate::auth;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{self, HeaderMap, HeaderName, Response, StatusCode};
use axum::routing::{any, get};
use chappe_core::Rejection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The largest body that is read, in bytes.
const BODY_MAX_BYTES: usize = 64 * 1024;
/// The calls of one account may fill one part in so many of the queue; more of them are told to wait a second, so that
/// no account leaves no room for the others.
const ACCOUNT_SHARE: usize = 4;
/// How long a body may take.
const BODY_MAX: Duration = Duration::from_secs(10);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The routes of the API. Methods are found by hand, as the fallback of every other route: their names match in any
/// case, and some clients send a doubled slash.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(
            "/openapi.json",
            get(|| async { ([(CONTENT_TYPE, "application/json")], crate::wire::OPENAPI) }),
        )
        .route(callbacks::PATH, any(callbacks::handle))
        .fallback(handle)
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if !app.engine.is_open() || app.readiness.is_leaving() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if !app.readiness.sees_database() {
        (StatusCode::SERVICE_UNAVAILABLE, "the database is out of reach\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// Answers a call, whatever its path.
pub async fn handle(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    respond(answer(&app, peer, &parts, body).await)
}

async fn answer(app: &App, peer: SocketAddr, parts: &Parts, body: Body) -> Result<Answer, Refusal> {
    // Whoever asks for a tunnel reads any 200 as a yes.
    if parts.method == http::Method::CONNECT {
        return Err(Refusal::MethodNotAllowed);
    }
    let name = parts.uri.path().trim_matches('/');
    let method = Method::find(name).ok_or(Rejection::UnknownMethod)?;
    if parts.method != http::Method::GET && parts.method != http::Method::POST {
        return Err(Refusal::MethodNotAllowed);
    }
    if !auth::may_speak(app, peer.ip()) {
        return Err(Refusal::ProxyRequired);
    }
    let body = read(&parts.headers, body).await?;
    let params = Params::parse(parts.uri.query(), header(&parts.headers, CONTENT_TYPE), &body)?;
    let caller = auth::caller(app, peer, &parts.headers, params.get(Param::AccessToken))?;
    let _place = app.tokens.enter(caller.account, app.settings.queue_max / ACCOUNT_SHARE)?;
    let idempotency_key = auth::agreed(&parts.headers, IDEMPOTENCY_KEY, |value| Some(value.as_bytes()))?;
    Call { app, caller, params: &params, idempotency_key }.answer(method).await
}

/// Reads a body within its bounds.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<axum::body::Bytes, Refusal> {
    if header(headers, CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Refusal::ContentEncodingUnsupported);
    }
    let announced = header(headers, CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_MAX_BYTES) {
        return Err(Refusal::BodyTooLarge);
    }
    let read = tokio::time::timeout(BODY_MAX, to_bytes(body, BODY_MAX_BYTES)).await;
    read.map_err(|_| Refusal::BodyTimeout)?.map_err(|error| {
        let limit = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if limit { Refusal::BodyTooLarge } else { Refusal::BodyInvalid }
    })
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
