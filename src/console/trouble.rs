//! What a page answers when it cannot do what it was asked.

use crate::engine::Failure;
use crate::env::NoEntropy;
use crate::store::StoreError;
use askama::Template;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{Html, IntoResponse, Response};

/// Why a page is not shown, or a thing not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody is logged in; where to come back to.
    LogIn(String),
    /// It has been long since the person proved who they are; where to come back to.
    Confirm(String),
    /// The person acts for no customer yet.
    Welcome,
    /// The role does not allow it.
    Forbidden,
    /// There is no such thing, or none that this person may see.
    NotFound,
    /// What was sent cannot be read.
    Invalid,
    /// A form of another page, or of one that is too old.
    Foreign,
    /// Spoken to directly, without TLS, instead of through a proxy.
    ProxyRequired,
    /// Too much at once.
    Busy,
    /// A fault of ours.
    Internal,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    status: u16,
    title: &'static str,
    text: &'static str,
    hint: &'static str,
}

impl Trouble {
    fn page(&self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Trouble::LogIn(_) | Trouble::Confirm(_) | Trouble::Welcome => (StatusCode::SEE_OTHER, "", "", ""),
            Trouble::Forbidden => (
                StatusCode::FORBIDDEN,
                "Not yours to do",
                "Your role does not include this.",
                "An owner of the account can do it, or change your role under Team.",
            ),
            Trouble::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "There is nothing here, or nothing that you may see.",
                "Check the address, or go back to the overview.",
            ),
            Trouble::Invalid => (
                StatusCode::BAD_REQUEST,
                "That could not be read",
                "What the browser sent makes no sense to this page. Nothing was changed.",
                "Go back, reload the page and try again.",
            ),
            Trouble::Foreign => (
                StatusCode::FORBIDDEN,
                "Not from here",
                "This was sent by another page, or by one that is too old. Nothing was changed.",
                "Go back, reload the page and try again. Behind a proxy, it must pass on the name that the browser asked \
                 for, or public_url must say it.",
            ),
            Trouble::ProxyRequired => (
                StatusCode::FORBIDDEN,
                "Use the proxy",
                "This server stands behind a proxy and is not to be spoken to directly.",
                "Open the proxy's address.",
            ),
            Trouble::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too much at once",
                "The server has more to do than it can. Nothing was changed.",
                "Try again in a moment.",
            ),
            Trouble::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "That went wrong",
                "The fault is on this side, and is in the server's log.",
                "Try again in a moment.",
            ),
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        match &self {
            Trouble::LogIn(then) => see_other(&with_then("/login", then)),
            Trouble::Confirm(then) => see_other(&with_then("/confirm", then)),
            Trouble::Welcome => see_other("/welcome"),
            _ => {
                let (status, title, text, hint) = self.page();
                let page = ErrorPage { status: status.as_u16(), title, text, hint };
                let html = page.render().unwrap_or_else(|_| title.to_owned());
                (status, Html(html)).into_response()
            }
        }
    }
}

/// Sends the browser to another page of ours.
pub(super) fn see_other(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

/// The address of a page that leads back to another afterwards.
pub(super) fn with_then(page: &str, then: &str) -> String {
    if then.is_empty() || then == "/" {
        return page.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("then", then).finish();
    format!("{page}?{query}")
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        tracing::error!(%error, "a page could not be made");
        Trouble::Internal
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        match failure {
            Failure::Overloaded => Trouble::Busy,
            Failure::Rejected(_) | Failure::Internal => {
                tracing::error!(%failure, "a page could not do what it was asked");
                Trouble::Internal
            }
        }
    }
}

impl From<NoEntropy> for Trouble {
    fn from(error: NoEntropy) -> Trouble {
        tracing::error!(%error, "nothing can be drawn");
        Trouble::Internal
    }
}

impl From<askama::Error> for Trouble {
    fn from(error: askama::Error) -> Trouble {
        tracing::error!(%error, "a page could not be written");
        Trouble::Internal
    }
}
