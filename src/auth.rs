//! Who calls: the bearer of a good token, through a way in on which tokens are safe. The API and the sandbox ask the same
//! questions here, and answer in their own words.

use crate::app::App;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use chappe_core::Rejection;
use chappe_core::command::Caller;
use std::net::{IpAddr, SocketAddr};

/// Whether this peer may speak to the server at all: one without TLS of its own is spoken to through its proxies alone.
pub fn may_speak(app: &App, peer: IpAddr) -> bool {
    !app.settings.proxies_only || app.settings.trusted_proxies.lists(peer)
}

/// Turns a token into a caller: that of the `Authorization: Bearer` header, or `parameter`, where there is one. Two that
/// differ are a conflict, wherever they stand.
pub fn caller(
    app: &App,
    peer: SocketAddr,
    headers: &HeaderMap,
    parameter: Option<&str>,
) -> Result<Caller, Rejection> {
    let token = match (agreed(headers, AUTHORIZATION, bearer)?, parameter) {
        (Some(one), Some(other)) if one != other => return Err(Rejection::ParameterConflict),
        (Some(token), _) | (None, Some(token)) => token,
        (None, None) => return Err(Rejection::AccessTokenRequired),
    };
    let from = app.settings.trusted_proxies.client(peer.ip(), headers);
    app.tokens.judge(&app.vault.token_digest(token), from, app.clock.now())
}

/// What a header says, as `read` reads it. One that is there several times must say the same each time: a proxy in
/// between may have looked at another one.
pub fn agreed<'h, T: PartialEq>(
    headers: &'h HeaderMap,
    name: HeaderName,
    read: impl Fn(&'h HeaderValue) -> Option<T>,
) -> Result<Option<T>, Rejection> {
    let mut values = headers.get_all(name).iter().map(read);
    let value = values.next().flatten();
    if values.any(|other| other != value) { Err(Rejection::ParameterConflict) } else { Ok(value) }
}

/// The token of a header's value; another scheme holds no token of ours.
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
