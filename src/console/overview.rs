//! The overview: this period beside the one before, live and exact.

use super::chart::{Bars, Series, steps};
use super::country;
use super::example::curl_of;
use super::figure::{Change, Liking, change, grouped, percent, permille, points};
use super::form::Form;
use super::period::{Chart, Span, date, total};
use super::shell::{Shell, show};
use super::trouble::Trouble;
use super::visit::{Act, Seat};
use crate::app::App;
use crate::store::console::statistics::Sums;
use askama::Template;
use axum::Router;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use chappe_core::Money;
use chappe_core::statistics::Counters;
use std::sync::Arc;

/// The periods, in days up to and with today.
const PERIODS: [(i32, &str); 4] = [(1, "Today"), (7, "7 days"), (30, "30 days"), (90, "90 days")];
const PERIOD_DEFAULT: i32 = 30;
/// How many days before today say how fast money is spent.
const PACE_DAYS: i32 = 7;
/// How many countries are shown before somebody asks for more, and how many then at a time: no page weighs too much.
const COUNTRIES_SHOWN: usize = 10;
const COUNTRIES_PAGE: usize = 40;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/overview", get(page))
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    shell: Shell,
    period: String,
    before: String,
    periods: Vec<Tab>,
    is_empty: bool,
    curl: String,
    balance: Option<Balance>,
    stats: Vec<Stat>,
    funnel: Vec<Step>,
    days: Bars,
    by: Vec<Part>,
}

struct Tab {
    href: String,
    label: &'static str,
    current: bool,
}

struct Balance {
    amount: String,
    left: String,
}

struct Stat {
    label: &'static str,
    value: String,
    change: Change,
    href: String,
    note: String,
}

struct Step {
    label: &'static str,
    value: String,
    href: String,
    share: String,
    change: Change,
    line: String,
}

struct Part {
    id: &'static str,
    title: &'static str,
    head: &'static str,
    rows: Vec<PartRow>,
    /// How many rows are left out, and where they are.
    more: usize,
    more_href: String,
}

struct PartRow {
    href: String,
    label: String,
    sent: String,
    delivered: String,
    verified: String,
    spend: String,
    percent: i64,
}

/// Leads from a number to the requests that it counts, for those who may see them.
#[derive(Clone, Copy, Debug)]
struct Lists {
    allowed: bool,
}

