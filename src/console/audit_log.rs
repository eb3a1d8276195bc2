//! The audit log: who did what.

use super::form::Form;
use super::shell::{Shell, show};
use super::show::{At, at};
use super::trouble::Trouble;
use super::visit::{Act, Seat};
use crate::app::App;
use crate::store::console::audit_log::Entry;
use askama::Template;
use axum::Router;
use axum::extract::RawQuery;
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;

/// How many entries a page shows.
const PAGE: usize = 50;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/log", get(page))
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    shell: Shell,
    rows: Vec<LogLine>,
    newer: String,
    older: String,
}

/// An entry as the page shows it.
pub(super) struct LogLine {
    at: At,
    who: String,
    action: String,
    detail: String,
    address: String,
}

/// One page of entries: the lines, and the number of the last one if there are more.
pub(super) fn lines(mut entries: Vec<(i64, Entry)>) -> (Vec<LogLine>, Option<i64>) {
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let last = entries.last().map(|(id, _)| *id).filter(|_| more);
    let line = |(_, entry): (i64, Entry)| LogLine {
        at: at(entry.at),
        who: entry.who,
        action: entry.action,
        detail: entry.detail,
        address: entry.address,
    };
    (entries.into_iter().map(line).collect(), last)
}

async fn page(seat: Seat, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    seat.may(Act::Manage)?;
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let before = query.value("before").parse().ok();
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX).saturating_add(1);
    let entries = seat.app().pages.audit_log(Some(seat.member.customer), before, limit).await?;
    let (rows, last) = lines(entries);
    show(&LogPage {
        shell: seat.shell("/log").await?,
        rows,
        newer: if before.is_some() { "/log".to_owned() } else { String::new() },
        older: last.map(|last| format!("/log?before={last}")).unwrap_or_default(),
    })
}
