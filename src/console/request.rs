//! One request: what happened to it and why, and what it cost.

use super::country;
use super::example::base_url;
use super::reports::{answer, badge, latency};
use super::requests::{masked, status, verified};
use super::shell::{Shell, show};
use super::show::{At, at, utc};
use super::trouble::Trouble;
use super::visit::{Act, Seat};
use crate::app::App;
use crate::store::console::reports::ReportLine;
use crate::store::console::requests::{Happened, RequestStory};
use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use chappe_core::report::State;
use chappe_core::{Delivery, RequestId, Time};
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/requests/{id}", get(page))
}

#[derive(Template)]
#[template(path = "request.html")]
struct RequestPage {
    shell: Shell,
    id: String,
    phone: String,
    status: &'static str,
    verified: &'static str,
    status_text: String,
    facts: Vec<Fact>,
    steps: Vec<Step>,
    money: Vec<MoneyLine>,
    cost: String,
    callbacks: bool,
    reports: Vec<ReportEntry>,
    reports_href: String,
    curl: String,
    live: bool,
}

/// Something that is so.
struct Fact {
    label: &'static str,
    value: String,
}

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Step {
    at: At,
    /// How long after the beginning.
    since: String,
    title: String,
    detail: String,
    channel: String,
    /// Money that it moved, with its sign.
    amount: String,
    /// The state that it led to, or nothing.
    tone: &'static str,
}

/// Money that moved.
struct MoneyLine {
    at: At,
    kind: &'static str,
    amount: String,
    /// What the account had then; empty for those who may not see it.
    balance: String,
}

/// A report.
struct ReportEntry {
    at: At,
    event: &'static str,
    badge: &'static str,
    answer: String,
    latency: String,
}

async fn page(
    seat: Seat,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Trouble> {
    seat.may(Act::SeeRequests)?;
    let Path(id) = path.map_err(|_| Trouble::NotFound)?;
    let id = RequestId::parse(&id).ok_or(Trouble::NotFound)?;
    let story = seat.app().pages.request_story(seat.account, id).await?.ok_or(Trouble::NotFound)?;
    let (now, line) = (seat.visit.now, &story.line);
    let sees_money = seat.may(Act::SeeMoney).is_ok();
    let open = line.code_expires_at.is_some_and(|at| now < at) && line.verified_at.is_none();
    show(&RequestPage {
        shell: seat.shell("/requests").await?,
        id: id.to_string(),
        phone: masked(line.phone),
        status: status(line),
        verified: verified(line, now),
        status_text: in_words(&story, now),
        facts: facts(&seat, &story),
        steps: steps(&story),
        money: money(&story, sees_money),
        cost: cost(&story),
        callbacks: story.callback_url.is_some(),
        reports: story.reports.iter().map(entry).collect(),
        reports_href: format!("/reports?q={id}"),
        curl: curl(&base_url(seat.app(), &headers), id),
        live: open || matches!(line.delivery, Some((Delivery::Sent, _))),
    })
}

/// The line that asks for the status, as a terminal takes it. The token is a variable of the shell: who may see it has to
/// ask for it on its own page.
fn curl(base_url: &str, id: RequestId) -> String {
    format!(
        "curl {base_url}/checkVerificationStatus \\\n  -H \"Authorization: Bearer $CHAPPE_TOKEN\" \\\n  \
         -d request_id={id}"
    )
}

/// What the state means, where it does not say so itself.
fn in_words(story: &RequestStory, now: Time) -> String {
    let Some((delivery, since)) = story.line.delivery else {
        return "Only asked whether the number can be reached. A message with this id would be free."
            .to_owned();
    };
    let since = utc(since, "%H:%M:%S");
    let code_lives = story.line.code_expires_at.is_some_and(|at| now < at);
    match delivery {
        Delivery::Sent => format!("On its way since {since}."),
        Delivery::Delivered | Delivery::Read if story.line.verified_at.is_some() => String::new(),
        Delivery::Delivered | Delivery::Read if code_lives => "The code can be entered.".to_owned(),
        Delivery::Delivered | Delivery::Read => "The code is too old by now.".to_owned(),
        Delivery::Expired => "It did not arrive in time.".to_owned(),
        Delivery::Revoked => "Its caller took it back.".to_owned(),
    }
}

fn facts(seat: &Seat, story: &RequestStory) -> Vec<Fact> {
    let token = seat.app().tokens.by_id(story.token);
    let hops: Vec<&str> = story.route.iter().map(String::as_str).collect();
    let all = [
        ("Made", at(story.line.created_at).text),
        ("Country", country::name(story.line.country.as_str()).to_owned()),
        ("Route", hops.join(", then ")),
        ("Sender", story.sender.as_ref().map(|name| format!("@{name}")).unwrap_or_default()),
        ("Time to deliver", story.ttl_s.map(|secs| format!("{secs} s")).unwrap_or_default()),
        ("Payload", story.line.payload.clone()),
        ("Reports go to", story.callback_url.clone().unwrap_or_default()),
        ("Token", token.map(|token| token.name.clone()).unwrap_or_default()),
    ];
    let given = all.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(label, value)| Fact { label, value }).collect()
}

