//! Which fault is named when there are several, and who pays when there is none.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_core::account::Account;
use chappe_core::book::{Remembered, Sender};
use chappe_core::command::{Caller, Idempotency, View};
use chappe_core::limits::{Rate, Window};
use chappe_core::route::Reach;
use chappe_core::text::Username;
use chappe_core::{AccountId, Delivery, Mode, Money, RequestId, Time, TokenId, command::Rejection};
use std::time::Duration;
use support::{ALICE, BOB, Gate, MAGIC, OTHER, OWN, Order, PHONE, PRICE, START, TWIN, phone, rules, to};

/// What can be wrong with a message, in the order of judgement. Method, token, address and phone number are judged
/// before there is a command; so is the order among code, ttl, callback and payload, of which one fault comes along.
/// An idempotency key stands before everything that a replay must not stumble over; among the limits the order is ours.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    KeyReused,
    ForeignRequest,
    OtherNumber,
    SentBefore,
    Malformed,
    SenderNotOwned,
    SenderNotVerified,
    AccountTooFast,
    RouteWaits,
    NumberFlooded,
    NoMoney,
    Unreachable,
}

use Fault::*;

const SEND: [(Fault, Rejection); 12] = [
    (KeyReused, Rejection::IdempotencyKeyReused),
    (ForeignRequest, Rejection::RequestIdInvalid),
    (OtherNumber, Rejection::PhoneNumberMismatch),
    (SentBefore, Rejection::MessageAlreadySent),
    (Malformed, Rejection::TtlInvalid),
    (SenderNotOwned, Rejection::SenderNotOwned),
    (SenderNotVerified, Rejection::SenderNotVerified),
    (AccountTooFast, Rejection::FloodWait(1)),
    (RouteWaits, Rejection::FloodWait(7)),
    (NumberFlooded, Rejection::FloodWait(600)),
    (NoMoney, Rejection::BalanceNotEnough),
    (Unreachable, Rejection::PhoneNumberNotAvailable),
];

const CHECK: [(Fault, Rejection); 5] = [
    (KeyReused, Rejection::IdempotencyKeyReused),
    (AccountTooFast, Rejection::FloodWait(1)),
    (RouteWaits, Rejection::FloodWait(7)),
    (NoMoney, Rejection::BalanceNotEnough),
    (Unreachable, Rejection::PhoneNumberNotAvailable),
];

/// Not only pairs: every set of simultaneous faults there is.
#[test]
fn of_all_faults_of_a_send_the_first_is_named() {
    every_set(&SEND, |faults| {
        let (mut gate, order) = world(faults, false);
        gate.send(&order).map(drop)
    });
}

/// A message under an id that checkSendAbility paid for costs nothing, so an empty account is no fault.
#[test]
fn of_all_faults_of_a_paid_send_the_first_is_named() {
    let paid = SEND.map(|(fault, rejection)| (fault, (fault != NoMoney).then_some(rejection)));
    let paid: Vec<_> = paid.into_iter().filter_map(|(fault, rejection)| Some((fault, rejection?))).collect();
    for poor in [&[][..], &[NoMoney]] {
        every_set(&paid, |faults| {
            let (mut gate, order) = world(&[faults, poor].concat(), true);
            gate.send(&order).map(drop)
        });
    }
}

#[test]
fn of_all_faults_of_a_check_the_first_is_named() {
    every_set(&CHECK, |faults| {
        let (mut gate, order) = world(faults, false);
        gate.check(&order).map(drop)
    });
}

fn every_set(order: &[(Fault, Rejection)], ask: impl Fn(&[Fault]) -> Result<(), Rejection>) {
    for set in 0..1u32 << order.len() {
        let chosen = |(at, _): &(usize, &(Fault, Rejection))| set & (1 << at) != 0;
        let chosen: Vec<_> = order.iter().enumerate().filter(chosen).map(|(_, row)| *row).collect();
        let faults: Vec<_> = chosen.iter().map(|(fault, _)| *fault).collect();
        let expected = chosen.first().map_or(Ok(()), |(_, rejection)| Err(*rejection));
        assert_eq!(ask(&faults), expected, "{faults:?}");
    }
}

