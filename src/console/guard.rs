//! Who may look at the sandbox.
//!
//! Under `chappe dev` it is open, and lies on the developer's own machine — where any page of the web that the developer
//! visits could reach for it. So a request must name this server as a person would (no foreign name that was made to
//! resolve here), and one that changes something must come from a page of ours or from no page at all.
//!
//! Under `chappe serve` it takes a test token, or a live one where live messages go to the sandbox as well, and shows
//! that account's messages.

use crate::app::App;
use crate::auth;
use axum::Json;
use axum::http::header::{CACHE_CONTROL, HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chappe_core::{AccountId, Mode, Rejection};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};

/// Codes are in what the sandbox says, and it is of this moment alone: nothing of it is for a cache.
pub(super) const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// What a visitor may see and do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visitor {
    /// The developer, on `chappe dev`.
    Developer,
    /// The bearer of a token whose messages go to the sandbox.
    Tester(AccountId),
}

impl Visitor {
    /// Whose messages the visitor sees; `None`: everybody's.
    pub(super) fn account(self) -> Option<AccountId> {
        match self {
            Visitor::Developer => None,
            Visitor::Tester(account) => Some(account),
        }
    }

    /// Whether the visitor sees messages of this account.
    pub(super) fn sees(self, account: AccountId) -> bool {
        self.account().is_none_or(|own| own == account)
    }
}

/// Why a visitor is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// No test token.
    Unauthorized,
    /// Spoken to directly, without TLS, instead of through a proxy.
    ProxyRequired,
    /// A request that another site's page made, or under a name that is not ours.
    Foreign,
    /// Nothing of this name, or nothing that this visitor may see.
    NotFound,
    /// Two values where one is to be.
    Conflict,
    /// A parameter that cannot be read.
    Invalid(&'static str),
    /// Too many pages are live.
    Crowded,
    /// The engine could not do it.
    Failed,
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Turned::Unauthorized => (StatusCode::UNAUTHORIZED, "ACCESS_TOKEN_INVALID"),
            Turned::ProxyRequired => (StatusCode::FORBIDDEN, "PROXY_REQUIRED"),
            Turned::Foreign => (StatusCode::FORBIDDEN, "FOREIGN_ORIGIN"),
            Turned::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Turned::Conflict => (StatusCode::BAD_REQUEST, "PARAMETER_CONFLICT"),
            Turned::Invalid(name) => (StatusCode::BAD_REQUEST, name),
            Turned::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_STREAMS"),
            Turned::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        };
        (status, NO_STORE, Json(json!({ "ok": false, "error": error }))).into_response()
    }
}

/// Lets a visitor in, or says why not.
pub(super) fn admit(
    app: &App,
    peer: SocketAddr,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Visitor, Turned> {
    if app.settings.dev {
        let ours = names_us(headers) && (method == Method::GET || comes_from_us(headers));
        return if ours { Ok(Visitor::Developer) } else { Err(Turned::Foreign) };
    }
    if !auth::may_speak(app, peer.ip()) {
        return Err(Turned::ProxyRequired);
    }
    let caller = auth::caller(app, peer, headers, None).map_err(|rejection| match rejection {
        Rejection::ParameterConflict => Turned::Conflict,
        _ => Turned::Unauthorized,
    })?;
    match caller.mode {
        Mode::Live if !app.settings.routes.lead_to_sandbox() => Err(Turned::Unauthorized),
        Mode::Test | Mode::Live => Ok(Visitor::Tester(caller.account)),
    }
}

/// Whether `Host` is an address or a name that no stranger can have registered: `localhost`, or one without a dot, as
/// containers have.
pub(super) fn names_us(headers: &HeaderMap) -> bool {
    let Some(host) = text(headers, HOST.as_str()) else { return true };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.parse::<IpAddr>().is_ok() || !name.contains('.') || name.ends_with(".localhost")
}

fn comes_from_us(headers: &HeaderMap) -> bool {
    let site_is_ours =
        text(headers, "sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none");
    let origin = text(headers, ORIGIN.as_str());
    let host = text(headers, HOST.as_str()).unwrap_or("");
    let origin_is_ours =
        origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, name)| name == host));
    site_is_ours && origin_is_ours
}

/// Whether a browser says that a request was made by a page of ours. A browser of these years says so with every form;
/// what says nothing is refused. `public_url` is our address, where a proxy does not pass on the name that was asked for.
pub(super) fn comes_from_a_page_of_ours(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    if let Some(site) = text(headers, "sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text(headers, ORIGIN.as_str()) else { return false };
    let name = origin.split_once("://").map_or("", |(_, name)| name);
    let ours = text(headers, HOST.as_str()).is_some_and(|host| name == host);
    ours || public_url.is_some_and(|url| url == origin)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_name_that_strangers_can_register_is_foreign() {
        for (host, ours) in [
            ("127.0.0.1:8787", true),
            ("localhost:8787", true),
            ("[::1]:8787", true),
            ("chappe:8787", true),
            ("app.localhost", true),
            ("evil.example:8787", false),
            ("127.0.0.1.evil.example", false),
        ] {
            assert_eq!(names_us(&headers(&[("host", host)])), ours, "{host}");
        }
    }

    #[test]
    fn a_change_must_come_from_a_page_of_ours_or_from_none() {
        let host = ("host", "127.0.0.1:8787");
        for (extra, ours) in [
            (vec![], true),
            (vec![("origin", "http://127.0.0.1:8787"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "http://evil.example")], false),
            (vec![("origin", "null")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site")], false),
        ] {
            let all: Vec<_> = extra.iter().copied().chain([host]).collect();
            assert_eq!(comes_from_us(&headers(&all)), ours, "{extra:?}");
        }
    }

    #[test]
    fn a_form_must_come_from_a_page_of_ours() {
        let host = ("host", "codes.example.com");
        let elsewhere = ("host", "10.0.0.7:8787");
        for (all, ours) in [
            (vec![host], false),
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "none")], false),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("sec-fetch-site", "cross-site"), ("origin", "https://codes.example.com")], false),
            (vec![host, ("origin", "https://codes.example.com")], true),
            (vec![host, ("origin", "https://evil.example")], false),
            (vec![host, ("origin", "null")], false),
            (vec![elsewhere, ("origin", "https://codes.example.com")], true),
            (vec![elsewhere, ("origin", "http://codes.example.com")], false),
        ] {
            let url = Some("https://codes.example.com");
            assert_eq!(comes_from_a_page_of_ours(&headers(&all), url), ours, "{all:?}");
        }
    }
}
