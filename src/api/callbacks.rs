//! Callbacks of providers: `/channels/CHANNEL/…`. Who calls and what it means is for the channel to judge; here is only
//! what holds for everybody.

use super::answer::{Refusal, respond};
use super::router::read;
use crate::app::App;
use crate::auth;
use crate::channels::callback::{self, Incoming};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, Response};
use axum::response::IntoResponse;
use chappe_core::text::ChannelName;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where callbacks are taken.
pub(super) const PATH: &str = "/channels/{channel}/{*rest}";

/// Takes a callback in. Its answer is bare: providers look at the status alone.
pub(super) async fn handle(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    match hear(&app, peer, request).await {
        Ok(answer) => {
            let status = answer.status();
            (status, format!("{}\n", status.canonical_reason().unwrap_or_default())).into_response()
        }
        Err(refusal) => respond(Err(refusal)),
    }
}

async fn hear(app: &App, peer: SocketAddr, request: Request) -> Result<callback::Answer, Refusal> {
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return Err(Refusal::MethodNotAllowed);
    }
    if !auth::may_speak(app, peer.ip()) {
        return Err(Refusal::ProxyRequired);
    }
    let (parts, body) = request.into_parts();
    let body = read(&parts.headers, body).await?;
    let path = parts.uri.path().strip_prefix("/channels/").unwrap_or_default();
    let (channel, rest) = path.split_once('/').unwrap_or_default();
    let Some(name) = ChannelName::parse(channel) else { return Ok(callback::Answer::Forbidden) };
    let Some(outside) = app.channels.outside(&name) else { return Ok(callback::Answer::Forbidden) };
    let incoming = Incoming {
        method: parts.method,
        path: rest.to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    Ok(outside.hear(incoming, &app.inbox(name)).await)
}
