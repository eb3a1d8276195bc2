//! What moves money, payments, and what the operator sees of all customers.

use crate::house::{House, on_every_database};
use crate::reference::to;
use chappe::store::console::audit_log::Entry;
use chappe::store::console::movements::{MovementFilter, MovementRow, Side};
use chappe::store::console::payments::{self, Collector, PaymentRow, PaymentState};
use chappe::store::console::people::{CustomerId, set_low_balance};
use chappe_core::ledger::Kind;
use chappe_core::{AccountId, Mode, Money, Time};

on_every_database!(
    movements_are_found_by_number_kind_and_time,
    times_that_go_back_hide_no_movement,
    sums_are_of_their_days,
    low_balances_are_found,
    a_payment_lives_once,
    customers_are_listed_for_the_operator,
    channels_are_summed,
);

fn micros(micros: i64) -> Money {
    Money::from_micros(micros)
}

const ALL: Side = Side::Before(i64::MAX);

async fn seqs(house: &House, filter: MovementFilter, side: Side, limit: i64) -> Vec<i64> {
    let account = house.people.alice.account;
    let found = house.reader.movements(account, &filter, side, limit).await.unwrap();
    found.iter().map(|row: &MovementRow| row.seq).collect()
}

/// A deposit, three fees, a correction: each an hour after the one before.
async fn furnish(house: &mut House) -> Vec<Time> {
    let alice = house.people.alice;
    let mut moments = vec![house.now];
    for round in 0..3 {
        house.wait(3_600);
        moments.push(house.now);
        let number = format!("+39123456789{round}");
        house.send(alice, &to(&number)).await.unwrap();
    }
    house.wait(3_600);
    moments.push(house.now);
    house.credit(alice, -50_000, Some("correction-1")).await.unwrap();
    moments
}

async fn movements_are_found_by_number_kind_and_time(mut house: House) {
    let moments = furnish(&mut house).await;
    let every = MovementFilter::default();
    assert_eq!(seqs(&house, every, ALL, 100).await, [5, 4, 3, 2, 1]);
    assert_eq!(seqs(&house, every, ALL, 2).await, [5, 4]);
    assert_eq!(seqs(&house, every, Side::Before(4), 2).await, [3, 2]);
    assert_eq!(seqs(&house, every, Side::After(2), 2).await, [3, 4]);
    assert_eq!(seqs(&house, every, Side::After(5), 2).await, [0_i64; 0]);
    assert_eq!(seqs(&house, every, Side::After(i64::MAX), 2).await, [0_i64; 0]);
    assert_eq!(seqs(&house, every, Side::Before(i64::MIN), 2).await, [0_i64; 0]);
    for (kind, expected) in [
        (Kind::Charge, vec![4, 3, 2]),
        (Kind::Refund, vec![]),
        (Kind::Deposit, vec![1]),
        (Kind::Adjustment, vec![5]),
    ] {
        let filter = MovementFilter { kind: Some(kind), ..every };
        assert_eq!(seqs(&house, filter, ALL, 100).await, expected, "{kind:?}");
    }
    let between = |from: usize, to: usize| MovementFilter {
        from: Some(moments[from]),
        to: Some(moments[to]),
        kind: None,
    };
    assert_eq!(seqs(&house, between(1, 3), ALL, 100).await, [3, 2]);
    assert_eq!(seqs(&house, between(1, 3), Side::After(2), 100).await, [3]);
    assert_eq!(seqs(&house, between(3, 1), ALL, 100).await, [0_i64; 0]);
    let from = MovementFilter { from: Some(moments[4]), ..every };
    assert_eq!(seqs(&house, from, ALL, 100).await, [5]);
    let far = MovementFilter { from: Some(Time::from_secs(0)), to: Some(Time::from_secs(1 << 40)), ..every };
    assert_eq!(seqs(&house, far, ALL, 100).await, [5, 4, 3, 2, 1]);

    let account = house.people.alice.account;
    let rows = house.reader.movements(account, &every, ALL, 2).await.unwrap();
    assert_eq!((rows[0].amount, rows[0].reference.as_deref()), (micros(-50_000), Some("correction-1")));
    assert_eq!((rows[1].kind, rows[1].amount.is_positive()), (Kind::Charge, false));
    assert!(rows[1].request.is_some() && rows[1].reason.is_empty());
    assert_eq!(rows[0].balance, house.reader.balance(account).await.unwrap());
    let nobody = house.reader.movements(AccountId(9_999), &far, ALL, 2).await.unwrap();
    assert_eq!(nobody, []);
}

/// Servers over one database have clocks of their own.
async fn times_that_go_back_hide_no_movement(mut house: House) {
    let alice = house.people.alice;
    let begin = house.now;
    for (at, minutes) in [(1, 10), (2, 70), (3, 40), (4, 100), (5, 65), (6, 130)] {
        house.now = begin;
        house.wait(minutes * 60);
        house.credit(alice, at, None).await.unwrap();
    }
    let at = |minutes: u64| Some(begin + std::time::Duration::from_secs(minutes * 60));
    let found = seqs(&house, MovementFilter { kind: None, from: at(60), to: at(101) }, ALL, 100).await;
    assert_eq!(found, [6, 5, 3]);
    let found = seqs(&house, MovementFilter { kind: None, from: at(0), to: at(41) }, ALL, 100).await;
    assert_eq!(found, [4, 2, 1]);
}