fn cost(story: &RequestStory) -> String {
    let cost = story.line.cost;
    match (cost.is_positive(), story.line.refunded) {
        (false, _) => "free".to_owned(),
        (true, true) => format!("{cost} charged and given back"),
        (true, false) => format!("{cost} in all"),
    }
}

fn money(story: &RequestStory, sees_balance: bool) -> Vec<MoneyLine> {
    let line = |transfer: &crate::store::console::requests::TransferLine| {
        let is_refund = transfer.kind == "refund";
        let sign = if is_refund { "+" } else { "-" };
        MoneyLine {
            at: at(transfer.at),
            kind: if is_refund { "Refund" } else { "Fee" },
            amount: format!("{sign}{}", transfer.amount),
            balance: if sees_balance { transfer.balance_after.to_string() } else { String::new() },
        }
    };
    story.transfers.iter().map(line).collect()
}

fn entry(report: &ReportLine) -> ReportEntry {
    ReportEntry {
        at: at(report.last_attempt.map_or(report.made_at, |(at, _)| at)),
        event: report.delivery.as_str(),
        badge: badge(report.state),
        answer: answer(report),
        latency: latency(report),
    }
}

/// The timeline, with what became of reports where it happened.
fn steps(story: &RequestStory) -> Vec<Step> {
    let begin = story.events.first().map_or(story.line.created_at, |event| event.at);
    let reports = story.reports.iter().filter_map(|report| Some((report.last_attempt?.0, told(report))));
    let mut all: Vec<(Time, Step)> =
        story.events.iter().map(|event| (event.at, step(event))).chain(reports).collect();
    // Stable: what happened at the same moment stays in its order.
    all.sort_by_key(|(at, _)| *at);
    let placed = |(time, step): (Time, Step)| Step { at: at(time), since: after(begin, time), ..step };
    all.into_iter().map(placed).collect()
}

/// What became of a report, by its last attempt.
fn told(report: &ReportLine) -> Step {
    let delivery = report.delivery.as_str();
    let (title, tone) = match report.state {
        State::Acknowledged => (format!("Report of “{delivery}” acknowledged"), ""),
        State::Pending => (format!("Report of “{delivery}” not acknowledged yet"), "pending"),
        State::Lost => (format!("Report of “{delivery}” lost"), "lost"),
    };
    let attempts =
        if report.attempts == 1 { "1 attempt".to_owned() } else { format!("{} attempts", report.attempts) };
    let detail = format!("{}, {attempts}, the last took {}", answer(report), latency(report));
    Step { title, detail, tone, ..Step::default() }
}