impl Lists {
    /// The requests of these days, further narrowed down by these filters.
    fn of(self, span: Span, filters: &[(&str, &str)]) -> String {
        if !self.allowed {
            return String::new();
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(filters);
        query.append_pair("from", &date(span.from, "%Y-%m-%d"));
        query.append_pair("to", &date(span.to, "%Y-%m-%d"));
        format!("/requests?{}", query.finish())
    }
}

async fn page(seat: Seat, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    seat.may(Act::SeeStatistics)?;
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let asked: i32 = query.value("days").parse().unwrap_or(PERIOD_DEFAULT);
    let length = PERIODS.iter().map(|(days, _)| *days).find(|days| *days == asked).unwrap_or(PERIOD_DEFAULT);
    let today = seat.visit.now.day();
    let span = Span { from: today - (length - 1), to: today };
    let pages = &seat.app().pages;
    let since = span.before().from.min(today - PACE_DAYS);
    let sums = pages.sums(seat.account, since, span.from, span.to).await?;
    let is_empty = sums.days.is_empty() && !pages.has_statistics(seat.account).await?;
    let balance = match seat.may(Act::SeeMoney) {
        Ok(()) => Some(balance(pages.balance(seat.account).await?, &sums, today)),
        Err(_) => None,
    };
    let lists = Lists { allowed: seat.may(Act::SeeRequests).is_ok() };
    let (now, before) = (total(&sums, span), total(&sums, span.before()));
    let tab = |(days, label): &(i32, &'static str)| Tab {
        href: format!("/overview?days={days}"),
        label,
        current: *days == length,
    };
    show(&OverviewPage {
        shell: seat.shell("/overview").await?,
        period: if length == 1 { "Today (UTC)".to_owned() } else { span.in_words() },
        before: match length {
            1 => "the whole of yesterday".to_owned(),
            _ => format!("the {length} days before"),
        },
        periods: PERIODS.iter().map(tab).collect(),
        is_empty,
        curl: if is_empty { curl_of(&seat, &headers) } else { String::new() },
        balance,
        stats: stats(&now, &before, span, lists),
        funnel: funnel(&now, &before, span, lists),
        days: days(&sums, span, lists),
        by: vec![
            countries(sums.countries, &now, span, lists, query.value("countries").parse().unwrap_or(0)),
            {
                part("channels", "Channels", "Channel", &sums.channels, &now, |name| {
                    (name.to_owned(), lists.of(span, &[("channel", name)]))
                })
            },
        ],
    })
}

/// What was charged and not given back.
fn spend(counters: &Counters) -> Money {
    counters.charged.checked_sub(counters.refunded).unwrap_or_default()
}

/// The balance, and how long it lasts at the pace of the last days. Today is not over, so it does not count; nor does the
/// time before the first request, if that is not long ago.
fn balance(amount: Money, sums: &Sums, today: i32) -> Balance {
    let week = Span { from: today - PACE_DAYS, to: today - 1 };
    let first = sums.days.iter().map(|(day, _)| *day).find(|day| week.holds(*day));
    let spent = spend(&total(sums, week)).micros();
    let left = match first {
        Some(first) if spent > 0 => {
            let days = i128::from(amount.micros()) * i128::from(today - first) / i128::from(spent);
            match days {
                ..=0 => "enough for less than a day".to_owned(),
                1 => "enough for about a day".to_owned(),
                2..=730 => format!("enough for about {days} days"),
                _ => "enough for more than two years".to_owned(),
            }
        }
        _ => String::new(),
    };
    Balance { amount: amount.to_string(), left }
}

fn stats(now: &Counters, before: &Counters, span: Span, lists: Lists) -> Vec<Stat> {
    let verified = |counters: &Counters| permille(counters.verified, counters.sent);
    let (spent, spent_before) = (spend(now), spend(before));
    let each = |counters: &Counters| spend(counters).micros().checked_div(counters.verified);
    vec![
        Stat {
            label: "Conversion",
            value: if now.sent == 0 { "–".to_owned() } else { percent(verified(now)) },
            change: match now.sent {
                0 => Change::default(),
                _ => points(verified(now), (before.sent > 0).then(|| verified(before)), Liking::More),
            },
            href: lists.of(span, &[("status", "verified")]),
            note: "of sent codes verified".to_owned(),
        },
        Stat {
            label: "Spend",
            value: spent.to_string(),
            change: change(spent.micros(), spent_before.micros(), Liking::Neither),
            href: lists.of(span, &[]),
            note: "after refunds".to_owned(),
        },
        Stat {
            label: "Refunds",
            value: now.refunded.to_string(),
            change: change(now.refunded.micros(), before.refunded.micros(), Liking::Less),
            href: lists.of(span, &[("status", "refunded")]),
            note: format!("{} expired", grouped(now.expired)),
        },
        Stat {
            label: "Per verified code",
            value: each(now).map_or_else(|| "–".to_owned(), |micros| Money::from_micros(micros).to_string()),
            change: match (each(now), each(before)) {
                (Some(now), Some(before)) => change(now, before, Liking::Less),
                _ => Change::default(),
            },
            href: String::new(),
            note: "spend by verified codes".to_owned(),
        },
    ]
}

fn funnel(now: &Counters, before: &Counters, span: Span, lists: Lists) -> Vec<Step> {
    let shares = [now.sent, now.delivered, now.read, now.verified].map(|part| permille(part, now.sent));
    let step = |label, status: &[(&str, &str)], value: i64, value_before: i64| Step {
        label,
        value: grouped(value),
        href: lists.of(span, status),
        share: String::new(),
        change: change(value, value_before, Liking::Neither),
        line: String::new(),
    };
    let mut funnel = vec![
        step("Sent", &[("status", "message")], now.sent, before.sent),
        step("Delivered", &[("status", "delivered")], now.delivered, before.delivered),
        step("Read", &[("status", "read")], now.read, before.read),
        step("Verified", &[("status", "verified")], now.verified, before.verified),
    ];
    for ((step, share), line) in funnel.iter_mut().zip(shares).zip(steps(&shares)) {
        step.line = line;
        if step.label != "Sent" && now.sent > 0 {
            step.share = format!("{} of sent", percent(share));
        }
    }
    funnel
}

/// Sent, delivered and verified over time.
const DAYS: Chart<'static> = Chart {
    id: "days",
    series: &[
        Series { class: "a", label: "Sent" },
        Series { class: "b", label: "Delivered" },
        Series { class: "c", label: "Verified" },
    ],
    most: "Most were sent",
    nothing: "Nothing was sent in these days.",
    written: grouped,
};

