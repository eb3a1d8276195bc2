//! Making reports, and taking them for an attempt.

use super::{Rules, view};
use crate::book::Book;
use crate::command::{Outcome, Rejection, ReportJob, View};
use crate::ids::{AccountId, ReportId, RequestId};
use crate::report::{Report, State};
use crate::time::Time;

pub(super) fn claim(rules: &Rules, book: &mut Book, now: Time, id: ReportId) -> Outcome {
    let due =
        book.reports.get(&id).is_some_and(|report| report.state == State::Pending && report.due_at <= now);
    let open = |report: &Report| report.state == State::Pending;
    let first = !id.earlier().and_then(|id| book.reports.get(&id)).is_some_and(open);
    if !due || !first {
        return Outcome::Done;
    }
    let Some(request) = book.requests.get(&id.request) else { return Outcome::Done };
    let Some(message) = &request.message else { return Outcome::Done };
    let Some(callback_url) = message.callback_url.clone() else { return Outcome::Done };
    let payload = message.payload.clone();
    let view = view(request, now);
    let Some(report) = book.change_report(id) else { return Outcome::Done };
    report.lease(now, rules.lease);
    let view = View {
        refunded: report.refunded,
        delivery: Some(report.delivery),
        verification: report.verification,
        payload,
        ..view
    };
    Outcome::Report(Box::new(ReportJob { report: report.clone(), callback_url, view }))
}

/// Sends a report again, in its place: as long as one before it is open, it waits.
pub(super) fn resend(
    book: &mut Book,
    now: Time,
    account: AccountId,
    id: ReportId,
) -> Result<Outcome, Rejection> {
    let own = book.reports.get(&id).is_some_and(|report| report.account == account);
    if !own {
        return Err(Rejection::RequestIdInvalid);
    }
    if let Some(report) = book.change_report(id) {
        report.resend(now);
    }
    Ok(Outcome::Done)
}

/// Makes a report of the request's delivery status, if its caller wants reports.
pub(super) fn make(book: &mut Book, id: RequestId, now: Time) {
    let Some(request) = book.change_request(id) else { return };
    let Some(message) = request.message.as_ref().filter(|message| message.callback_url.is_some()) else {
        return;
    };
    request.reports = request.reports.saturating_add(1);
    let report = Report {
        id: ReportId { request: id, seq: request.reports },
        account: request.account,
        token: request.token,
        delivery: (message.delivery, message.delivery_at),
        verification: message.verification(now),
        refunded: request.refunded,
        state: State::Pending,
        attempts: 0,
        due_at: now,
        leased: false,
        last_result: None,
        last_attempt: None,
    };
    book.add_report(report);
}