/// An event in words. What a later version writes is shown as it is.
fn step(event: &Happened) -> Step {
    let detail = event.detail.as_str();
    let (channel, reason) = detail.split_once(' ').unwrap_or((detail, ""));
    let plain = |title: &str, tone| Step { title: title.to_owned(), tone, ..Step::default() };
    let on = |title: &str, tone| Step {
        channel: channel.to_owned(),
        detail: reason.to_owned(),
        ..plain(title, tone)
    };
    let with = |title: &str, detail: &str, tone| Step { detail: detail.to_owned(), ..plain(title, tone) };
    match event.name.as_str() {
        "checked" => plain("Asked whether the number can be reached: it can", ""),
        "charged" => Step { amount: format!("-{detail}"), ..plain("Fee charged", "") },
        "refunded" => Step { amount: format!("+{detail}"), ..plain("Fee given back", "") },
        "sent" => on("Message accepted", "sent"),
        "accepted" => on("Taken over by the channel", "sent"),
        "skipped" => on("Channel left out", ""),
        "postponed" => on("Channel asks to be tried later", "pending"),
        "failed" => on("Channel cannot deliver it", "failed"),
        "unconfirmed" => on("Delivery not confirmed in the channel’s time", "pending"),
        "fallback" => on("Next channel’s turn", "sent"),
        "uncertain" => on("Nobody can say whether the channel has it", "pending"),
        "delivered" => on("Delivered", "delivered"),
        "read" => on("Read", "read"),
        "late_confirmation" => on("Confirmed when it no longer mattered", ""),
        "expired" => plain("Not delivered in time", "expired"),
        "revoked" => plain("Withdrawn by the caller", "revoked"),
        "withdrawn" => on("Taken back from the phone", ""),
        "verified" => plain("Right code entered", "verified"),
        "wrong_code" => with("Wrong code entered", &format!("the {} wrong one", ordinal(detail)), "failed"),
        "attempts_exceeded" => plain("No more codes are taken", "failed"),
        other => with(other, detail, ""),
    }
}

fn ordinal(number: &str) -> String {
    match number {
        "1" => "first".to_owned(),
        "2" => "second".to_owned(),
        "3" => "third".to_owned(),
        other => format!("{other}th"),
    }
}

/// How long after the beginning something happened: `+1.204 s`, `+2 min 5 s`, `+3 h 2 min`.
fn after(begin: Time, time: Time) -> String {
    let elapsed = time.since(begin);
    let secs = elapsed.as_secs();
    match secs {
        0 if elapsed.is_zero() => String::new(),
        ..60 => format!("+{secs}.{:03} s", elapsed.subsec_millis()),
        60..3_600 => format!("+{} min {} s", secs / 60, secs % 60),
        3_600..86_400 => format!("+{} h {} min", secs / 3_600, secs / 60 % 60),
        _ => format!("+{} d {} h", secs / 86_400, secs / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chappe_core::Money;
    use chappe_core::text::ChannelName;
    use chappe_core::timeline::What;

    #[test]
    fn every_event_has_words() {
        let (channel, why) = (ChannelName::sandbox(), "no such subscriber".to_owned());
        let events = [
            What::Checked,
            What::Charged(Money::from_micros(10_000)),
            What::Sent(channel.clone()),
            What::Accepted(channel.clone()),
            What::Skipped(channel.clone(), why.clone()),
            What::Postponed(channel.clone(), why.clone()),
            What::Failed(channel.clone(), why.clone()),
            What::Unconfirmed(channel.clone()),
            What::Fallback(channel.clone()),
            What::Uncertain(channel.clone(), why.clone()),
            What::Delivered(channel.clone()),
            What::Read(channel.clone()),
            What::LateConfirmation(channel.clone()),
            What::Expired,
            What::Refunded(Money::from_micros(10_000)),
            What::Revoked,
            What::Withdrawn(channel),
            What::Verified,
            What::WrongCode(2),
            What::AttemptsExceeded,
        ];
        for what in events {
            let event = chappe_core::timeline::Event { at: Time::from_secs(1), what };
            let text = event.to_string();
            let mut parts = text.splitn(3, ' ').skip(1);
            let happened = Happened {
                at: event.at,
                name: parts.next().unwrap().to_owned(),
                detail: parts.next().unwrap_or("").to_owned(),
            };
            let step = step(&happened);
            assert_ne!(step.title, happened.name, "{text}");
            let shown = format!("{} {} {} {}", step.title, step.channel, step.detail, step.amount);
            if text.contains(&why) {
                assert_eq!(
                    (step.channel.as_str(), step.detail.as_str()),
                    ("sandbox", why.as_str()),
                    "{shown}"
                );
            }
            if text.contains("0.01") {
                assert!(["-0.01", "+0.01"].contains(&step.amount.as_str()), "{shown}");
            }
        }
    }

    #[test]
    fn time_that_passed_is_short() {
        let begin = Time::from_secs(100);
        let shown = |micros: i64| after(begin, Time::from_micros(100_000_000 + micros));
        assert_eq!(shown(0), "");
        assert_eq!(shown(1_204_900), "+1.204 s");
        assert_eq!(shown(125_000_000), "+2 min 5 s");
        assert_eq!(shown(10_920_000_000), "+3 h 2 min");
        assert_eq!(shown(90_000_000_000), "+1 d 1 h");
    }
}
