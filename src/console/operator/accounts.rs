//! Every customer.

use super::{Desk, share};
use crate::console::budget::Stat;
use crate::console::form::Form;
use crate::console::shell::{Shell, show};
use crate::console::show::{At, at};
use crate::console::trouble::Trouble;
use crate::store::console::operator::CustomerLine;
use crate::store::console::people::CustomerId;
use askama::Template;
use axum::extract::RawQuery;
use axum::response::Response;
use chappe_core::{Money, Phone};

/// How many customers a page shows.
const PAGE: usize = 50;
/// How many days the figures are of.
const PERIOD_DAYS: i32 = 30;

#[derive(Template)]
#[template(path = "operator_accounts.html")]
struct AccountsPage {
    shell: Shell,
    stats: Vec<Stat>,
    form: Form,
    filtered: bool,
    rows: Vec<Line>,
    newer: String,
    older: String,
}

struct Line {
    href: String,
    name: String,
    place: String,
    balance: Money,
    low: bool,
    sent: i64,
    verified: String,
    seen: Option<At>,
}

fn line(row: CustomerLine) -> Line {
    let place: Vec<_> = [row.city, row.country].into_iter().filter(|part| !part.is_empty()).collect();
    Line {
        href: format!("/operator/accounts/{}", row.id.0),
        name: row.name,
        place: place.join(", "),
        balance: row.balance,
        low: row.low_balance.is_some_and(|below| row.balance < below),
        sent: row.sent,
        verified: share(row.verified, row.sent),
        seen: row.seen_at.map(at),
    }
}

/// The address of this list from a customer on.
fn from(text: &str, before: Option<CustomerId>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if !text.is_empty() {
        query.append_pair("q", text);
    }
    if let Some(before) = before {
        query.append_pair("before", &before.0.to_string());
    }
    let query = query.finish();
    if query.is_empty() { "/operator".to_owned() } else { format!("/operator?{query}") }
}

pub(super) async fn page(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let pages = &desk.app().pages;
    let since = desk.0.now.day() - PERIOD_DAYS + 1;
    let before = form.value("before").parse().ok().map(CustomerId);
    let text: String = form.value("q").chars().take(128).collect();
    let mut rows = match of_person(&desk, &text, since).await? {
        Some(rows) => rows,
        None => {
            let limit = i64::try_from(PAGE).unwrap_or(i64::MAX).saturating_add(1);
            pages.customers(&text, before, since, limit).await?
        }
    };
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let last = rows.last().map(|row| row.id).filter(|_| more);
    let totals = pages.house_totals(since).await?;
    let stat = |label, value: String, note| Stat { label, value, href: String::new(), note };
    show(&AccountsPage {
        shell: desk.shell("/operator"),
        stats: vec![
            stat("Customers", totals.customers.to_string(), ""),
            stat("Balances", totals.balance.to_string(), "credits, together"),
            stat("Sent", totals.sent.to_string(), "30 days"),
            stat("Earned", totals.earned.to_string(), "30 days, less refunds"),
        ],
        filtered: !text.is_empty(),
        rows: rows.into_iter().map(line).collect(),
        newer: if before.is_some() { from(&text, None) } else { String::new() },
        older: last.map(|last| from(&text, Some(last))).unwrap_or_default(),
        form,
    })
}

/// The customers for whom somebody with this number acts, if it is a number that somebody logs in with.
async fn of_person(desk: &Desk, text: &str, since: i32) -> Result<Option<Vec<CustomerLine>>, Trouble> {
    let digits: String = text.chars().filter(|char| !" -().".contains(*char)).collect();
    let Some(phone) = Phone::parse(&digits) else { return Ok(None) };
    let pages = &desk.app().pages;
    let Some(person) = pages.person_of(phone).await? else { return Ok(None) };
    let mut found = Vec::new();
    for member in pages.memberships(person.id).await?.into_iter().take(PAGE) {
        let next = CustomerId(member.customer.0.saturating_add(1));
        found.extend(pages.customers("", Some(next), since, 1).await?);
    }
    Ok(Some(found))
}
