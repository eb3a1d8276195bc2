//! The log of requests: found by filters that live in the address, and the same as a file.

use super::country;
use super::csv;
use super::example::curl_of;
use super::form::Form;
use super::shell::{Shell, show};
use super::show::{At, at, utc};
use super::trouble::Trouble;
use super::visit::{Act, Seat};
use crate::app::App;
use crate::store::console::requests::{RequestLine, Search, Span, Status};
use crate::store::{Reader, StoreError};
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chappe_core::phone::Country;
use chappe_core::text::ChannelName;
use chappe_core::{AccountId, Phone, RequestId, Time, Verification};
use futures_util::stream::try_unfold;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many requests a page shows.
pub(super) const PAGE: usize = 50;
/// How many requests are read at once for a file.
const CSV_PIECE: usize = 1_000;
/// How many requests a file holds at most.
const CSV_ROWS_MAX: usize = 100_000;
/// How many pieces are read for a file, however few requests each of them gives.
const CSV_PIECES_MAX: usize = 1_000;
/// The countries and channels of so many days can be chosen.
const CHOICES_DAYS: i32 = 92;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/requests", get(page)).route("/requests.csv", get(file))
}

/// Something to choose from.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
}

impl Choice {
    pub(super) fn new(value: impl Into<String>, label: impl Into<String>) -> Choice {
        Choice { value: value.into(), label: label.into() }
    }
}

#[derive(Template)]
#[template(path = "requests.html")]
struct RequestsPage {
    shell: Shell,
    form: Form,
    statuses: Vec<Choice>,
    countries: Vec<Choice>,
    channels: Vec<Choice>,
    filtered: bool,
    csv: String,
    curl: String,
    rows: Vec<RequestRow>,
    newer: String,
    older: String,
    reached: Option<At>,
    further: String,
}

/// A request as the list shows it.
struct RequestRow {
    href: String,
    id: String,
    at: At,
    phone: String,
    country: String,
    status: &'static str,
    verified: &'static str,
    channel: String,
    cost: String,
    note: &'static str,
}

impl RequestRow {
    fn of(line: &RequestLine, now: Time) -> RequestRow {
        RequestRow {
            href: format!("/requests/{}", line.id),
            id: line.id.to_string(),
            at: at(line.created_at),
            phone: masked(line.phone),
            country: country::name(line.country.as_str()).to_owned(),
            status: status(line),
            verified: verified(line, now),
            channel: line.channel.to_string(),
            cost: line.cost.to_string(),
            note: if line.refunded { "refunded" } else { "" },
        }
    }
}

/// A number with its middle hidden.
pub(super) fn masked(phone: Phone) -> String {
    format!("+{}", phone.masked())
}

/// The delivery status in one word; `checked` where no message was sent.
pub(super) fn status(line: &RequestLine) -> &'static str {
    line.delivery.map_or("checked", |(delivery, _)| delivery.as_str())
}

/// The verification status in one word; empty as long as there is none.
pub(super) fn verified(line: &RequestLine, now: Time) -> &'static str {
    match line.verification(now) {
        Some(Verification::Valid) => "verified",
        Some(Verification::Invalid | Verification::MaxAttemptsExceeded) => "failed",
        Some(Verification::Expired) => "expired",
        None => "",
    }
}

/// What a state is called where it can be chosen.
fn label(status: Status) -> &'static str {
    match status {
        Status::Message => "Message sent",
        Status::Sent => "On its way",
        Status::Delivered => "Delivered, read or not",
        Status::Read => "Read",
        Status::Verified => "Verified",
        Status::Expired => "Expired",
        Status::Revoked => "Revoked",
        Status::Refunded => "Refunded",
        Status::Checked => "Only checked",
    }
}

/// The fields that narrow a list down, in the order in which addresses have them.
const FIELDS: [&str; 6] = ["q", "status", "country", "channel", "from", "to"];

