//! Reports: what was posted to the customer's servers and how that went, sending it again, and checking signatures.

use super::example::curl_of;
use super::form::{Form, Posted, local};
use super::path::up;
use super::requests::{Choice, PAGE};
use super::shell::{Shell, show};
use super::show::{At, at};
use super::signature::{Found, Received, check};
use super::trouble::{Trouble, see_other};
use super::visit::{Act, Seat};
use crate::app::App;
use crate::engine::Failure;
use crate::store::Change;
use crate::store::console::reports::{ReportLine, ReportSearch};
use crate::store::console::requests::Span;
use crate::tokens::Token;
use crate::work::BATCH;
use askama::Template;
use axum::Router;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use chappe_core::report::{RETRY_DELAYS_S, State};
use chappe_core::{Command, ReportId, RequestId, Time};
use std::sync::Arc;

/// How many lost reports one step of a recovery takes on: about a second's work.
const STEP_MAX: usize = 10_000;
/// So many lost reports are counted, and no more.
const COUNT_MAX: i64 = 100_000;
/// The longest body of a report that is checked, in characters.
const BODY_MAX: usize = 4_096;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/reports", get(page))
        .route("/reports/again", get(up).post(again))
        .route("/reports/recover", get(up).post(recover))
        .route("/reports/check", get(up).post(check_signature))
}

/// A state that the list can be narrowed down to.
struct Tab {
    href: String,
    label: &'static str,
    count: String,
    current: bool,
}

#[derive(Template)]
#[template(path = "reports.html")]
struct ReportsPage {
    shell: Shell,
    tabs: Vec<Tab>,
    form: Form,
    filtered: bool,
    curl: String,
    rows: Vec<ReportRow>,
    lost: String,
    may_resend: bool,
    newer: String,
    older: String,
    reached: Option<At>,
    further: String,
    check: Option<Found>,
    tokens: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "recovery.html")]
struct RecoveryPage {
    shell: Shell,
    done: i64,
    total: i64,
    text: String,
    since: String,
    after: String,
}

/// A report as the list shows it.
struct ReportRow {
    id: String,
    request_href: String,
    request: String,
    host: String,
    event: &'static str,
    status: &'static str,
    answer: String,
    latency: String,
    attempts: String,
    at: Option<At>,
    next: Option<At>,
    under_way: bool,
    can_repeat: bool,
}

impl ReportRow {
    fn of(report: &ReportLine, may_resend: bool) -> ReportRow {
        let under_way = report.leased && report.state == State::Pending;
        let waits = report.state == State::Pending && !under_way;
        ReportRow {
            id: name(report.id),
            request_href: format!("/requests/{}", report.id.request),
            request: report.id.request.to_string(),
            host: report.receiver.clone(),
            event: report.delivery.as_str(),
            status: badge(report.state),
            answer: answer(report),
            latency: latency(report),
            attempts: format!("{} of {}", report.attempts, RETRY_DELAYS_S.len() + 1),
            at: report.last_attempt.map(|(time, _)| at(time)),
            next: waits.then(|| at(report.due_at)),
            under_way,
            can_repeat: may_resend && !under_way,
        }
    }
}

/// A report's name, which is its `webhook-id` as well.
fn name(id: ReportId) -> String {
    format!("{}-{}", id.request, id.seq)
}

fn parse_name(text: &str) -> Option<ReportId> {
    let (request, seq) = text.split_once('-')?;
    let id = ReportId { request: RequestId::parse(request)?, seq: seq.parse().ok()? };
    (name(id) == text).then_some(id)
}

/// The drawing of a report's state.
pub(super) fn badge(state: State) -> &'static str {
    match state {
        State::Acknowledged => "delivered",
        State::Pending => "pending",
        State::Lost => "lost",
    }
}

/// What the last attempt came to.
pub(super) fn answer(report: &ReportLine) -> String {
    report.last_result.clone().unwrap_or_else(|| "not tried yet".to_owned())
}

/// How long the last attempt took.
pub(super) fn latency(report: &ReportLine) -> String {
    report.last_attempt.map(|(_, took)| format!("{} ms", took.as_millis())).unwrap_or_default()
}

/// What the address asks for; `None` if it cannot be read, and the form says why.
fn search(form: &mut Form) -> Option<ReportSearch> {
    let mut search = ReportSearch { before: parse_name(form.value("before")), ..ReportSearch::ALL };
    let typed = form.value("q");
    match RequestId::parse(typed) {
        Some(id) => search.span = Span { from: id.number(), before: id.number() + 1 },
        None => search.receiver = typed.to_lowercase(),
    }
    // A page that looks further back begins before a request, not before a report.
    if let Some(further) = RequestId::parse(form.value("further")) {
        search.span.before = search.span.before.min(further.number());
    }
    search.state = match form.value("state") {
        "" => None,
        state => Some(State::parse(state).or_else(|| {
            form.fault("q", "There is no such state.");
            None
        })?),
    };
    Some(search)
}

