//! What the address of a page names.

use super::trouble::Trouble;
use crate::app::App;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
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
