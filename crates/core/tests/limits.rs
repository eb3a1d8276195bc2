//! Too much, and how long to wait: exact to the number and to the second.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_core::command::{Caller, Rejection};
use chappe_core::limits::Rate;
use chappe_core::route::Reach;
use chappe_core::{Rules, Time, Verification};
use std::time::Duration;
use support::{ALICE, BOB, CODE, Gate, MAGIC, OTHER, OWN, Order, PHONE, START, TWIN, WRONG, rules, to};

/// Five messages to one number within ten minutes, whoever sends them; play messages are counted apart.
#[test]
fn five_messages_per_number_over_all_accounts() {
    const OK: Result<(), Rejection> = Ok(());
    let wait = |secs| Err(Rejection::FloodWait(secs));
    let mut gate = Gate::new();
    for (secs, caller, number, expected) in [
        (0, ALICE, PHONE, OK),
        (0, BOB, PHONE, OK),
        (100, ALICE, PHONE, OK),
        (200, BOB, PHONE, OK),
        (200, ALICE, PHONE, OK),
        (200, ALICE, PHONE, wait(400)),
        (200, BOB, PHONE, wait(400)),
        (200, TWIN, PHONE, OK),
        (200, ALICE, OTHER, OK),
        (599, BOB, PHONE, wait(1)),
        // Both messages of second 0 leave together; a refused one was not counted.
        (600, BOB, PHONE, OK),
        (600, ALICE, PHONE, OK),
        (600, ALICE, PHONE, wait(100)),
        (700, ALICE, PHONE, OK),
        (700, ALICE, PHONE, wait(100)),
        (800, TWIN, PHONE, OK),
    ] {
        let answer = gate.at(secs).caller(caller).send(&to(number)).map(drop);
        assert_eq!(answer, expected, "at {secs}, account {:?}", caller.account);
    }
}

/// Whoever waits as told is let through, and not a moment earlier.
#[test]
fn the_wait_is_rounded_up_and_enough() {
    for micros_after in [1, 499_999, 500_000, 999_999, 1_000_000, 1_000_001, 599_999_999] {
        let mut gate = Gate::new();
        let _five = [0; 5].map(|_| gate.sent(&to(PHONE)));
        gate.now = START + Duration::from_micros(micros_after);
        let Err(Rejection::FloodWait(secs)) = gate.send(&to(PHONE)) else { panic!("at {micros_after}") };
        assert_eq!(secs, (600_000_000 - micros_after).div_ceil(1_000_000));
        gate.now = START + Duration::from_micros(599_999_999);
        assert_eq!(gate.send(&to(PHONE)).map(drop), Err(Rejection::FloodWait(1)));
        gate.now = START + Duration::from_micros(micros_after) + Duration::from_secs(secs);
        assert_eq!(gate.send(&to(PHONE)).map(drop), Ok(()));
    }
}

/// Own numbers are free, not unlimited; magic numbers have no limit; checkSendAbility bothers nobody.
#[test]
fn what_the_limit_of_a_number_counts() {
    for (number, send, passes) in
        [(OWN, true, 5), (PHONE, true, 5), (MAGIC, true, 20), (PHONE, false, 20), (OWN, false, 20)]
    {
        let mut gate = Gate::new();
        let ask = |gate: &mut Gate| {
            let order = to(number);
            if send { gate.send(&order) } else { gate.check(&order) }.map(drop)
        };
        let passed = (0..20).take_while(|_| ask(&mut gate).is_ok()).count();
        assert_eq!(passed, passes, "{number}, send {send}");
    }
}

/// A message under a checked id is a message: the fee is paid, the victim is bothered all the same.
#[test]
fn paid_messages_count_too() {
    let mut gate = Gate::new();
    let ids: Vec<_> = (0..6).map(|_| gate.check(&to(PHONE)).unwrap().request).collect();
    let mut answers = ids.iter().map(|id| gate.send(&Order { under: Some(*id), ..to(PHONE) }).map(drop));
    assert!(answers.by_ref().take(5).all(|answer| answer.is_ok()));
    assert_eq!(answers.next(), Some(Err(Rejection::FloodWait(600))));
}

