//! What every page of the console is behind: no page forgets it, since it lies around all of them.

use super::guard::{comes_from_a_page_of_ours, names_us};
use super::trouble::Trouble;
use crate::app::App;
use crate::auth;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a page may load and do: what is ours, and no script or style within the page itself.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                                 connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Lets a request through to its page, and puts around the answer what keeps it ours.
pub(super) async fn shield(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    around(&app, peer, request, |request| next.run(request)).await
}

/// The same around one page that no router leads to.
pub(super) async fn around<F: Future<Output = Response>>(
    app: &App,
    peer: SocketAddr,
    request: Request,
    page: impl FnOnce(Request) -> F,
) -> Response {
    let mut response = match refuse(app, peer, request.method(), request.headers()) {
        Some(trouble) => trouble.into_response(),
        None => page(request).await,
    };
    let headers = response.headers_mut();
    let always = [
        (CONTENT_SECURITY_POLICY, POLICY),
        // Not `no-referrer`: browsers then send a form of this very page with a null origin, which is refused.
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
        (PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if !app.settings.dev {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

fn refuse(app: &App, peer: SocketAddr, method: &Method, headers: &HeaderMap) -> Option<Trouble> {
    if app.settings.dev {
        if !names_us(headers) {
            return Some(Trouble::Foreign);
        }
    } else if !auth::may_speak(app, peer.ip()) {
        return Some(Trouble::ProxyRequired);
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let ours = reads || comes_from_a_page_of_ours(headers, app.settings.public_url.as_deref());
    (!ours).then_some(Trouble::Foreign)
}
