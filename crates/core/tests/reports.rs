//! Reports as their worker sees them: what is told, when, and how often it is tried.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_core::command::{Caller, Outcome, ReportJob};
use chappe_core::report::{Attempt, RETRY_DELAYS_S, State};
use chappe_core::{
    ChannelEvent, Command, Delivery, Money, Rejection, ReportId, RequestId, TokenId, Verification,
};
use std::time::Duration;
use support::{ALICE, BOB, CODE, Gate, Order, PHONE, PRICE, to};

const TOOK: Duration = Duration::from_millis(80);

fn claim(gate: &mut Gate, request: RequestId, seq: u8) -> Option<ReportJob> {
    let report = ReportId { request, seq };
    match gate.store.run(Command::ClaimReport { now: gate.now, report }) {
        Ok(Outcome::Report(job)) => Some(*job),
        Ok(Outcome::Done) => None,
        other => panic!("{other:?}"),
    }
}

fn conclude(gate: &mut Gate, request: RequestId, seq: u8, attempt: Attempt) {
    let report = ReportId { request, seq };
    let command = Command::ConcludeReport { now: gate.now, report, attempt, took: TOOK, jitter_permille: 0 };
    assert_eq!(gate.store.run(command), Ok(Outcome::Done));
}

fn resend(gate: &mut Gate, caller: Caller, request: RequestId, seq: u8) -> Result<Outcome, Rejection> {
    let report = ReportId { request, seq };
    gate.store.run(Command::ResendReport { now: gate.now, account: caller.account, report })
}

fn refused() -> Attempt {
    Attempt::Failed("503".to_owned())
}

/// Only who gave a callback URL is told.
#[test]
fn nobody_is_told_who_did_not_ask() {
    for (callback, reports) in [(true, 2), (false, 0)] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { callback, ..to(PHONE) });
        gate.hear(id, 0, &[ChannelEvent::Delivered, ChannelEvent::Delivered, ChannelEvent::Read]);
        assert_eq!(gate.store.reports_of(id).len(), reports);
    }
}

/// A report's body is what held when it was made, however late it goes out.
#[test]
fn a_report_tells_of_its_own_moment() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { callback: true, payload: Some("order 7"), ..to(PHONE) });
    gate.at(3).hear(id, 0, &[ChannelEvent::Delivered]);
    let delivered_at = gate.now;
    gate.at(4).enter(id, CODE).unwrap();
    let verified_at = gate.now;
    gate.at(5).hear(id, 0, &[ChannelEvent::Read]);

    let first = claim(&mut gate, id, 1).unwrap();
    assert_eq!(&*first.callback_url, "https://example.com/hook");
    let view = first.view;
    assert_eq!((view.request, view.cost), (id, Money::from_micros(PRICE)));
    assert_eq!((view.delivery, view.verification), (Some((Delivery::Delivered, delivered_at)), None));
    assert_eq!((view.remaining_balance, view.code_entered), (None, None), "never told in reports");
    assert_eq!(view.payload.unwrap().as_str(), "order 7");
    assert!(claim(&mut gate, id, 2).is_none(), "the first is not acknowledged yet");
    let acknowledged = Command::ConcludeReport {
        now: gate.now,
        report: ReportId { request: id, seq: 1 },
        attempt: Attempt::Acknowledged,
        took: TOOK,
        jitter_permille: 0,
    };
    gate.store.run(acknowledged).unwrap();
    let second = claim(&mut gate, id, 2).unwrap().view;
    assert_eq!(second.delivery, Some((Delivery::Read, gate.now)));
    assert_eq!(second.verification, Some((Verification::Valid, verified_at)));
}

/// Status, refund and the end of the code stand in the same report.
#[test]
fn the_report_of_an_end_is_whole() {
    for (expired, status) in [(true, Delivery::Expired), (false, Delivery::Revoked)] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { callback: true, ttl: Some(30), ..to(PHONE) });
        if expired {
            gate.at(30).due(id, true)
        } else {
            gate.at(30).revoke(id).unwrap()
        }
        let view = claim(&mut gate, id, 1).unwrap().view;
        assert_eq!(view.delivery, Some((status, gate.now)));
        assert_eq!(view.verification, Some((Verification::Expired, gate.now)));
        assert_eq!(view.refunded, expired);
    }
}

/// The key is the token that made the request.
#[test]
fn a_report_is_signed_for_its_request() {
    let mut gate = Gate::new();
    let id = gate.caller(BOB).sent(&Order { callback: true, ..to(PHONE) });
    gate.caller(ALICE).hear(id, 0, &[ChannelEvent::Delivered]);
    let report = claim(&mut gate, id, 1).unwrap().report;
    assert_eq!((report.token, report.account), (TokenId(2), BOB.account));
}

