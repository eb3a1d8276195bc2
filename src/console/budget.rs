//! The budget: what there is, every movement with the balance after it, and when to be warned.

use super::budget_csv;
use super::chart::{Bars, Series};
use super::example::curl_of;
use super::form::{Form, Posted};
use super::path::up;
use super::period::{Chart, Span, date};
use super::shell::{Shell, show};
use super::show::{At, at};
use super::trouble::{Trouble, see_other};
use super::visit::{Act, Seat};
use crate::app::App;
use crate::store::console::movements::{MovementFilter, MovementRow, Side};
use crate::store::console::people::set_low_balance;
use askama::Template;
use axum::Router;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use chappe_core::ledger::Kind;
use chappe_core::statistics::Counters;
use chappe_core::{Mode, Money, Time};
use std::sync::Arc;
use std::time::Duration;

/// How many movements a page shows.
const PAGE: usize = 50;
/// How many days the sums at the top are of.
const PERIOD_DAYS: i32 = 30;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// What the filter may ask for: the kinds, as people call them.
const KINDS: [(&str, &str); 5] = [
    ("", "All movements"),
    ("charge", "Fees"),
    ("refund", "Refunds"),
    ("deposit", "Payments"),
    ("adjustment", "Corrections"),
];

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/budget", get(page))
        .route("/budget.csv", get(csv))
        .route("/budget/alert", get(up).post(set_alert))
}

#[derive(Template)]
#[template(path = "budget.html")]
struct BudgetPage {
    shell: Shell,
    may_add: bool,
    stats: Vec<Stat>,
    /// Spend over time; nothing where none was ever charged.
    days: Option<Bars>,
    form: Form,
    alert: Form,
    kinds: Vec<Choice>,
    filtered: bool,
    csv: String,
    newer: String,
    older: String,
    text: String,
    rows: Vec<Line>,
    curl: String,
}

/// A figure at the top.
pub(super) struct Stat {
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) href: String,
    pub(super) note: &'static str,
}

/// An entry of a list to choose from.
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
}

/// A movement as pages show it.
pub(super) struct Line {
    pub(super) at: At,
    pub(super) kind: &'static str,
    pub(super) what: String,
    pub(super) href: String,
    pub(super) amount: String,
    pub(super) balance: String,
    pub(super) income: bool,
}

/// What a kind is called on pages.
fn called(kind: Kind) -> &'static str {
    match kind {
        Kind::Charge => "Fee",
        Kind::Refund => "Refund",
        Kind::Deposit => "Payment",
        Kind::Adjustment => "Correction",
    }
}

/// A movement as pages show it; with a link to its request if whoever looks may follow that.
pub(super) fn line(row: MovementRow, linked: bool) -> Line {
    let (what, href) = match (row.request, row.reference) {
        (Some(request), _) if linked => (request.to_string(), format!("/requests/{request}")),
        (Some(request), _) => (request.to_string(), String::new()),
        (None, Some(reference)) => (format!("{} ({reference})", row.reason), String::new()),
        (None, None) => (row.reason, String::new()),
    };
    let income = row.amount.is_positive();
    Line {
        at: at(row.at),
        kind: called(row.kind),
        what,
        href,
        amount: format!("{}{}", if income { "+" } else { "" }, row.amount),
        balance: row.balance.to_string(),
        income,
    }
}

/// Midnight of a day as browsers write it, in UTC.
fn midnight(text: &str) -> Option<Time> {
    // What is longer names a moment of that day, which would be passed over in silence.
    let date: jiff::civil::Date = (text.len() == "2026-09-20".len()).then(|| text.parse().ok())??;
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    (1970..=9999).contains(&date.year()).then(|| Time::from_secs(zoned.timestamp().as_second()))
}

/// Which movements the address asks for. What cannot be read is a fault of its field, and filters nothing.
fn filter(form: &mut Form) -> MovementFilter {
    let mut moment = |name: &'static str| {
        let text = form.value(name).to_owned();
        let found = midnight(&text);
        if !text.is_empty() && found.is_none() {
            form.fault(name, "Write the day as in 2026-09-20.");
        }
        found
    };
    let (from, to) = (moment("from"), moment("to").map(|day| day + DAY));
    MovementFilter { kind: Kind::parse(form.value("kind")), from, to }
}

