//! Pages for those who run this gateway. To everybody else they do not exist.

mod accounts;
mod channels;
mod customer;
mod log;
mod prices;
mod refund;
pub(super) mod senders;

use super::path::up;
use super::shell::Shell;
use super::trouble::Trouble;
use super::visit::Visit;
use crate::app::App;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::routing::get;
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/operator", get(accounts::page))
        .route("/operator/accounts/{customer}", get(customer::page))
        .route("/operator/accounts/{customer}/credit", get(up).post(customer::credit))
        .route("/operator/accounts/{customer}/adjust", get(up).post(customer::adjust))
        .route("/operator/payments/{payment}/refund", get(refund::page).post(refund::give_back))
        .route("/operator/senders", get(senders::page).post(senders::judge))
        .route("/operator/channels", get(channels::page))
        .route("/operator/prices", get(prices::page))
        .route("/operator/log", get(log::page))
}

/// Somebody who runs this gateway.
#[derive(Clone, Debug)]
struct Desk(Visit);

impl FromRequestParts<Arc<App>> for Desk {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Desk, Trouble> {
        Desk::of(Visit::from_request_parts(parts, app).await?)
    }
}

impl Desk {
    fn of(visit: Visit) -> Result<Desk, Trouble> {
        visit.operator()?;
        Ok(Desk(visit))
    }

    fn shell(&self, page: &str) -> Shell {
        Shell::of_operator(&self.0, page)
    }

    fn app(&self) -> &App {
        &self.0.app
    }
}

/// A text that pages list.
struct Text {
    text: String,
}

/// A name with its value.
struct Pair {
    label: &'static str,
    value: String,
}

/// So many of so many, as a share: `96 %`; nothing of nothing.
fn share(part: i64, whole: i64) -> String {
    if whole <= 0 { String::new() } else { format!("{} %", percent(part, whole)) }
}

/// So many of so many, from 0 to 100.
fn percent(part: i64, whole: i64) -> i64 {
    if whole <= 0 { 0 } else { (part.saturating_mul(100) / whole).clamp(0, 100) }
}
