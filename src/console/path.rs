//! What the address of a page names.

use super::trouble::Trouble;
use crate::app::App;
use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::request::Parts;
use std::convert::Infallible;
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

/// Under which address callers reach this server, as far as can be said: as the operator says, or as this browser did.
#[derive(Clone, Debug)]
pub(super) struct BaseUrl(pub(super) String);

impl FromRequestParts<Arc<App>> for BaseUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<BaseUrl, Infallible> {
        let url = app.settings.public_url.clone();
        Ok(BaseUrl(url.unwrap_or_else(|| as_asked(&parts.headers, app.settings.dev))))
    }
}

fn as_asked(headers: &HeaderMap, dev: bool) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    // It is going to stand in a command that somebody copies into a shell.
    let plain =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let scheme = if dev { "http" } else { "https" };
    format!("{scheme}://{}", if plain { host } else { "localhost" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_could_be_a_command_is_not_repeated() {
        for (host, expected) in [
            ("codes.example.com", "https://codes.example.com"),
            ("[::1]:8080", "https://[::1]:8080"),
            ("x;rm -rf ~", "https://localhost"),
            ("$(id)", "https://localhost"),
            ("", "https://localhost"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            assert_eq!(as_asked(&headers, false), expected, "{host}");
        }
        assert_eq!(as_asked(&HeaderMap::new(), true), "http://localhost");
    }
}