/// The filter as part of an address, with what comes behind it.
fn address(path: &str, form: &Form, more: Option<(&str, i64)>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for name in ["kind", "from", "to"] {
        if !form.value(name).is_empty() {
            query.append_pair(name, form.value(name));
        }
    }
    if let Some((name, seq)) = more {
        query.append_pair(name, &seq.to_string());
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

async fn page(seat: Seat, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    seat.may(Act::SeeMoney)?;
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let below = seat.app().pages.customer(seat.member.customer).await?;
    let below = below.and_then(|customer| customer.low_balance).map(|below| below.to_string());
    let alert = Form::filled([("alert", below.unwrap_or_default())]);
    show_page(seat, &headers, form, alert).await
}

async fn show_page(
    seat: Seat,
    headers: &HeaderMap,
    mut form: Form,
    alert: Form,
) -> Result<Response, Trouble> {
    let pages = &seat.app().pages;
    let wanted = filter(&mut form);
    let seq = |name| form.value(name).parse::<i64>().ok();
    let side = match (seq("after"), seq("before")) {
        (Some(after), _) => Side::After(after),
        (None, before) => Side::Before(before.unwrap_or(i64::MAX)),
    };
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = pages.movements(seat.account, &wanted, side, limit).await?;
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let (has_newer, has_older) = match side {
        Side::Before(before) => (before != i64::MAX, more),
        Side::After(_) => {
            rows.reverse();
            (more, true)
        }
    };
    let to = |wanted: bool, name, row: Option<&MovementRow>| match row.filter(|_| wanted) {
        Some(row) => address("/budget", &form, Some((name, row.seq))),
        None => String::new(),
    };
    let (newer, older) = (to(has_newer, "after", rows.first()), to(has_older, "before", rows.last()));
    let linked = seat.may(Act::SeeRequests).is_ok();
    show(&BudgetPage {
        shell: seat.shell("/budget").await?,
        may_add: seat.may(Act::AddFunds).is_ok(),
        stats: stats(&seat).await?,
        days: days(&seat).await?,
        kinds: KINDS.map(|(value, label)| Choice { value, label }).into(),
        filtered: ["kind", "from", "to"].iter().any(|name| !form.value(name).is_empty()),
        csv: address("/budget.csv", &form, None),
        newer,
        older,
        text: String::new(),
        rows: rows.into_iter().map(|row| line(row, linked)).collect(),
        curl: curl_of(&seat, headers),
        form,
        alert,
    })
}

async fn stats(seat: &Seat) -> Result<Vec<Stat>, Trouble> {
    let pages = &seat.app().pages;
    let today = seat.visit.now.day();
    let since = Time::from_secs(i64::from(today - PERIOD_DAYS + 1) * 24 * 3600);
    let turnover = pages.turnover(seat.account, today - PERIOD_DAYS + 1).await?;
    let listed = |kind: &str| format!("/budget?kind={kind}&from={}", super::show::utc(since, "%Y-%m-%d"));
    let stat = |label, value: Money, href, note| Stat { label, value: value.to_string(), href, note };
    let unit = if seat.mode == Mode::Test { "credits of play money" } else { "credits" };
    Ok(vec![
        stat("Balance", pages.balance(seat.account).await?, String::new(), unit),
        stat("Fees", turnover.charged, listed("charge"), "30 days"),
        stat("Refunds", turnover.refunded, listed("refund"), "of these fees"),
        stat("Payments", pages.deposits(seat.account, since).await?, listed("deposit"), "30 days"),
    ])
}

/// What each day's requests were charged and not given back, with the day's fees behind each bar.
const DAYS: Chart<'static> = Chart {
    id: "days",
    series: &[Series { class: "a", label: "Spent" }],
    most: "Most was spent",
    nothing: "Nothing was spent in these days.",
    written: |micros| Money::from_micros(micros).to_string(),
};

async fn days(seat: &Seat) -> Result<Option<Bars>, Trouble> {
    let today = seat.visit.now.day();
    let span = Span { from: today - PERIOD_DAYS + 1, to: today };
    let sums = seat.app().pages.sums(seat.account, span.from, span.to, span.to).await?;
    let spent = |counters: &Counters| vec![counters.charged.micros() - counters.refunded.micros()];
    let fees = |piece: Span| {
        let day = |day| date(day, "%Y-%m-%d");
        format!("/budget?kind=charge&from={}&to={}", day(piece.from), day(piece.to))
    };
    Ok((!sums.days.is_empty()).then(|| DAYS.draw(&sums, span, spent, fees)))
}

async fn csv(seat: Seat, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    seat.may(Act::SeeMoney)?;
    let mut form = Form::parse(query.unwrap_or_default().as_bytes());
    let wanted = filter(&mut form);
    if !form.is_good() {
        return Err(Trouble::Invalid);
    }
    let name = format!("{}-{}", seat.mode.as_str(), super::show::utc(seat.visit.now, "%Y-%m-%d"));
    budget_csv::download(seat.visit.app.clone(), seat.account, wanted, &name)
}

async fn set_alert(headers: HeaderMap, Posted { visit, form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::AddFunds)?;
    let mut alert = form;
    let below = match alert.value("alert") {
        "" => None,
        text => match text.parse::<Money>() {
            Ok(below) if below.is_positive() => Some(below),
            _ => {
                alert.fault("alert", "Write an amount above zero, such as 25 or 2.50, or nothing.");
                return show_page(seat, &headers, Form::default(), alert).await;
            }
        },
    };
    let detail = below.map_or_else(|| "never".to_owned(), |below| format!("below {below}"));
    let change = set_low_balance(seat.member.customer, below).noted(&seat.entry("budget.alert", detail));
    seat.visit.change(change).await?;
    Ok(see_other("/budget?said=saved"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(midnight("1970-01-02"), Some(Time::from_secs(86_400)));
        for text in ["", "2026", "2026-02-30", "20.9.2026", "0001-01-01", "-000001-01-01", "2026-09-20T10:00"]
        {
            assert_eq!(midnight(text), None, "{text}");
        }
    }

    #[test]
    fn an_address_keeps_the_filter() {
        let form = Form::parse(b"kind=charge&from=2026-09-20&to=&before=7&x=%26");
        assert_eq!(address("/budget", &form, None), "/budget?kind=charge&from=2026-09-20");
        let further = address("/budget", &form, Some(("before", 3)));
        assert_eq!(further, "/budget?kind=charge&from=2026-09-20&before=3");
        assert_eq!(address("/budget", &Form::default(), None), "/budget");
    }
}