/// Exactly five wrong codes are judged and counted, however many come; also magic numbers have no sixth.
#[test]
fn five_attempts_per_request() {
    for number in [PHONE, MAGIC] {
        let mut gate = Gate::new();
        let id = gate.sent(&to(number));
        let verdicts: Vec<_> = (0..200).map(|_| verdict(&mut gate, id, WRONG)).collect();
        assert!(verdicts[..5].iter().all(|verdict| *verdict == Verification::Invalid));
        assert!(verdicts[5..].iter().all(|verdict| *verdict == Verification::MaxAttemptsExceeded));
        assert_eq!(verdict(&mut gate, id, CODE), Verification::MaxAttemptsExceeded, "right, but too late");
        assert_eq!(gate.store.requests[&id].message.as_ref().unwrap().attempts, 5);
        let timeline = ["wrong_code"; 5].into_iter().chain(["attempts_exceeded"]);
        assert!(gate.store.timeline(id).into_iter().skip(2).eq(timeline), "one row, however long they guess");
    }
}

/// A right code uses up no attempt, and gives none back.
#[test]
fn right_codes_are_no_attempts() {
    let mut gate = Gate::new();
    let id = gate.sent(&to(MAGIC));
    for code in [WRONG, WRONG, CODE, WRONG, CODE, WRONG, CODE, CODE, WRONG] {
        let expected = if code == CODE { Verification::Valid } else { Verification::Invalid };
        assert_eq!(verdict(&mut gate, id, code), expected);
    }
    assert_eq!(verdict(&mut gate, id, WRONG), Verification::MaxAttemptsExceeded);
    assert_eq!(gate.status(id).unwrap().verification, Some((Verification::Valid, START)), "never undone");
    assert_eq!(gate.store.timeline(id).iter().filter(|name| **name == "verified").count(), 1);
}

/// Ten wrong codes for the requests of one number within an hour, per account: then none of them is judged, right or
/// wrong, until the first of the ten is an hour old.
#[test]
fn ten_failures_per_number_over_its_requests() {
    let mut gate = Gate::new();
    let ids: Vec<_> = [0, 1, 2].map(|_| gate.sent(&to(PHONE))).to_vec();
    for (second, id) in [0, 0, 0, 0, 1, 1, 1, 1, 2].into_iter().enumerate() {
        assert_eq!(verdict(gate.at(second as u64), ids[id], WRONG), Verification::Invalid);
    }
    assert_eq!(verdict(gate.at(10), ids[2], CODE), Verification::Valid, "nine are no harm");
    assert_eq!(verdict(gate.at(10), ids[2], WRONG), Verification::Invalid, "the tenth");
    let late = gate.at(3500).sent(&to(PHONE));
    for (secs, caller, number, expected) in [
        (3599, ALICE, PHONE, Verification::MaxAttemptsExceeded),
        (3599, ALICE, OTHER, Verification::Valid),
        (3599, BOB, PHONE, Verification::Valid),
        (3599, TWIN, PHONE, Verification::Valid),
        (3600, ALICE, PHONE, Verification::Valid),
    ] {
        let gate = gate.at(secs).caller(caller);
        let id = if caller == ALICE && number == PHONE { late } else { gate.sent(&to(number)) };
        assert_eq!(verdict(gate, id, CODE), expected, "at {secs}, account {:?}, {number}", caller.account);
    }
}

/// Codes that nobody can enter rightly any more are not guessed at: they count for nothing.
#[test]
fn only_judged_codes_are_failures() {
    let mut gate = Gate::new();
    let guess = |gate: &mut Gate, id| (0..20).for_each(|_| drop(gate.enter(id, WRONG).unwrap()));
    let checked = gate.check(&to(PHONE)).unwrap().request;
    guess(&mut gate, checked);
    let revoked = gate.sent(&to(PHONE));
    gate.revoke(revoked).unwrap();
    guess(&mut gate, revoked);
    let old = gate.sent(&to(PHONE));
    guess(gate.at(600), old);
    assert!(gate.store.failures.is_empty());
    let id = gate.sent(&to(PHONE));
    guess(&mut gate, id);
    assert_eq!(gate.store.failures.values().map(|window| window.moments().len()).sum::<usize>(), 5);
}