/// Where one token asked and another sent, it is the one that sent, and named the callback URL.
#[test]
fn the_token_that_sends_signs() {
    let mut gate = Gate::new();
    let checked = gate.check(&to(PHONE)).unwrap().request;
    let rotated = Caller { token: TokenId(77), ..ALICE };
    gate.caller(rotated).sent(&Order { under: Some(checked), callback: true, ..to(PHONE) });
    gate.hear(checked, 0, &[ChannelEvent::Delivered]);
    assert_eq!(claim(&mut gate, checked, 1).unwrap().report.token, TokenId(77));
}

/// A lease of 30 s keeps other workers away, and lapses if nobody comes back.
#[test]
fn one_attempt_at_a_time() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { callback: true, ..to(PHONE) });
    gate.hear(id, 0, &[ChannelEvent::Delivered]);
    assert!(!gate.store.reports_of(id)[0].leased, "nobody is at it yet");
    let claimed = [0, 0, 29, 30, 59, 60].map(|secs| claim(gate.at(secs), id, 1).is_some());
    assert_eq!(claimed, [true, false, false, true, false, true]);
    assert!(claim(&mut gate, id, 2).is_none(), "there is no such report");
    conclude(&mut gate, id, 1, Attempt::Acknowledged);
    assert_eq!(gate.store.reports_of(id)[0].last_attempt, Some((gate.now, TOOK)));
    assert!(claim(gate.at(5000), id, 1).is_none());
}

/// What was sent again is due at once, keeps its order and its body, and is tried as often as a new one.
#[test]
fn a_settled_report_can_be_sent_again() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { callback: true, ..to(PHONE) });
    gate.hear(id, 0, &[ChannelEvent::Delivered, ChannelEvent::Read]);
    let body = claim(&mut gate, id, 1).unwrap().view;
    conclude(&mut gate, id, 1, Attempt::Acknowledged);
    assert!(claim(&mut gate, id, 2).is_some());
    conclude(&mut gate, id, 2, Attempt::Acknowledged);

    gate.at(7_000);
    // The second first: it still goes out after the first.
    for seq in [2, 1] {
        assert_eq!(resend(&mut gate, ALICE, id, seq), Ok(Outcome::Done));
    }
    assert!(claim(&mut gate, id, 2).is_none(), "the first is open again");
    assert_eq!(claim(&mut gate, id, 1).unwrap().view, body);
    assert_eq!(resend(&mut gate, ALICE, id, 1), Ok(Outcome::Done));
    assert!(claim(&mut gate, id, 1).is_none(), "it is under way: nobody else takes it");
    for _ in 0..11 {
        conclude(&mut gate, id, 1, refused());
        assert_eq!(resend(&mut gate, ALICE, id, 1), Ok(Outcome::Done));
        assert!(claim(&mut gate, id, 1).is_some(), "asked for now, it does not wait");
    }
    conclude(&mut gate, id, 1, Attempt::Acknowledged);
    assert!(claim(&mut gate, id, 2).is_some());
}

/// Nobody sends another's reports.
#[test]
fn a_foreign_report_is_as_unknown_as_none() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { callback: true, ..to(PHONE) });
    gate.hear(id, 0, &[ChannelEvent::Delivered]);
    assert!(claim(&mut gate, id, 1).is_some());
    conclude(&mut gate, id, 1, Attempt::Acknowledged);
    let unknown = Err(Rejection::RequestIdInvalid);
    assert_eq!(resend(&mut gate, BOB, id, 1), unknown);
    assert_eq!(resend(&mut gate, ALICE, id, 2), unknown);
    assert_eq!(gate.store.reports_of(id)[0].state, State::Acknowledged);
}

/// Eleven attempts, each as late after the one before as it should be; then the report is lost.
#[test]
fn ten_retries_with_growing_delays() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { callback: true, ..to(PHONE) });
    gate.hear(id, 0, &[ChannelEvent::Delivered]);
    let mut secs = 0;
    for delay in RETRY_DELAYS_S {
        assert!(claim(gate.at(secs), id, 1).is_some());
        conclude(&mut gate, id, 1, refused());
        assert!(claim(gate.at(secs + delay - 1), id, 1).is_none(), "not before its time");
        secs += delay;
    }
    assert!(claim(gate.at(secs), id, 1).is_some());
    conclude(&mut gate, id, 1, refused());
    let report = gate.store.reports_of(id)[0];
    assert_eq!((report.state, report.attempts), (State::Lost, 11));
    assert!(claim(gate.at(secs * 2), id, 1).is_none());
}
