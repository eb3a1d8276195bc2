//! Faults that were found, each with the test that found it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]
mod support;
use chappe_core::command::{Entered, Outcome, Rejection};
use chappe_core::ledger::Kind;
use chappe_core::{ChannelEvent, Command, Delivery, Money, ReportId, Verification, Work};
use std::time::Duration;
use support::*;

fn accepted(reference: &str) -> ChannelEvent {
    ChannelEvent::Accepted { reference: Some(reference.to_owned()), poll_at: None }
}
fn failed() -> ChannelEvent {
    ChannelEvent::Failed { reason: String::new() }
}

#[test]
fn a_late_acceptance_is_taken_back_by_its_own_name() {
    for hop in [0, 1] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { hops: &["sms", "mail"], ..to(PHONE) });
        if hop == 1 {
            gate.hear(id, 0, &[failed()]);
        }
        gate.revoke(id).unwrap();
        for said in [0, hop] {
            gate.hear(id, said, &[accepted("ref-7")]);
            let [Work::Withdraw(job)] = &gate.store.work[..] else { panic!() };
            assert_eq!((job.hop, job.reference.as_deref()), (said, Some("ref-7")));
            assert_eq!(job.channel.as_str(), ["sms", "mail"][usize::from(said)]);
        }
    }
}

#[test]
fn a_refused_credit_leaves_its_reference_free_in_the_batch() {
    let mut gate = Gate::new();
    gate.set_balance(ALICE, 0);
    let credit = |micros| Command::Credit {
        now: START,
        account: ALICE.account,
        kind: Kind::Adjustment,
        amount: Money::from_micros(micros),
        reference: Some("pay_1".to_owned()),
        reason: String::new(),
    };
    let answers = gate.store.run_batch(vec![credit(-5), credit(500)]);
    assert_eq!(answers, [Err(Rejection::BalanceNotEnough), Ok(Outcome::Credited(Money::from_micros(500)))]);
}

#[test]
fn the_lowest_amount_is_no_credit() {
    let mut gate = Gate::new();
    assert!(gate.credit(ALICE, i64::MIN, None).is_err());
}

#[test]
fn an_uncertain_message_keeps_no_code() {
    for lapsed in [false, true] {
        let mut gate = Gate::new();
        let id = gate.sent(&to(PHONE));
        if lapsed {
            gate.at(30).due(id, true)
        } else {
            gate.hear(id, 0, &[ChannelEvent::Uncertain { reason: String::new() }])
        }
        assert_eq!(gate.store.requests[&id].message.as_ref().unwrap().code, None);
    }
}

#[test]
fn failures_of_a_number_outlive_a_batch_that_sends_and_guesses() {
    let mut gate = Gate::new();
    let first = gate.sent(&to(PHONE));
    for _ in 0..5 {
        gate.enter(first, WRONG).unwrap();
    }
    let request = gate.new_id();
    let entered = Some(Entered { text: WRONG.into(), mac: mac(request, WRONG) });
    let guess = Command::CheckStatus { caller: ALICE, now: START, request, entered };
    let send = to(PHONE).send_command(ALICE, START, request);
    drop(gate.store.run_batch(vec![send, guess]));
    let counted = gate.store.failures[&(ALICE.account, phone(PHONE))].moments().len();
    assert!(counted >= 5, "{counted} left");
}

#[test]
fn exceeded_holds_since_its_first_time() {
    let mut gate = Gate::new();
    let id = gate.sent(&to(PHONE));
    for _ in 0..6 {
        gate.enter(id, WRONG).unwrap();
    }
    let at = |view: chappe_core::View| view.verification.unwrap();
    let first = at(gate.status(id).unwrap());
    assert_eq!(at(gate.at(10).enter(id, CODE).unwrap()), first);
    assert_eq!(at(gate.at(20).status(id).unwrap()), first);
}

#[test]
fn what_a_channel_has_is_not_handed_over_again() {
    let mut gate = Gate::new();
    let id = gate.sent(&to(PHONE));
    gate.hear(
        id,
        0,
        &[
            accepted("ref-7"),
            ChannelEvent::Postponed { after: Duration::from_secs(5), reason: String::new() },
        ],
    );
    gate.at(5).due(id, true);
    assert!(!matches!(gate.store.work[..], [Work::Deliver(_)]), "{:?}", gate.store.work);
}

#[test]
fn an_account_at_its_limit_is_still_refunded() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { ttl: Some(30), ..to(PHONE) });
    let full = i64::MAX - gate.balance(ALICE);
    let _refused_or_not = gate.credit(ALICE, full, None);
    gate.at(30).due(id, true);
    let view = gate.status(id).unwrap();
    assert_eq!((view.delivery.unwrap().0, view.refunded), (Delivery::Expired, true));
}

#[test]
fn a_full_timeline_still_tells_the_end() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { ttl: Some(3600), ..to(PHONE) });
    for _ in 0..200 {
        gate.hear(id, 0, &[ChannelEvent::Postponed { after: Duration::from_secs(5), reason: String::new() }]);
    }
    gate.at(3600).due(id, true);
    assert!(gate.store.timeline(id).ends_with(&["expired", "refunded"]));
}

#[test]
fn reports_of_a_request_go_out_in_order() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { callback: true, ..to(PHONE) });
    gate.hear(id, 0, &[ChannelEvent::Delivered, ChannelEvent::Read]);
    let claim = |gate: &mut Gate, seq| {
        gate.store.run(Command::ClaimReport { now: gate.now, report: ReportId { request: id, seq } })
    };
    assert_eq!(claim(&mut gate, 2), Ok(Outcome::Done), "the first is still to be told");
}

#[test]
fn a_read_message_is_not_asked_after() {
    let mut gate = Gate::new();
    let id = gate.sent(&to(PHONE));
    let poll = ChannelEvent::Accepted { reference: None, poll_at: Some(START + Duration::from_secs(5)) };
    gate.hear(id, 0, &[poll, ChannelEvent::Read]);
    gate.at(5).due(id, true);
    assert!(gate.store.work.is_empty(), "{:?}", gate.store.work);
}

#[cfg(feature = "planted-bugs")]
#[test]
fn the_overdraft_bug_overdraws() {
    chappe_core::planted::plant(Some(chappe_core::planted::Bug::OverdrawnByOne));
    let mut gate = Gate::new();
    gate.set_balance(ALICE, PRICE - 1);
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| gate.send(&to(PHONE))));
    assert!(!matches!(answer, Ok(Err(Rejection::BalanceNotEnough))), "the fault is not there");
}

#[test]
fn a_proved_code_dies_with_an_expired_delivery() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { ttl: Some(30), ..to(PHONE) });
    gate.at(5).enter(id, CODE).unwrap();
    gate.at(30).due(id, true);
    assert_eq!(gate.at(31).enter(id, CODE).unwrap().verification.unwrap().0, Verification::Expired);
}

#[test]
fn nothing_may_be_sent_where_nothing_is_allowed() {
    let none = chappe_core::limits::Limit { max: 0, ..rules().sends_per_phone };
    let mut gate = Gate::with(chappe_core::Rules { sends_per_phone: none, ..rules() });
    for secs in [0, 600] {
        assert_eq!(gate.at(secs).send(&to(PHONE)).map(drop), Err(Rejection::FloodWait(600)));
    }
}
