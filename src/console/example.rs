//! The line that sends a first code, such that it works as it stands for whoever looks at it.

use super::sandbox::{EXAMPLE_NUMBER, curl};
use super::visit::{Act, Seat};
use crate::app::App;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use chappe_core::Mode;

/// Under which address the visitor reaches the API: the one that the operator set, or the one they came by.
pub(super) fn base_url(app: &App, headers: &HeaderMap) -> String {
    if let Some(url) = &app.settings.public_url {
        return url.clone();
    }
    // It is shown within a command for a shell: only what can be a host gets there.
    let is_host =
        |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(is_host);
    let scheme = if app.settings.dev { "http" } else { "https" };
    format!("{scheme}://{}", host.unwrap_or("127.0.0.1"))
}

/// The line for this account: with one of its tokens, if the person may see tokens. Where messages are real, it goes to
/// the person's own number.
pub(super) fn curl_of(seat: &Seat, headers: &HeaderMap) -> String {
    let app = seat.app();
    let token = match seat.may(Act::Tokens) {
        Ok(()) => app.tokens.good_of(seat.account, seat.visit.now),
        Err(_) => None,
    };
    let sandbox = app.settings.dev || seat.mode == Mode::Test;
    let number = match sandbox {
        true => EXAMPLE_NUMBER.to_owned(),
        false => seat.visit.session.person.phone.to_string(),
    };
    curl(&base_url(app, headers), token.as_ref().map_or("TOKEN", |token| &token.text), &number)
}
