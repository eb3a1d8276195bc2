//! What pages load: embedded in the program, nothing from elsewhere.

use crate::app::App;
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::routing::get;
use std::sync::Arc;

const STYLE: &str = include_str!("assets/chappe.css");
const SANDBOX_STYLE: &str = include_str!("assets/sandbox.css");
const CONSOLE_STYLE: &str = include_str!("assets/console.css");
const COMMON: &str = include_str!("assets/common.js");
const CONSOLE: &str = include_str!("assets/console.js");
const SANDBOX: &str = include_str!("assets/sandbox.js");
const ICON: &str = include_str!("assets/icon.svg");

/// The routes of the assets.
pub(super) fn router() -> Router<Arc<App>> {
    let asset = |kind: &'static str, text: &'static str| {
        // Always asked for anew: after an upgrade, a page must not meet the script of the version before.
        get(move || async move {
            ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], text)
        })
    };
    Router::new()
        .route("/assets/chappe.css", asset("text/css; charset=utf-8", STYLE))
        .route("/assets/sandbox.css", asset("text/css; charset=utf-8", SANDBOX_STYLE))
        .route("/assets/console.css", asset("text/css; charset=utf-8", CONSOLE_STYLE))
        .route("/assets/common.js", asset("text/javascript; charset=utf-8", COMMON))
        .route("/assets/console.js", asset("text/javascript; charset=utf-8", CONSOLE))
        .route("/assets/sandbox.js", asset("text/javascript; charset=utf-8", SANDBOX))
        .route("/assets/icon.svg", asset("image/svg+xml", ICON))
}
