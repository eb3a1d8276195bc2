//! Pages for people. For now: the sandbox, the built-in phone.

mod assets;
mod guard;
mod sandbox;

pub use sandbox::{EXAMPLE_NUMBER, curl};

use crate::app::App;
use axum::Router;
use std::sync::Arc;

/// The routes of the pages.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    sandbox::router(app).merge(assets::router())
}
