//! The audit log of everything.

use super::Desk;
use crate::console::audit_log::{Choice, Filter, kind};
use crate::console::form::Form;
use crate::console::shell::{Shell, show};
use crate::console::show::{At, at};
use crate::console::trouble::Trouble;
use crate::store::console::audit_log::Entry;
use crate::store::console::people::CustomerId;
use askama::Template;
use axum::extract::RawQuery;
use axum::response::Response;
use std::collections::BTreeMap;

const PATH: &str = "/operator/log";

/// What can be looked for.
const KINDS: [Choice; 12] = [
    kind("", "Everything"),
    kind("log", "Logging in and out"),
    kind("session.", "Sessions"),
    kind("operator.", "Operators"),
    kind("account.", "Balance"),
    kind("payment.", "Payments"),
    kind("sender.", "Senders"),
    kind("token.", "Tokens"),
    kind("member.", "Team"),
    kind("customer.", "Profile"),
    kind("report.", "Reports"),
    kind("budget.", "Budget"),
];

#[derive(Template)]
#[template(path = "operator_log.html")]
struct LogPage {
    shell: Shell,
    form: Form,
    kinds: &'static [Choice],
    filtered: bool,
    rows: Vec<Line>,
    newer: String,
    older: String,
    /// How far back was looked, where there is more to look through.
    looked: Option<At>,
}

struct Line {
    at: At,
    /// Where the customer is whom it concerns, and what it is called; empty: the house.
    href: String,
    customer: String,
    who: String,
    action: String,
    detail: String,
    address: String,
}

fn line(entry: Entry, names: &BTreeMap<CustomerId, String>) -> Line {
    let Entry { at: when, customer, who, action, detail, address, .. } = entry;
    let href = customer.map(|customer| format!("/operator/accounts/{}", customer.0)).unwrap_or_default();
    let customer = customer.and_then(|customer| names.get(&customer)).cloned().unwrap_or_default();
    Line { at: at(when), href, customer, who, action, detail, address }
}

pub(super) async fn page(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let filter = Filter::of(&form, PATH, &KINDS);
    let found = filter.find(desk.app(), None).await?;
    let mut names = BTreeMap::new();
    for (_, entry) in &found.rows {
        let Some(id) = entry.customer.filter(|id| !names.contains_key(id)) else { continue };
        let customer = desk.app().pages.customer(id).await?;
        names.insert(id, customer.map(|customer| customer.name).unwrap_or_default());
    }
    show(&LogPage {
        shell: desk.shell(PATH),
        kinds: &KINDS,
        filtered: filter.is_set(),
        newer: filter.newer(),
        older: filter.older(&found),
        rows: found.rows.into_iter().map(|(_, entry)| line(entry, &names)).collect(),
        looked: found.stopped,
        form,
    })
}