/// A world in which exactly these things are wrong with Alice's next message, and the message.
fn world(faults: &[Fault], paid: bool) -> (Gate, Order<'static>) {
    let has = |fault| faults.contains(&fault);
    let mut gate =
        Gate::with(chappe_core::Rules { account_rate: Some(Rate { per_second: 1, burst: 1 }), ..rules() });
    let mut order = Order { sender: Some("our_brand"), ..to(PHONE) };

    if paid || has(ForeignRequest) || has(OtherNumber) || has(SentBefore) {
        let owner = if has(ForeignRequest) { BOB } else { ALICE };
        let number = if has(OtherNumber) { OTHER } else { PHONE };
        let id = gate.caller(owner).check(&to(number)).unwrap().request;
        if has(SentBefore) {
            gate.at(1).sent(&Order { under: Some(id), ..to(number) });
        }
        order.under = Some(id);
    }
    gate.caller(ALICE).at(60);
    let name = Username::parse("our_brand").unwrap();
    if !has(SenderNotOwned) {
        let verified = !has(SenderNotVerified);
        gate.store.senders.insert((ALICE.account, name), Sender { verified });
    }
    if has(KeyReused) {
        let (key, at) = ([1; 32], gate.now);
        let request = RequestId::from_number(222_370_177_540_343).unwrap();
        let (cost, remaining_balance) = (Money::ZERO, Money::ZERO);
        let remembered = Remembered { body: [1; 32], request, cost, remaining_balance, sent_at: None, at };
        gate.store.remembered.insert((ALICE.account, key), remembered);
        order.key = Some(Idempotency { key, body: [2; 32] });
    }
    order.fault = has(Malformed).then_some(Rejection::TtlInvalid);
    if has(AccountTooFast) {
        let account = gate.store.accounts.get_mut(&ALICE.account).unwrap();
        account.rate_spent_until = gate.now + Duration::from_secs(100);
    }
    if has(NumberFlooded) {
        gate.store.sends.insert((Mode::Live, phone(PHONE)), Window::from_moments(vec![gate.now; 5]));
    }
    if has(NoMoney) {
        gate.set_balance(ALICE, 0);
    }
    order.reach = match (has(RouteWaits), has(Unreachable)) {
        // A route waits or is none: that it waits hides that there is nothing to wait for.
        (true, _) => Reach::Wait(7),
        (false, true) => Reach::No,
        (false, false) => Reach::Yes,
    };
    (gate, order)
}

/// To one's own number a sender need not be verified, but it must be one's own.
#[test]
fn whose_channel_may_send() {
    for (owned, verified, number, expected) in [
        (true, true, PHONE, Ok(())),
        (true, false, PHONE, Err(Rejection::SenderNotVerified)),
        (false, false, PHONE, Err(Rejection::SenderNotOwned)),
        (true, true, OWN, Ok(())),
        (true, false, OWN, Ok(())),
        (false, false, OWN, Err(Rejection::SenderNotOwned)),
    ] {
        let mut gate = Gate::new();
        let owner = if owned { ALICE } else { BOB };
        gate.store
            .senders
            .insert((owner.account, Username::parse("our_brand").unwrap()), Sender { verified });
        let answer = gate.send(&Order { sender: Some("@Our_Brand"), ..to(number) });
        assert_eq!(answer.map(drop), expected, "owned {owned}, verified {verified}, {number}");
    }
}

/// Nobody but success is charged: what a call costs, what it answers as the cost, and what is left.
#[test]
fn who_pays() {
    let unreachable = Order { reach: Reach::No, ..to(PHONE) };
    let malformed = Order { fault: Some(Rejection::CodeInvalid), ..to(PHONE) };
    let flooded = Order { reach: Reach::Wait(5), ..to(PHONE) };
    for (order, balance, cost) in [
        (to(PHONE), PRICE, Some(PRICE)),
        (to(PHONE), PRICE - 1, None),
        (to(PHONE), 0, None),
        (to(MAGIC), PRICE, Some(PRICE)),
        (to(OWN), PRICE, Some(0)),
        (to(OWN), 0, Some(0)),
        (unreachable, PRICE, None),
        (malformed, PRICE, None),
        (flooded, PRICE, None),
    ] {
        for send in [true, false] {
            if !send && order.fault.is_some() {
                continue;
            }
            let mut gate = Gate::new();
            gate.set_balance(ALICE, balance);
            let view = if send { gate.send(&order) } else { gate.check(&order) };
            let left = gate.balance(ALICE);
            assert_eq!(left, balance - cost.unwrap_or(0), "{order:?}");
            assert_eq!(view.as_ref().ok().map(|view| view.cost.micros()), cost, "{order:?}");
            if let Ok(view) = view {
                assert_eq!(view.remaining_balance, Some(Money::from_micros(left)), "the true balance");
            }
        }
    }
}