async fn sums_are_of_their_days(mut house: House) {
    let moments = furnish(&mut house).await;
    let (account, reader) = (house.people.alice.account, &house.reader);
    let turnover = reader.turnover(account, moments[0].day()).await.unwrap();
    let rows = reader.movements(account, &MovementFilter::default(), ALL, 100).await.unwrap();
    let charged: i64 =
        rows.iter().filter(|row| row.kind == Kind::Charge).map(|row| -row.amount.micros()).sum();
    assert!(charged > 0);
    assert_eq!((turnover.charged, turnover.refunded), (micros(charged), Money::ZERO));
    assert_eq!(reader.turnover(account, moments[4].day() + 1).await.unwrap().charged, Money::ZERO);
    assert_eq!(reader.deposits(account, moments[0]).await.unwrap(), micros(1_000_000));
    assert_eq!(reader.deposits(account, moments[1]).await.unwrap(), Money::ZERO);
}

async fn customer(house: &House, name: &str) -> CustomerId {
    house.reader.customer_named(name).await.unwrap().unwrap()
}

async fn low_balances_are_found(mut house: House) {
    let (alice, bob) = (customer(&house, "alice").await, customer(&house, "bob").await);
    assert_eq!(house.reader.low_balances().await.unwrap(), []);
    assert!(house.store.change(&set_low_balance(alice, Some(micros(1_000_001)))).await.unwrap());
    assert!(house.store.change(&set_low_balance(bob, Some(micros(1_000_000)))).await.unwrap());
    let low = house.reader.low_balances().await.unwrap();
    assert_eq!((low.len(), low[0].customer, low[0].name.as_str()), (1, alice, "alice"));
    assert_eq!((low[0].balance, low[0].below), (micros(1_000_000), micros(1_000_001)));
    house.store.change(&set_low_balance(alice, None)).await.unwrap();
    assert_eq!(house.reader.low_balances().await.unwrap(), []);
}

fn payment(house: &House, id: &str) -> PaymentRow {
    PaymentRow {
        id: id.to_owned(),
        collector: Collector::Stripe,
        account: house.people.alice.account,
        amount: micros(5_000_000),
        price: "500 eur".to_owned(),
        link: String::new(),
        state: PaymentState::Open,
        charge: None,
        payer: String::new(),
        refunded: Money::ZERO,
        created_at: house.now,
    }
}

async fn a_payment_lives_once(mut house: House) {
    let row = payment(&house, "p1");
    let now = house.now;
    for _ in 0..2 {
        house.store.change(&payments::begin(&row)).await.unwrap();
    }
    house.store.change(&payments::begin(&PaymentRow { amount: micros(1), ..row.clone() })).await.unwrap();
    assert_eq!(house.reader.payment("p1").await.unwrap().unwrap(), row);
    assert_eq!(house.reader.payment("p2").await.unwrap(), None);
    assert!(house.store.change(&payments::offer("p1", "https://pay.example/p1", now)).await.unwrap());
    assert!(!house.store.change(&payments::offer("p2", "https://pay.example/p2", now)).await.unwrap());

    let paid = payments::pay("p1", "pi_1", "a@b.example", now);
    assert!(house.store.change(&paid).await.unwrap());
    assert!(!house.store.change(&paid).await.unwrap(), "that is known");
    assert!(!house.store.change(&payments::fail("p1", now)).await.unwrap(), "it is paid");
    let found = house.reader.payment_of(Collector::Stripe, "pi_1").await.unwrap().unwrap();
    assert_eq!((found.state, found.payer.as_str()), (PaymentState::Paid, "a@b.example"));
    assert_eq!(found.link, "https://pay.example/p1");
    assert_eq!(house.reader.payment_of(Collector::Stars, "pi_1").await.unwrap(), None);

    let part = payments::give_back("p1", Money::ZERO, micros(2_000_000), now);
    assert!(house.store.change(&part).await.unwrap());
    assert!(!house.store.change(&part).await.unwrap(), "somebody was first");
    let state = house.reader.payment("p1").await.unwrap().unwrap();
    assert_eq!((state.state, state.refunded), (PaymentState::Paid, micros(2_000_000)));
    let rest = payments::give_back("p1", micros(2_000_000), micros(5_000_000), now);
    assert!(house.store.change(&rest).await.unwrap());
    assert_eq!(house.reader.payment("p1").await.unwrap().unwrap().state, PaymentState::Refunded);

    let (late, first) = (house.wait(60).now, now);
    let other = PaymentRow { created_at: late, ..payment(&house, "p2") };
    house.store.change(&payments::begin(&other)).await.unwrap();
    assert!(house.store.change(&payments::fail("p2", late)).await.unwrap());
    assert!(house.store.change(&payments::pay("p2", "pi_2", "", late)).await.unwrap(), "late, but paid");
    let account = house.people.alice.account;
    let ids = |rows: Vec<PaymentRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(house.reader.payments(account, 10).await.unwrap()), ["p2", "p1"]);
    assert_eq!(ids(house.reader.payments(account, 1).await.unwrap()), ["p2"]);
    assert_eq!(house.reader.payments_begun(account, first).await.unwrap(), 2);
    assert_eq!(house.reader.payments_begun(account, late).await.unwrap(), 1);
    assert_eq!(house.reader.customer_of(account).await.unwrap(), Some(customer(&house, "alice").await));
    assert_eq!(house.reader.customer_of(AccountId(1)).await.unwrap(), None, "the house");
}

