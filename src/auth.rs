//! Who calls: the bearer of a good token, through a way in on which tokens are safe. The API and the sandbox ask the same
//! questions here, and answer in their own words.

use crate::app::App;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderValue};
use chappe_core::Rejection;
use chappe_core::command::Caller;
use std::net::{IpAddr, SocketAddr};

/// Whether this peer may speak to the server at all: one without TLS of its own is spoken to through its proxies alone.
pub fn may_speak(app: &App, peer: IpAddr) -> bool {
    !app.settings.proxies_only || app.settings.trusted_proxies.lists(peer)
}

/// Turns a token into a caller: that of the `Authorization: Bearer` header, or `parameter`, where there is one. Two that
/// differ are a conflict, wherever they stand: a proxy in between may have looked at the other one.
pub fn caller(
    app: &App,
    peer: SocketAddr,
    headers: &HeaderMap,
    parameter: Option<&str>,
) -> Result<Caller, Rejection> {
    let token = match (in_headers(headers)?, parameter) {
        (Some(one), Some(other)) if one != other => return Err(Rejection::ParameterConflict),
        (Some(token), _) | (None, Some(token)) => token,
        (None, None) => return Err(Rejection::AccessTokenRequired),
    };
    let from = app.settings.trusted_proxies.client(peer.ip(), headers);
    app.tokens.judge(&app.vault.token_digest(token), from, app.clock.now())
}

fn in_headers(headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
    let mut tokens = headers.get_all(AUTHORIZATION).iter().map(bearer);
    let token = tokens.next().flatten();
    if tokens.any(|other| other != token) { Err(Rejection::ParameterConflict) } else { Ok(token) }
}

/// The token of a header's value; another scheme holds no token of ours.
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