/// Magic numbers are for tests that guess all day: no request of theirs locks another.
#[test]
fn magic_numbers_have_no_failures() {
    let mut gate = Gate::new();
    for _ in 0..5 {
        let id = gate.sent(&to(MAGIC));
        (0..5).for_each(|_| assert_eq!(verdict(&mut gate, id, WRONG), Verification::Invalid));
    }
    let id = gate.sent(&to(MAGIC));
    assert_eq!(verdict(&mut gate, id, CODE), Verification::Valid);
}

/// Two a second, three at once.
#[test]
fn the_rate_of_an_account() {
    let mut gate = fast(2, 3);
    let gate = &mut gate;
    let wait = |secs| Err(Rejection::FloodWait(secs));
    for (millis, caller, expected) in [
        (0, ALICE, Ok(())),
        (0, ALICE, Ok(())),
        (0, ALICE, Ok(())),
        (0, ALICE, wait(1)),
        (0, BOB, Ok(())),
        (499, ALICE, wait(1)),
        (500, ALICE, Ok(())),
        (500, ALICE, wait(1)),
        (2000, ALICE, Ok(())),
        (2000, ALICE, Ok(())),
        (2000, ALICE, Ok(())),
        (2000, ALICE, wait(1)),
        (60_000, ALICE, Ok(())),
    ] {
        gate.now = START + Duration::from_millis(millis);
        assert_eq!(gate.caller(caller).check(&to(PHONE)).map(drop), expected, "at {millis} ms");
    }
}

/// What a clock that ran ahead wrote down keeps an account waiting for no longer than its rate ever does.
#[test]
fn a_rate_spent_in_the_future_is_made_good() {
    let mut gate = fast(1, 1);
    gate.store.accounts.get_mut(&ALICE.account).unwrap().rate_spent_until =
        START + Duration::from_secs(86_400);
    assert_eq!(gate.check(&to(PHONE)), Err(Rejection::FloodWait(1)));
    gate.store.accounts.get_mut(&ALICE.account).unwrap().rate_spent_until =
        START + Duration::from_millis(900);
    assert_eq!(gate.check(&to(PHONE)), Err(Rejection::FloodWait(1)));
    assert!(gate.at(1).check(&to(PHONE)).is_ok());
}

/// Asking too often counts also when the answer is no; to be told to wait counts for nothing, or nobody who asks in
/// vain would ever be let in again. Magic numbers have no rate.
#[test]
fn what_the_rate_of_an_account_counts() {
    let nothing = Time::from_secs(0);
    let spent = START + Duration::from_secs(1);
    let unreachable = Order { reach: Reach::No, ..to(PHONE) };
    let waits = Order { reach: Reach::Wait(5), ..to(PHONE) };
    for (order, send, balance, expected, state) in [
        (to(PHONE), true, 1_000_000, Ok(()), spent),
        (to(PHONE), false, 1_000_000, Ok(()), spent),
        (to(PHONE), true, 0, Err(Rejection::BalanceNotEnough), spent),
        (unreachable.clone(), false, 1_000_000, Err(Rejection::PhoneNumberNotAvailable), spent),
        (unreachable, true, 1_000_000, Err(Rejection::PhoneNumberNotAvailable), spent),
        (waits, true, 1_000_000, Err(Rejection::FloodWait(5)), spent),
        (to(MAGIC), true, 1_000_000, Ok(()), nothing),
        (to(MAGIC), false, 1_000_000, Ok(()), nothing),
    ] {
        let mut gate = fast(1, 1);
        gate.set_balance(ALICE, balance);
        let answer = if send { gate.send(&order) } else { gate.check(&order) };
        assert_eq!(answer.map(drop), expected, "{order:?}");
        assert_eq!(spent_until(&gate, ALICE), state, "{order:?}");
        for _ in 0..3 {
            drop(gate.send(&order));
        }
        assert_eq!(spent_until(&gate, ALICE), state, "a refusal for its rate costs no rate: {order:?}");
    }
}

fn fast(per_second: u32, burst: u32) -> Gate {
    Gate::with(Rules { account_rate: Some(Rate { per_second, burst }), ..rules() })
}

fn spent_until(gate: &Gate, caller: Caller) -> Time {
    gate.store.accounts[&caller.account].rate_spent_until
}

fn verdict(gate: &mut Gate, id: chappe_core::RequestId, code: &str) -> Verification {
    gate.enter(id, code).unwrap().verification.unwrap().0
}