fn address(form: &Form, more: (&str, &str)) -> String {
    let given = ["state", "q"].map(|name| (name, form.value(name)));
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(given.into_iter().chain([more]).filter(|(_, value)| !value.is_empty()));
    match query.finish() {
        query if query.is_empty() => "/reports".to_owned(),
        query => format!("/reports?{query}"),
    }
}

async fn page(seat: Seat, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    seat.may(Act::SeeRequests)?;
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    show_page(&seat, &headers, form, None).await
}

/// The page. `form` holds its filters, or what was sent to be checked; `found` is what came of that.
async fn show_page(
    seat: &Seat,
    headers: &HeaderMap,
    mut form: Form,
    found: Option<Found>,
) -> Result<Response, Trouble> {
    let pages = &seat.app().pages;
    let reports = match search(&mut form) {
        Some(search) => Some(pages.reports(seat.account, &search, PAGE).await?),
        None => None,
    };
    let may_resend = seat.may(Act::ResendReports).is_ok();
    let lost = pages.count_lost(seat.account, RequestId::floor(Time::from_micros(0)), COUNT_MAX).await?;
    let lost = match lost {
        0 => String::new(),
        COUNT_MAX => format!("{COUNT_MAX} or more"),
        lost => lost.to_string(),
    };
    let tokens = tokens_of(seat).await?;
    let rows = reports.as_ref().map_or(&[][..], |found| &found.rows);
    let more = reports.as_ref().and_then(|found| found.more);
    let reached = reports.as_ref().and_then(|found| found.reached);
    let is_first = form.value("before").is_empty() && form.value("further").is_empty();
    show(&ReportsPage {
        shell: seat.shell("/reports").await?,
        tabs: tabs(&form, &lost),
        filtered: ["q", "state"].iter().any(|name| !form.value(name).is_empty()),
        curl: format!("{} \\\n  -d callback_url=https://example.com/chappe", curl_of(seat, headers)),
        rows: rows.iter().map(|report| ReportRow::of(report, may_resend)).collect(),
        lost,
        may_resend,
        newer: if is_first { String::new() } else { address(&form, ("", "")) },
        older: more.map(|id| address(&form, ("before", &name(id)))).unwrap_or_default(),
        reached: reached.map(|id| at(id.drawn_at())),
        further: reached.map(|id| address(&form, ("further", &id.to_string()))).unwrap_or_default(),
        check: found,
        tokens: tokens.iter().map(|token| Choice::new(token.id.0.to_string(), token.name.clone())).collect(),
        form,
    })
}

fn tabs(form: &Form, lost: &str) -> Vec<Tab> {
    let current = form.value("state");
    [("", "All"), ("pending", "Pending"), ("lost", "Lost"), ("acknowledged", "Acknowledged")]
        .into_iter()
        .map(|(state, label)| {
            let kept = Form::filled([("q", form.value("q").to_owned())]);
            let count = if state == "lost" { lost.to_owned() } else { String::new() };
            Tab { href: address(&kept, ("state", state)), label, count, current: current == state }
        })
        .collect()
}

/// The tokens of the account, the newest first, also those that have ended: they go on signing what they asked for.
async fn tokens_of(seat: &Seat) -> Result<Vec<Token>, Trouble> {
    let tokens = seat.app().pages.tokens(Some(seat.account)).await?;
    Ok(tokens.into_iter().rev().map(Arc::new).collect())
}

/// Sends one report again.
async fn again(Posted { visit, form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::ResendReports)?;
    let report = parse_name(form.value("report")).ok_or(Trouble::NotFound)?;
    let known = seat.app().pages.reports_of(seat.account, report.request).await?;
    if !known.iter().any(|line| line.id == report) {
        return Err(Trouble::NotFound);
    }
    seat.visit.change(Change::default().noted(&seat.entry("report.resend", name(report)))).await?;
    let command = Command::ResendReport { now: seat.app().clock.now(), account: seat.account, report };
    match seat.app().engine.submit(command).await {
        Ok(_) => Ok(see_other(&said(&local(form.value("back")), "report-again"))),
        Err(Failure::Rejected(_)) => Err(Trouble::NotFound),
        Err(failure) => Err(failure.into()),
    }
}

/// The address of a page of reports that says what the step before came to.
fn said(back: &str, key: &str) -> String {
    let (path, query) = back.split_once('?').unwrap_or((back, ""));
    if path != "/reports" {
        return format!("/reports?said={key}");
    }
    let kept = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "said");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("said", key)
        .finish();
    format!("/reports?{query}")
}

