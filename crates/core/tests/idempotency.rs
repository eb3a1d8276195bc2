//! The `Idempotency-Key`: a call that is made again is answered again, and done once.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_core::ChannelEvent;
use chappe_core::command::{Idempotency, Rejection, View};
use chappe_core::route::Reach;
use support::{ALICE, BOB, CODE, Gate, HOUR, Order, PHONE, PRICE, TWIN, to};

/// The message with this key and these parameters.
fn keyed(key: u8, body: u8) -> Order<'static> {
    let idempotency = Idempotency { key: [key; 32], body: [body; 32] };
    Order { key: Some(idempotency), payload: Some("order 7"), ttl: Some(60), callback: true, ..to(PHONE) }
}

/// The answer is the stored one to the byte, whatever happened to request and account since.
#[test]
fn the_same_call_is_answered_again_and_charged_once() {
    for send in [true, false] {
        let mut gate = Gate::new();
        let ask = |gate: &mut Gate| {
            let order = keyed(1, 1);
            if send { gate.send(&order) } else { gate.check(&order) }
        };
        let first = ask(&mut gate).unwrap();
        let rows = gate.store.requests.len();
        gate.at(5).set_balance(ALICE, 500);
        if send {
            gate.hear(first.request, 0, &[ChannelEvent::Delivered]);
            gate.enter(first.request, CODE).unwrap();
        }
        for secs in [5, 1000, 24 * HOUR - 1] {
            assert_eq!(ask(gate.at(secs)), Ok(first.clone()), "send {send}, at {secs}");
            assert_eq!((gate.store.requests.len(), gate.balance(ALICE)), (rows, 500));
        }
    }
}

#[test]
fn a_key_belongs_to_its_parameters_for_a_day() {
    let mut gate = Gate::new();
    let first = gate.sent(&keyed(1, 1));
    for (secs, key, body, expected) in [
        (0, 1, 1, Ok(true)),
        (0, 1, 2, Err(Rejection::IdempotencyKeyReused)),
        (0, 2, 1, Ok(false)),
        (24 * HOUR - 1, 1, 2, Err(Rejection::IdempotencyKeyReused)),
        (24 * HOUR - 1, 1, 1, Ok(true)),
        // Forgotten: the call is a new one, and remembered anew.
        (24 * HOUR, 1, 2, Ok(false)),
        (24 * HOUR, 1, 1, Err(Rejection::IdempotencyKeyReused)),
        (48 * HOUR - 1, 1, 1, Err(Rejection::IdempotencyKeyReused)),
        (48 * HOUR, 1, 1, Ok(false)),
    ] {
        let answer = gate.at(secs).send(&keyed(key, body));
        assert_eq!(answer.map(|view| view.request == first), expected, "at {secs}: key {key}, body {body}");
    }
    assert_eq!(gate.balance(ALICE), 1_000_000 - 4 * PRICE);
}

/// A key is one account's own.
#[test]
fn accounts_do_not_share_keys() {
    let mut gate = Gate::new();
    let mut ids: Vec<_> = [ALICE, BOB, TWIN].map(|caller| gate.caller(caller).sent(&keyed(1, 1))).to_vec();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert!(gate.caller(BOB).send(&keyed(1, 1)).is_ok_and(|view| view.request == ids[1]));
}

/// Whoever was refused may mend what was wrong and call again with the same key.
#[test]
fn a_refusal_is_not_remembered() {
    let mut gate = Gate::new();
    gate.set_balance(ALICE, 0);
    assert_eq!(gate.send(&keyed(1, 1)), Err(Rejection::BalanceNotEnough));
    gate.set_balance(ALICE, PRICE);
    let unreachable = Order { reach: Reach::No, ..keyed(1, 1) };
    assert_eq!(gate.send(&unreachable), Err(Rejection::PhoneNumberNotAvailable));
    assert_eq!(gate.check(&unreachable), Err(Rejection::PhoneNumberNotAvailable));
    let malformed = Order { fault: Some(Rejection::TtlInvalid), ..keyed(1, 2) };
    assert_eq!(gate.send(&malformed), Err(Rejection::TtlInvalid));
    assert!(gate.store.remembered.is_empty());
    assert!(gate.send(&keyed(1, 3)).is_ok());
}

/// A replay is judged by nothing: not by limits, the balance, the route, nor the used-up id.
#[test]
fn a_replay_meets_no_obstacle() {
    let mut gate = Gate::new();
    let checked = gate.check(&to(PHONE)).unwrap().request;
    let order = Order { under: Some(checked), ..keyed(1, 1) };
    let first = gate.send(&order).unwrap();
    let _four_more = [0; 4].map(|_| gate.sent(&to(PHONE)));
    assert_eq!(gate.send(&to(PHONE)), Err(Rejection::FloodWait(600)));
    gate.set_balance(ALICE, 0);
    for reach in [Reach::Yes, Reach::No, Reach::Wait(9)] {
        assert_eq!(gate.send(&Order { reach, ..order.clone() }), Ok(first.clone()));
    }
    assert_eq!(gate.store.timeline(checked), ["checked", "charged", "sent"]);
}

/// Two of the same call in one batch: the second finds the first's answer though nothing is stored yet.
#[test]
fn twins_in_one_batch_are_one() {
    let mut gate = Gate::new();
    let command = |gate: &mut Gate| {
        let id = gate.new_id();
        keyed(1, 1).send_command(ALICE, gate.now, id)
    };
    let commands = vec![command(&mut gate), command(&mut gate), command(&mut gate)];
    let answers = gate.store.run_batch(commands);
    assert!(answers[0].is_ok() && answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!((gate.store.requests.len(), gate.store.work.len()), (1, 1));
    assert_eq!(gate.balance(ALICE), 1_000_000 - PRICE);
}

/// Without a key the same call is another one.
#[test]
fn without_a_key_nothing_is_remembered() {
    let mut gate = Gate::new();
    let views: [View; 2] = [0, 1].map(|_| gate.send(&to(PHONE)).unwrap());
    assert_ne!(views[0].request, views[1].request);
    assert!(gate.store.remembered.is_empty());
}