async fn customers_are_listed_for_the_operator(mut house: House) {
    let moments = furnish(&mut house).await;
    let day = moments[0].day();
    let (alice, bob) = (customer(&house, "alice").await, customer(&house, "bob").await);
    house.store.create_customer("100% _real_!", house.now).await.unwrap();
    let names = async |text: &str, before: Option<CustomerId>, limit: i64| {
        let found = house.reader.customers(text, before, day, limit).await.unwrap();
        found.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(names("", None, 10).await, ["100% _real_!", "bob", "alice"]);
    assert_eq!(names("", None, 1).await, ["100% _real_!"]);
    assert_eq!(names("", Some(bob), 10).await, ["alice"]);
    assert_eq!(names("LIC", None, 10).await, ["alice"]);
    for text in ["%", "_", "!", "0% _R"] {
        assert_eq!(names(text, None, 10).await, ["100% _real_!"], "{text}");
    }
    assert_eq!(names("'; DROP TABLE customer", None, 10).await, Vec::<String>::new());
    let found = house.reader.customers("alice", None, day, 1).await.unwrap();
    assert_eq!((found[0].sent, found[0].verified, found[0].seen_at), (3, 0, None));
    let later = house.reader.customers("alice", None, house.now.day() + 1, 1).await.unwrap();
    assert_eq!(later[0].sent, 0);

    let totals = house.reader.house_totals(day).await.unwrap();
    let balances = [Mode::Live].map(|mode| mode.as_str());
    assert_eq!((totals.customers, totals.sent, balances), (3, 3, ["live"]));
    let (live, test) = house.reader.accounts_of(alice).await.unwrap().unwrap();
    assert_eq!((live, test), (house.people.alice.account, house.people.twin.account));
    assert_eq!(house.reader.accounts_of(CustomerId(9_999)).await.unwrap(), None);
    let expected = house.balance(house.people.alice).await + house.balance(house.people.bob).await;
    assert_eq!(totals.balance, micros(expected));
    let turnover = house.reader.turnover(live, day).await.unwrap();
    assert_eq!(totals.earned, turnover.charged);

    let name = |text: &str| chappe_core::text::Username::parse(text).unwrap();
    for account in [live, test] {
        house.store.put_sender(account, &name("alice_news"), false, house.now).await.unwrap();
    }
    let of_bob = house.people.bob.account;
    house.store.put_sender(of_bob, &name("bob_news"), true, house.now).await.unwrap();
    let listed = async |of: Option<CustomerId>, limit: i64| {
        let found = house.reader.sender_lines(of, limit).await.unwrap();
        found.into_iter().map(|row| (row.name, row.username, row.verified)).collect::<Vec<_>>()
    };
    let of_alice = ("alice".to_owned(), "alice_news".to_owned(), false);
    let of_bob = ("bob".to_owned(), "bob_news".to_owned(), true);
    assert_eq!(listed(None, 10).await, [of_alice.clone(), of_bob.clone()]);
    assert_eq!(listed(None, 1).await, [of_alice]);
    assert_eq!(listed(Some(bob), 10).await, [of_bob]);

    let entry = Entry {
        at: house.now,
        customer: None,
        person: None,
        who: "Operator".to_owned(),
        action: "test".to_owned(),
        detail: String::new(),
        address: String::new(),
    };
    house.store.change(&chappe::store::Change::default().noted(&entry)).await.unwrap();
    assert_eq!(house.reader.audit_log(None, None, 10).await.unwrap()[0].1, entry);
}

async fn channels_are_summed(mut house: House) {
    let moments = furnish(&mut house).await;
    let sums = house.reader.channel_sums(moments[0].day()).await.unwrap();
    assert_eq!(sums.iter().map(|sum| sum.sent).sum::<i64>(), 3);
    assert!(sums.iter().all(|sum| sum.delivered <= sum.sent && !sum.channel.is_empty()));
    assert_eq!(house.reader.channel_sums(house.now.day() + 1).await.unwrap(), []);
    let waiting = house.reader.waiting(house.now).await.unwrap();
    assert!(waiting.iter().map(|(_, count)| count).sum::<i64>() <= 3, "{waiting:?}");
}