fn days(sums: &Sums, span: Span, lists: Lists) -> Bars {
    let values = |counters: &Counters| vec![counters.sent, counters.delivered, counters.verified];
    DAYS.draw(sums, span, values, |piece| lists.of(piece, &[("status", "message")]))
}

/// Those most is sent to; from page 1 on, all of them, some at a time.
fn countries(rows: Vec<(String, Counters)>, now: &Counters, span: Span, lists: Lists, page: usize) -> Part {
    let (skipped, most) = match page {
        0 => (0, COUNTRIES_SHOWN),
        page => ((page - 1).saturating_mul(COUNTRIES_PAGE), COUNTRIES_PAGE),
    };
    let hidden = rows.len().saturating_sub(skipped.saturating_add(most));
    let rows: Vec<_> = rows.into_iter().skip(skipped).take(most).collect();
    let named = part("countries", "Countries", "Country", &rows, now, |name| {
        (country::name(name).to_owned(), lists.of(span, &[("country", name)]))
    });
    let length = span.length();
    Part {
        more: hidden,
        more_href: format!("/overview?days={length}&countries={}", page.saturating_add(1)),
        ..named
    }
}

fn part(
    id: &'static str,
    title: &'static str,
    head: &'static str,
    rows: &[(String, Counters)],
    now: &Counters,
    name: impl Fn(&str) -> (String, String),
) -> Part {
    let row = |(key, counters): &(String, Counters)| {
        let (label, href) = name(key);
        PartRow {
            href,
            label,
            sent: grouped(counters.sent),
            delivered: grouped(counters.delivered),
            verified: grouped(counters.verified),
            spend: spend(counters).to_string(),
            percent: permille(counters.sent, now.sent) / 10,
        }
    };
    Part { id, title, head, rows: rows.iter().map(row).collect(), more: 0, more_href: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(day: i32, micros: i64) -> (i32, Counters) {
        (day, Counters { charged: Money::from_micros(micros), ..Counters::default() })
    }

    fn left(amount: i64, days: &[(i32, Counters)]) -> String {
        let sums = Sums { days: days.to_vec(), ..Sums::default() };
        balance(Money::from_micros(amount), &sums, 100).left
    }

    #[test]
    fn the_balance_lasts_at_the_pace_of_the_days_before_today() {
        assert_eq!(left(1_000, &[]), "");
        assert_eq!(left(1_000, &[spent(100, 500)]), "", "today is not over");
        assert_eq!(left(1_000, &[spent(92, 500)]), "", "long ago");
        assert_eq!(left(1_000, &[spent(93, 700), spent(100, 900)]), "enough for about 10 days");
        assert_eq!(
            left(1_000, &[spent(98, 100), spent(99, 100)]),
            "enough for about 10 days",
            "two days old"
        );
        assert_eq!(left(99, &[spent(99, 100)]), "enough for less than a day");
        assert_eq!(left(0, &[spent(99, 100)]), "enough for less than a day");
        assert_eq!(left(100, &[spent(99, 100)]), "enough for about a day");
        assert_eq!(left(i64::MAX, &[spent(99, 1)]), "enough for more than two years");
    }

    #[test]
    fn whoever_may_not_see_requests_gets_no_links_to_them() {
        let span = Span { from: 0, to: 0 };
        assert_eq!(Lists { allowed: false }.of(span, &[]), "");
        let list = Lists { allowed: true }.of(span, &[("channel", "a&b")]);
        assert_eq!(list, "/requests?channel=a%26b&from=1970-01-01&to=1970-01-01");
    }

    #[test]
    fn nothing_at_all_is_shown_as_nothing() {
        let none = Counters::default();
        let span = Span { from: 100, to: 100 };
        let lists = Lists { allowed: true };
        let values: Vec<_> = stats(&none, &none, span, lists).into_iter().map(|stat| stat.value).collect();
        assert_eq!(values, ["–", "0", "0", "–"]);
        assert!(funnel(&none, &none, span, lists).iter().all(|step| step.share.is_empty()));
        assert_eq!(days(&Sums::default(), span, lists).bars.len(), 1);
    }
}