/// Sends all lost reports of requests since a moment again, a step at a time: the page between two steps says how far it
/// is, and goes on. A recovery that is left in the middle has lost nothing; the same again takes on what is still lost.
async fn recover(headers: HeaderMap, Posted { visit, mut form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::ResendReports)?;
    let Some(begin) = moment(form.value("since")) else {
        form.fault("since", "Write a moment such as 2026-11-23T10:00.");
        return show_page(&seat, &headers, form, None).await;
    };
    let since = RequestId::floor(begin);
    let after = parse_name(form.value("after"));
    let done_before = form.value("done").parse().unwrap_or(0_i64).clamp(0, i64::from(u32::MAX));
    if after.is_none() {
        let detail = format!("requests since {}", at(begin).text);
        seat.visit.change(Change::default().noted(&seat.entry("report.recover", detail))).await?;
    }
    let (done, last) = take_on(&seat, since, after).await?;
    let Some(last) = last else {
        let key = if done_before + done == 0 { "nothing-lost" } else { "reports-again" };
        return Ok(see_other(&format!("/reports?said={key}")));
    };
    let done = done_before + done;
    let left = seat.app().pages.count_lost(seat.account, last.request, COUNT_MAX).await?;
    let more = if left == COUNT_MAX { " or more" } else { "" };
    show(&RecoveryPage {
        shell: seat.shell("/reports").await?,
        done,
        total: done + left,
        text: format!("{done} are being sent again, {left}{more} are left."),
        since: form.value("since").to_owned(),
        after: name(last),
    })
}

/// One step of a recovery: how many reports it took on, and the last of them if there may be more.
async fn take_on(
    seat: &Seat,
    since: RequestId,
    mut after: Option<ReportId>,
) -> Result<(i64, Option<ReportId>), Trouble> {
    let (app, account) = (seat.app(), seat.account);
    let mut done = 0;
    for _ in 0..STEP_MAX.div_ceil(BATCH) {
        let lost = app.pages.lost_reports(account, since, after, BATCH).await?;
        let Some(last) = lost.last() else { return Ok((done, None)) };
        after = Some(*last);
        let now = app.clock.now();
        let commands = lost.iter().map(|report| Command::ResendReport { now, account, report: *report });
        let outcomes = app.engine.apply(commands.collect()).await?;
        done += outcomes.iter().map(|outcome| i64::from(outcome.is_ok())).sum::<i64>();
        if lost.len() < BATCH {
            return Ok((done, None));
        }
    }
    Ok((done, after))
}

/// A moment as a browser's field gives it, in UTC.
fn moment(text: &str) -> Option<Time> {
    let moment: jiff::civil::DateTime = text.parse().ok()?;
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Time::from_secs(moment.timestamp().as_second()))
}

async fn check_signature(
    headers: HeaderMap,
    Posted { visit, mut form }: Posted,
) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::SeeRequests)?;
    let tokens = tokens_of(&seat).await?;
    for (name, most) in [("timestamp", 20), ("signature", 128)] {
        form.text(name, most, true);
    }
    // A body may hold whatever a payload may.
    if form.value("body").is_empty() || form.value("body").chars().count() > BODY_MAX {
        form.fault("body", format!("Paste the body, of {BODY_MAX} characters at most."));
    }
    let chosen: Option<i64> = form.value("token").parse().ok();
    let (mut mine, others): (Vec<Token>, Vec<Token>) =
        tokens.into_iter().partition(|token| Some(token.id.0) == chosen);
    let mine = mine.pop();
    if mine.is_none() {
        form.fault("token", "Choose one of these tokens.");
    }
    let found = match mine.filter(|_| form.is_good()) {
        Some(mine) => {
            let [timestamp, signature, body] =
                ["timestamp", "signature", "body"].map(|name| form.value(name));
            Some(check(Received { timestamp, signature, body }, &mine, &others, seat.visit.now))
        }
        None => None,
    };
    show_page(&seat, &headers, form, found).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_one_name() {
        let id = ReportId { request: RequestId::parse("222370177540343").unwrap(), seq: 2 };
        assert_eq!(name(id), "222370177540343-2");
        assert_eq!(parse_name("222370177540343-2"), Some(id));
        for text in
            ["", "222370177540343", "222370177540343-", "222370177540343-02", "222370177540343-256", "1-1"]
        {
            assert_eq!(parse_name(text), None, "{text}");
        }
    }

    #[test]
    fn one_goes_back_to_the_list_and_nowhere_else() {
        assert_eq!(said("/reports?state=lost&said=saved", "x"), "/reports?state=lost&said=x");
        assert_eq!(said("/reports", "x"), "/reports?said=x");
        assert_eq!(said("/requests/222370177540343", "x"), "/reports?said=x");
    }

    #[test]
    fn moments_are_as_browsers_write_them() {
        assert_eq!(moment("2026-11-23T10:00"), Some(Time::from_secs(1_795_428_000)));
        assert_eq!(moment("2026-11-23T10:00:30"), Some(Time::from_secs(1_795_428_030)));
        for text in ["", "yesterday", "2026-11-23T25:00"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
