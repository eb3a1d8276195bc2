//! The front door: every route there is, and the one path that the API and the pages share.

use crate::app::App;
use crate::{api, console};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::any;
use std::net::SocketAddr;
use std::sync::Arc;

/// Everything that this server answers.
pub fn router(app: &Arc<App>) -> Router {
    let routes = api::router().merge(console::router(app)).route("/", any(door));
    routes.with_state(app.clone())
}

/// A browser is shown the landing page. To whoever else knocks, `/` is what it is without one: no method of the API.
async fn door(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    match request.method() == Method::GET && reads_html(request.headers()) {
        true => console::landing(app, peer, request).await,
        false => api::handle(State(app), ConnectInfo(peer), request).await,
    }
}

fn reads_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or("").trim();
        kind.eq_ignore_ascii_case("text/html")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_browser_says_that_it_reads_html() {
        let reads = |value: &'static str| {
            reads_html(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]))
        };
        assert!(reads("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(reads("application/json, TEXT/HTML;q=0.5"));
        assert!(!reads("*/*") && !reads("application/json") && !reads("text/htmlx") && !reads(""));
        assert!(!reads_html(&HeaderMap::new()));
    }
}
