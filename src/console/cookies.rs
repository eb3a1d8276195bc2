//! Cookies: what a browser holds for us. Each is of this server alone, is sent over TLS alone and is out of reach of
//! scripts; under `chappe dev`, which has no TLS, the first two are left to the browser.

use crate::app::App;
use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};
use std::time::Duration;

/// A cookie of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    /// Who is logged in.
    Session,
    /// A log-in that was begun.
    Login,
    /// A log-in with Telegram that was begun.
    Telegram,
}

impl Cookie {
    fn name(self, dev: bool) -> &'static str {
        match (self, dev) {
            (Cookie::Session, true) => "chappe-session",
            (Cookie::Session, false) => "__Host-chappe-session",
            (Cookie::Login, true) => "chappe-login",
            (Cookie::Login, false) => "__Host-chappe-login",
            (Cookie::Telegram, true) => "chappe-telegram",
            (Cookie::Telegram, false) => "__Host-chappe-telegram",
        }
    }

    /// What the browser holds.
    pub(super) fn read(self, app: &App, headers: &HeaderMap) -> Option<String> {
        let name = self.name(app.settings.dev);
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    }

    /// Lets the browser hold `value`, which is of letters and digits, for so long.
    pub(super) fn set(self, app: &App, value: &str, life: Duration) -> HeaderValue {
        let dev = app.settings.dev;
        let secure = if dev { "" } else { "; Secure" };
        // Lax, not strict: whoever comes back from a payment or from Telegram is still logged in.
        let text = format!(
            "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
            self.name(dev),
            life.as_secs()
        );
        // What is not printable is in no cookie of ours.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Takes the cookie from the browser.
    pub(super) fn clear(self, app: &App) -> HeaderValue {
        self.set(app, "", Duration::ZERO)
    }
}