/// What the filters ask for; `None` if one of them cannot be read, and the form says which.
fn search(form: &mut Form) -> Option<Search> {
    let mut search = Search::ALL;
    let typed = form.value("q").to_owned();
    if let Some(id) = RequestId::parse(&typed) {
        search.span = Span { from: id.number(), before: id.number() + 1 };
    } else if !typed.is_empty() {
        search.phone = phone(&typed);
        if search.phone.is_none() {
            form.fault(
                "q",
                "Write a whole phone number, such as +391234567890, or a request id of 15 digits.",
            );
        }
    }
    search.status = Status::parse(form.value("status"));
    search.country = Country::parse(form.value("country"));
    search.channel = ChannelName::parse(form.value("channel"));
    let unreadable = |name: &str, read: bool| !form.value(name).is_empty() && !read;
    let unknown = unreadable("status", search.status.is_some())
        || unreadable("country", search.country.is_some())
        || unreadable("channel", search.channel.is_some());
    if unknown {
        form.fault("status", "Choose a status, a country and a channel from the lists.");
    }
    for (name, days) in [("from", 0), ("to", 1)] {
        let text = form.value(name).to_owned();
        if text.is_empty() {
            continue;
        }
        match midnight(&text, days) {
            None => form.fault(name, "Write a day such as 2026-11-23."),
            Some(time) => {
                let id = RequestId::floor(time).number();
                let span = &mut search.span;
                if name == "from" { span.from = span.from.max(id) } else { span.before = span.before.min(id) }
            }
        }
    }
    if let Some(before) = RequestId::parse(form.value("before")) {
        search.span.before = search.span.before.min(before.number());
    }
    form.is_good().then_some(search)
}

/// A number as people type it.
fn phone(text: &str) -> Option<Phone> {
    let digits: String = text.chars().filter(|char| !" -()./".contains(*char)).collect();
    Phone::parse(&digits)
}

/// The begin of a day (UTC), or of one that is later by some days.
fn midnight(text: &str, days_later: i64) -> Option<Time> {
    let day: jiff::civil::Date = text.parse().ok()?;
    let begin = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(Time::from_secs(begin + days_later * 86_400))
}

/// The address of a list with these filters and more.
fn address(path: &str, form: &Form, more: &[(&str, &str)]) -> String {
    let given = FIELDS.into_iter().map(|name| (name, form.value(name))).chain(more.iter().copied());
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(given.filter(|(_, value)| !value.is_empty()));
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

async fn page(seat: Seat, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    seat.may(Act::SeeRequests)?;
    let mut form = Form::parse(query.unwrap_or_default().as_bytes());
    let found = match search(&mut form) {
        Some(search) => Some(seat.app().pages.requests(seat.account, &search, PAGE).await?),
        None => None,
    };
    let (countries, channels) = choices(&seat, &form).await?;
    let before = |id: Option<RequestId>| {
        id.map(|id| address("/requests", &form, &[("before", &id.to_string())])).unwrap_or_default()
    };
    let reached = found.as_ref().and_then(|found| found.reached);
    let rows = found.as_ref().map_or(&[][..], |found| &found.rows);
    show(&RequestsPage {
        shell: seat.shell("/requests").await?,
        statuses: all_and("Any", Status::ALL.map(|status| Choice::new(status.as_str(), label(status)))),
        countries: all_and("Any", by_name(countries)),
        channels: all_and("Any", channels.into_iter().map(|name| Choice::new(name.clone(), name))),
        filtered: FIELDS.iter().any(|name| !form.value(name).is_empty()),
        csv: address("/requests.csv", &form, &[]),
        curl: curl_of(&seat, &headers),
        rows: rows.iter().map(|line| RequestRow::of(line, seat.visit.now)).collect(),
        newer: match form.value("before") {
            "" => String::new(),
            _ => address("/requests", &form, &[]),
        },
        older: before(found.as_ref().and_then(|found| found.more)),
        reached: reached.map(|id| at(id.drawn_at())),
        further: before(reached),
        form,
    })
}

pub(super) fn all_and(all: &str, choices: impl IntoIterator<Item = Choice>) -> Vec<Choice> {
    std::iter::once(Choice::new("", all)).chain(choices).collect()
}

/// Countries by their names, and in the order of these.
fn by_name(codes: BTreeSet<String>) -> Vec<Choice> {
    let named: BTreeSet<(String, String)> =
        codes.into_iter().map(|code| (country::name(&code).to_owned(), code)).collect();
    named.into_iter().map(|(name, code)| Choice::new(code, name)).collect()
}

/// The countries and the channels that can be chosen: those of late, and whatever is chosen already.
async fn choices(seat: &Seat, form: &Form) -> Result<(BTreeSet<String>, BTreeSet<String>), Trouble> {
    let since = seat.visit.now.day() - CHOICES_DAYS;
    let kinds = seat.app().pages.kinds_of_requests(seat.account, since).await?;
    let (mut countries, mut channels): (BTreeSet<_>, BTreeSet<_>) = kinds.into_iter().unzip();
    countries.extend(Country::parse(form.value("country")).map(|country| country.as_str().to_owned()));
    channels.extend(ChannelName::parse(form.value("channel")).map(|channel| channel.to_string()));
    Ok((countries, channels))
}

/// A file that is being written.
struct File {
    pages: Reader,
    account: AccountId,
    search: Search,
    now: Time,
    rows: usize,
    pieces: usize,
}

async fn file(seat: Seat, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    seat.may(Act::SeeRequests)?;
    let mut form = Form::parse(query.unwrap_or_default().as_bytes());
    let search = search(&mut form).ok_or(Trouble::Invalid)?;
    let file = File {
        pages: seat.app().pages.clone(),
        account: seat.account,
        search,
        now: seat.visit.now,
        rows: 0,
        pieces: 0,
    };
    let head = csv::line([
        "request_id",
        "created_at",
        "phone_number",
        "country",
        "delivery_status",
        "delivered_or_ended_at",
        "verification_status",
        "channel",
        "cost",
        "refunded",
        "payload",
    ]);
    let head = futures_util::stream::iter([Ok(head)]);
    let lines = try_unfold(Some(file), |file| async {
        match file {
            Some(file) => file.piece().await.map(Some),
            None => Ok(None),
        }
    });
    let body = Body::from_stream(futures_util::StreamExt::chain(head, lines));
    let name = format!("attachment; filename=\"requests-{}.csv\"", utc(seat.visit.now, "%Y-%m-%d"));
    let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, name.as_str())];
    Ok((headers, body).into_response())
}

