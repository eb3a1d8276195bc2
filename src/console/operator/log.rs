//! The audit log of everything.

use super::Desk;
use crate::console::form::Form;
use crate::console::shell::{Shell, show};
use crate::console::show::{At, at};
use crate::console::trouble::Trouble;
use crate::store::console::audit_log::Entry;
use askama::Template;
use axum::extract::RawQuery;
use axum::response::Response;

/// How many entries a page shows.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "operator_log.html")]
struct LogPage {
    shell: Shell,
    rows: Vec<Line>,
    newer: String,
    older: String,
}

struct Line {
    at: At,
    /// Where the customer is whom it concerns; empty: the house.
    href: String,
    who: String,
    action: String,
    detail: String,
    address: String,
}

fn line(entry: Entry) -> Line {
    let Entry { at: when, customer, who, action, detail, address, .. } = entry;
    let href = customer.map(|customer| format!("/operator/accounts/{}", customer.0)).unwrap_or_default();
    Line { at: at(when), href, who, action, detail, address }
}

pub(super) async fn page(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let before = query.value("before").parse().ok();
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX).saturating_add(1);
    let mut entries = desk.app().pages.audit_log(None, before, limit).await?;
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let last = entries.last().map(|(id, _)| *id).filter(|_| more);
    show(&LogPage {
        shell: desk.shell("/operator/log"),
        rows: entries.into_iter().map(|(_, entry)| line(entry)).collect(),
        newer: if before.is_some() { "/operator/log".to_owned() } else { String::new() },
        older: last.map(|last| format!("/operator/log?before={last}")).unwrap_or_default(),
    })
}