/// The house does not pay itself for the codes that people log in with.
#[test]
fn the_house_sends_for_free() {
    let mut gate = Gate::new();
    let house = Caller { account: AccountId::HOUSE, token: TokenId(0), mode: Mode::Live };
    let twin = gate.store.accounts.get(&ALICE.account).unwrap().clone();
    let account = Account { id: house.account, balance: Money::ZERO, transfers: 0, own_number: None, ..twin };
    gate.store.accounts.insert(house.account, account);
    gate.caller(house);
    let view = gate.send(&to(PHONE)).unwrap();
    assert_eq!((view.cost, view.remaining_balance), (Money::ZERO, Some(Money::ZERO)));
    assert_eq!(gate.store.accounts.get(&house.account).unwrap().transfers, 0);
}

/// Own is a number to its owner alone.
#[test]
fn the_number_of_one_account_costs_another() {
    let mut gate = Gate::new();
    assert_eq!(gate.caller(BOB).send(&to(OWN)).unwrap().cost, Money::from_micros(PRICE));
    assert_eq!(gate.caller(TWIN).check(&to(OWN)).unwrap().cost, Money::from_micros(PRICE));
}

#[test]
fn a_check_and_its_message_are_one_fee_and_one_id() {
    let mut gate = Gate::new();
    let checked = gate.check(&to(PHONE)).unwrap();
    assert_eq!((checked.delivery, checked.verification, checked.refunded), (None, None, false));
    assert_eq!(checked.remaining_balance, Some(Money::from_micros(1_000_000 - PRICE)));
    assert_eq!(gate.status(checked.request).unwrap(), View { remaining_balance: None, ..checked.clone() });

    let order = Order { under: Some(checked.request), payload: Some("order 7"), ..to(PHONE) };
    let sent = gate.at(50).send(&order).unwrap();
    assert_eq!((sent.request, sent.cost), (checked.request, Money::from_micros(PRICE)));
    assert_eq!(sent.delivery, Some((Delivery::Sent, START + Duration::from_secs(50))));
    assert_eq!(sent.payload.as_ref().map(|payload| payload.as_str()), Some("order 7"));
    assert_eq!(sent.remaining_balance, Some(Money::from_micros(1_000_000 - PRICE)), "paid for before");
    assert_eq!(gate.store.timeline(checked.request), ["checked", "charged", "sent"]);
    assert_eq!(gate.send(&order), Err(Rejection::MessageAlreadySent));
    assert_eq!(gate.balance(ALICE), 1_000_000 - PRICE);
}

/// Whatever became of the message: its id is used up.
#[test]
fn a_used_id_stays_used() {
    for end in ["expired", "revoked", "verified"] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { ttl: Some(30), ..to(PHONE) });
        match end {
            "expired" => gate.at(30).due(id, true),
            "revoked" => gate.revoke(id).unwrap(),
            _ => drop(gate.enter(id, support::CODE).unwrap()),
        }
        let again = gate.send(&Order { under: Some(id), ..to(PHONE) });
        assert_eq!(again, Err(Rejection::MessageAlreadySent), "{end}");
    }
}

/// Another account's request is answered as one that never was, by every method, and nothing comes of asking.
#[test]
fn a_foreign_id_is_an_unknown_one() {
    let mut gate = Gate::new();
    let foreign = gate.caller(BOB).check(&to(PHONE)).unwrap().request;
    let sent = gate.caller(BOB).sent(&to(PHONE));
    let unknown = RequestId::from_number(999_999_999_999_999).unwrap();
    // The twin is another account too, whoever owns it.
    for caller in [ALICE, TWIN] {
        let gate = gate.caller(caller);
        for id in [foreign, sent, unknown] {
            for number in [PHONE, OTHER] {
                let answer = gate.send(&Order { under: Some(id), ..to(number) });
                assert_eq!(answer, Err(Rejection::RequestIdInvalid));
            }
            assert_eq!(gate.status(id), Err(Rejection::RequestIdInvalid));
            assert_eq!(gate.enter(id, support::CODE), Err(Rejection::RequestIdInvalid));
            assert_eq!(gate.revoke(id), Err(Rejection::RequestIdInvalid));
        }
    }
    let view = gate.caller(BOB).status(sent).unwrap();
    assert_eq!((view.verification, view.delivery), (None, Some((Delivery::Sent, START))));
}

