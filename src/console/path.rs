//! What the address of a page names.

use super::form::local;
use super::trouble::{Trouble, see_other};
use crate::app::App;
use axum::extract::{FromRequestParts, Path};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::response::Response;
use std::str::FromStr;
use std::sync::Arc;

/// The one thing that the path names. What cannot be its name is answered like a name that nobody has.
#[derive(Clone, Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<T: FromStr> FromRequestParts<Arc<App>> for Named<T> {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Named<T>, Trouble> {
        let Path(name) =
            Path::<String>::from_request_parts(parts, app).await.map_err(|_| Trouble::NotFound)?;
        name.parse().map(Named).map_err(|_| Trouble::NotFound)
    }
}

/// Leads to the page above. An address that forms are sent to stays in the address bar if something was wrong with one: a
/// browser asks for it anew, and so does the script of a live page.
pub(super) async fn up(uri: Uri) -> Response {
    let above = uri.path().rsplit_once('/').map_or("", |(above, _)| above);
    see_other(&local(above))
}