impl File {
    /// The next lines, and what is left to do after them.
    async fn piece(mut self) -> Result<(String, Option<File>), StoreError> {
        let limit = CSV_PIECE.min(CSV_ROWS_MAX - self.rows);
        let found = self.pages.requests(self.account, &self.search, limit).await?;
        let lines = found.rows.iter().map(|line| csv_line(line, self.now)).collect();
        self.rows += found.rows.len();
        self.pieces += 1;
        let next = found.more.or(found.reached);
        let goes_on = self.rows < CSV_ROWS_MAX && self.pieces < CSV_PIECES_MAX;
        let rest = next.filter(|_| goes_on).map(|next| {
            self.search.span.before = next.number();
            self
        });
        Ok((lines, rest))
    }
}

fn csv_line(line: &RequestLine, now: Time) -> String {
    let time = |time: Time| utc(time, "%Y-%m-%dT%H:%M:%SZ");
    csv::line([
        line.id.to_string().as_str(),
        &time(line.created_at),
        &line.phone.masked(),
        line.country.as_str(),
        status(line),
        &line.delivery.map(|(_, at)| time(at)).unwrap_or_default(),
        line.verification(now).map_or("", Verification::as_str),
        line.channel.as_str(),
        &line.cost.to_string(),
        if line.refunded { "yes" } else { "no" },
        &line.payload,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(query: &str) -> Result<Search, Vec<&'static str>> {
        let mut form = Form::parse(query.as_bytes());
        search(&mut form).ok_or_else(|| form.errors.iter().map(|fault| fault.name).collect())
    }

    #[test]
    fn filters_are_read_from_the_address() {
        let found = searched("q=%2B39+123-456(7890)&status=read&country=IT&channel=sms").unwrap();
        assert_eq!(found.phone, Phone::parse("391234567890"));
        assert_eq!((found.status, found.country), (Some(Status::Read), Country::parse("IT")));
        assert_eq!((found.channel, found.span), (ChannelName::parse("sms"), Span::ALL));
        let found = searched("q=222370177540343&before=222370177540340").unwrap();
        assert_eq!(found.span, Span { from: 222_370_177_540_343, before: 222_370_177_540_340 });
        // The whole of the last day is meant.
        let found = searched("from=2026-11-01&to=2026-11-01").unwrap();
        assert_eq!(found.span.before - found.span.from, 86_400_000_000);
        assert_eq!(searched("").unwrap().span, Span::ALL);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (query, fault) in [
            ("q=anna", "q"),
            ("q=12345", "q"),
            ("from=yesterday", "from"),
            ("to=2026-02-30", "to"),
            ("to=99999-01-01", "to"),
            ("status=gone", "status"),
            ("country=italy", "status"),
            ("channel=%2A", "status"),
        ] {
            assert_eq!(searched(query).unwrap_err(), [fault], "{query}");
        }
    }

    #[test]
    fn addresses_keep_the_filters() {
        let form = Form::parse(b"channel=sms&q=%2B39&before=1&said=saved&to=");
        assert_eq!(address("/requests", &form, &[("before", "7")]), "/requests?q=%2B39&channel=sms&before=7");
        assert_eq!(address("/requests", &Form::default(), &[]), "/requests");
    }
}