/// An account without a row is a token without a meaning, on every method that needs the account.
#[test]
fn an_account_that_is_gone_is_an_invalid_token() {
    let mut gate = Gate::new();
    gate.store.accounts.remove(&ALICE.account);
    let waits = Order { reach: Reach::Wait(7), ..to(PHONE) };
    assert_eq!(gate.check(&to(PHONE)), Err(Rejection::AccessTokenInvalid));
    assert_eq!(gate.check(&waits), Err(Rejection::AccessTokenInvalid));
    assert_eq!(gate.send(&to(PHONE)), Err(Rejection::AccessTokenInvalid));
    assert_eq!(gate.credit(ALICE, 1, None).map(drop), Err(Rejection::AccessTokenInvalid));
}

#[test]
fn money_from_outside_moves_once_per_reference() {
    use chappe_core::command::Outcome::{AlreadyCredited, Credited};
    let mut gate = Gate::new();
    gate.set_balance(ALICE, 0);
    let credited = |micros| Ok(Credited(Money::from_micros(micros)));
    for (micros, reference, expected) in [
        (500, Some("pay_1"), credited(500)),
        (500, Some("pay_1"), Ok(AlreadyCredited)),
        (900, Some("pay_1"), Ok(AlreadyCredited)),
        (500, Some("pay_2"), credited(1000)),
        (500, None, credited(1500)),
        (500, None, credited(2000)),
        (0, None, Err(Rejection::AmountInvalid)),
        (0, Some("pay_3"), Err(Rejection::AmountInvalid)),
        (1, Some("pay_3"), credited(2001)),
        (-2002, None, Err(Rejection::BalanceNotEnough)),
        (-2001, Some("out_1"), credited(0)),
        (-1, None, Err(Rejection::BalanceNotEnough)),
        (7, None, credited(7)),
        (i64::MAX, None, Err(Rejection::AmountInvalid)),
    ] {
        assert_eq!(gate.credit(ALICE, micros, reference), expected, "{micros} {reference:?}");
    }
    // A reference is one payment, whomever it was for.
    assert_eq!(gate.credit(BOB, 1, Some("pay_2")), Ok(AlreadyCredited));
}

/// The columns of a row in the statistics, each counted once, on the day the request was made.
#[test]
fn statistics_move_with_the_channel_and_stay_on_the_day() {
    let mut gate = Gate::new();
    let checked = gate.check(&Order { hops: &["mail", "sms"], ..to(PHONE) }).unwrap().request;
    let next_day = 24 * support::HOUR;
    let sms = &["sms", "mail"][..];
    gate.at(next_day).sent(&Order { under: Some(checked), hops: sms, ttl: Some(30), ..to(PHONE) });
    let row = |gate: &Gate| {
        assert_eq!(gate.store.days, gate.store.recount());
        let [(key, counters)] = gate.store.days.iter().collect::<Vec<_>>()[..] else { panic!("one row") };
        assert_eq!(key.day, Time::day(START));
        (key.channel.as_str().to_owned(), counters.columns())
    };
    assert_eq!(row(&gate), ("sms".to_owned(), [1, 1, 0, 0, 0, 0, 0, PRICE, 0]));
    gate.hear(checked, 0, &[chappe_core::ChannelEvent::Failed { reason: String::new() }]);
    assert_eq!(row(&gate), ("mail".to_owned(), [1, 1, 0, 0, 0, 0, 0, PRICE, 0]));
    gate.enter(checked, support::CODE).unwrap();
    gate.at(next_day + 30).due(checked, true);
    assert_eq!(row(&gate), ("mail".to_owned(), [1, 1, 0, 0, 1, 0, 1, PRICE, PRICE]));
}

#[test]
fn a_message_that_was_not_checked_counts_as_none() {
    let mut gate = Gate::new();
    gate.sent(&to(OWN));
    gate.caller(TWIN).sent(&to(PHONE));
    assert_eq!(gate.store.days, gate.store.recount());
    let days: Vec<_> = gate.store.days.iter().map(|(key, row)| (key.account, row.columns())).collect();
    let row = |charged| [0, 1, 0, 0, 0, 0, 0, charged, 0];
    assert_eq!(days, [(ALICE.account, row(0)), (TWIN.account, row(PRICE))]);
}
