//! What the operator writes.

use crate::house::{House, WINDOW, on_every_database};
use crate::reference::{CODE, OTHER, PHONE, START, WRONG, phone, to};
use chappe::store::{NewToken, PurgeBefore, StoreError, TokenUse};
use chappe_core::command::Idempotency;
use chappe_core::text::Username;
use chappe_core::{ChannelEvent, Command, Mode, Rejection, Time};
use std::time::Duration;

on_every_database! {
    a_customer_has_a_live_account_and_its_twin,
    a_token_is_made_limited_used_and_ended,
    a_token_ends_when_it_is_told_to,
    senders_are_put_changed_and_taken_away,
    a_database_is_for_one_purpose,
    codes_leave_the_sandbox,
    what_is_old_is_forgotten,
    money_for_one_reference_is_booked_once,
}

async fn a_customer_has_a_live_account_and_its_twin(mut house: House) {
    house.store.create_customer("Ünïcode & Söhne", house.now).await.unwrap();
    let again = house.store.create_customer("alice", house.now).await.unwrap_err();
    assert_eq!(again.to_string(), "there is a customer named \"alice\" already");
    let all = house.reader.accounts(None).await.unwrap();
    let names: Vec<_> = all.iter().map(|account| (account.customer.as_str(), account.mode)).collect();
    let both = |name| [(name, Mode::Live), (name, Mode::Test)];
    assert_eq!(names, [both("alice"), both("bob"), both("Ünïcode & Söhne")].concat());
    assert!(all.iter().all(|account| account.id.0 >= 100), "small ids are the house's own");
    assert!(matches!(house.reader.account("carol", Mode::Live).await, Err(StoreError::NotFound(_))));

    let alice = house.account("alice").await;
    assert_eq!((alice.own_number, alice.single_use, alice.created_at), (None, false, START));
    house.store.set_own_number(alice.id, Some(phone(PHONE))).await.unwrap();
    house.store.set_single_use(alice.id, true).await.unwrap();
    let changed = house.account("alice").await;
    assert_eq!((changed.own_number, changed.single_use), (Some(phone(PHONE)), true));
    assert_eq!((changed.balance, changed.transfers), (alice.balance, 1), "and nothing else");
    house.store.set_own_number(alice.id, None).await.unwrap();
    assert_eq!(house.account("alice").await.own_number, None);
    house.audit().await;
}

async fn a_token_is_made_limited_used_and_ended(mut house: House) {
    let before = house.reader.tokens_version().await.unwrap();
    let account = house.people.bob.account;
    let allowed = ["192.0.2.0/24".parse().unwrap(), "2001:db8::1/128".parse().unwrap()];
    let expires_at = Some(START + Duration::from_secs(3600));
    let token = NewToken { account, name: "second", text: "a secret text", expires_at, allowed: &allowed };
    let id = house.store.create_token(&token, START).await.unwrap();
    let twice = house.store.create_token(&token, START).await.unwrap_err();
    assert_eq!(twice.to_string(), "this very token exists already");
    assert!(house.reader.tokens_version().await.unwrap() > before, "servers are told");

    let row = house.reader.tokens(Some(account)).await.unwrap().into_iter().find(|row| row.id == id).unwrap();
    assert_eq!((row.name.as_str(), row.text.as_str(), row.mode), ("second", "a secret text", Mode::Live));
    assert_eq!(row.digest, crate::house::vault().token_digest("a secret text"));
    assert_eq!((row.allowed.as_slice(), row.expires_at, row.created_at), (&allowed[..], expires_at, START));
    assert_eq!((row.revoked_at, row.last_used.is_none()), (None, true));

    let before = house.reader.tokens_version().await.unwrap();
    house.store.allow_token(id, &[]).await.unwrap();
    assert!(house.reader.tokens_version().await.unwrap() > before);
    let use_at = |secs, from: &str| TokenUse {
        token: id,
        at: START + Duration::from_secs(secs),
        from: from.parse().unwrap(),
    };
    house.store.touch_tokens(&[use_at(5, "192.0.2.7")]).await.unwrap();
    house.store.touch_tokens(&[]).await.unwrap();
    let row = house.reader.tokens(None).await.unwrap().into_iter().find(|row| row.id == id).unwrap();
    assert_eq!(row.allowed, []);
    assert_eq!(row.last_used, Some((START + Duration::from_secs(5), "192.0.2.7".to_owned())));
    assert_eq!(house.reader.tokens(None).await.unwrap().len(), 5);
}

async fn a_token_ends_when_it_is_told_to(mut house: House) {
    let id = house.people.alice.token;
    let at = |secs| START + Duration::from_secs(secs);
    let ends = [
        // When it shall end, and what then stands in the row: its end, and its revocation.
        (at(100), Some(at(100)), None),
        (at(200), Some(at(100)), None),
        (at(50), Some(at(50)), None),
        (START, Some(at(50)), Some(START)),
        (at(60), Some(at(50)), Some(START)),
    ];
    for (end, expires_at, revoked_at) in ends {
        let before = house.reader.tokens_version().await.unwrap();
        house.store.end_token(id, end, START).await.unwrap();
        assert!(house.reader.tokens_version().await.unwrap() > before);
        let row = house.reader.tokens(None).await.unwrap().into_iter().find(|row| row.id == id).unwrap();
        assert_eq!((row.expires_at, row.revoked_at), (expires_at, revoked_at), "after {end:?}");
    }
}

async fn senders_are_put_changed_and_taken_away(mut house: House) {
    let account = house.people.alice.account;
    let name = |text| Username::parse(text).unwrap();
    house.store.put_sender(account, &name("zulu_news"), false, START).await.unwrap();
    house.store.put_sender(account, &name("alpha_news"), true, START).await.unwrap();
    house.store.put_sender(account, &name("zulu_news"), true, START).await.unwrap();
    let senders = house.account("alice").await.senders;
    assert_eq!(senders, [(name("alpha_news"), true), (name("zulu_news"), true)]);
    assert!(house.account("bob").await.senders.is_empty());
    assert!(house.store.remove_sender(account, &name("zulu_news")).await.unwrap());
    assert!(!house.store.remove_sender(account, &name("zulu_news")).await.unwrap());
    assert_eq!(house.account("alice").await.senders, [(name("alpha_news"), true)]);
}

async fn a_database_is_for_one_purpose(mut house: House) {
    // It has customers already, that development has not made.
    let refused = house.store.claim_for("dev").await;
    assert!(matches!(&refused, Err(StoreError::MadeFor(purpose)) if purpose == "serve"), "{refused:?}");
    house.store.claim_for("serve").await.unwrap();
    house.store.claim_for("serve").await.unwrap();
    assert!(
        matches!(house.store.claim_for("dev").await, Err(StoreError::MadeFor(purpose)) if purpose == "serve")
    );
}

async fn codes_leave_the_sandbox(mut house: House) {
    let order = crate::reference::Order { hops: &["sandbox"], ..to(OTHER) };
    let (alice, bob, now) = (house.people.alice, house.people.bob, house.now);
    let mut sent = Vec::new();
    for caller in [alice, alice, bob] {
        sent.push(house.send(caller, &order).await.unwrap().request);
    }
    let leased = house.send(alice, &order).await.unwrap().request;
    for request in &sent {
        let accepted = ChannelEvent::Accepted { reference: None, poll_at: None };
        let (request, channel) = (*request, crate::house::channel("sandbox"));
        let command = Command::Channel { now, request, hop: 0, channel, events: vec![accepted] };
        house.command(command).await.unwrap();
    }
    assert_eq!(house.reader.sandbox_messages(None, None, 10).await.unwrap().len(), 4);
    assert!(!house.store.clear_sandbox(Some(bob.account)).await.unwrap());
    assert_eq!(house.reader.sandbox_messages(Some(bob.account), None, 10).await.unwrap().len(), 0);
    assert_eq!(house.reader.sandbox_messages(None, Some(phone(OTHER)), 10).await.unwrap().len(), 3);
    assert_eq!(house.reader.sandbox_messages(None, Some(phone(PHONE)), 10).await.unwrap().len(), 0);
    assert!(!house.store.purge(before(START, START, START)).await.unwrap(), "nothing is that old");
    assert_eq!(house.reader.sandbox_messages(None, None, 2).await.unwrap().len(), 2);
    assert!(!house.store.clear_sandbox(None).await.unwrap());
    let rest = house.reader.sandbox_messages(None, None, 10).await.unwrap();
    assert_eq!(
        rest.iter().map(|row| row.request).collect::<Vec<_>>(),
        [leased],
        "it is still to be handed over"
    );
    assert!(house.reader.sandbox_message(sent[0]).await.unwrap().is_none());
    // The code itself is judged by its digest, and still good.
    let verified = house.enter(alice, sent[0], CODE).await.unwrap();
    assert_eq!(verified.verification.unwrap().0, chappe_core::Verification::Valid);
    house.audit().await;
}

/// Forgetting idempotency keys, wrong codes and the codes of the sandbox from before these moments.
fn before(keys: Time, failures: Time, codes: Time) -> PurgeBefore {
    PurgeBefore { keys, failures, codes, references: Time::from_micros(0) }
}

async fn what_is_old_is_forgotten(mut house: House) {
    let (alice, bob) = (house.people.alice, house.people.bob);
    let key = |byte| Some(Idempotency { key: [byte; 32], body: [byte; 32] });
    let order = |byte| crate::reference::Order { key: key(byte), ..to(PHONE) };
    let first = house.send(alice, &order(1)).await.unwrap().request;
    assert_eq!(house.send(alice, &order(1)).await.unwrap().request, first, "remembered");
    let guessed = house.send(bob, &to(OTHER)).await.unwrap().request;
    for _ in 0..5 {
        house.enter(bob, guessed, WRONG).await.unwrap();
    }
    let long_ago = Time::from_micros(0);
    house.wait(100);
    let later = house.now;
    house.store.purge(before(later, long_ago, long_ago)).await.unwrap();
    let second = house.send(alice, &order(1)).await.unwrap().request;
    assert_ne!(second, first, "forgotten");

    // Five wrong codes and five more lock a number; forgotten ones do not count.
    house.store.purge(before(long_ago, later, long_ago)).await.unwrap();
    for _ in 0..2 {
        let next = house.send(bob, &to(OTHER)).await.unwrap().request;
        for _ in 0..4 {
            let answer = house.enter(bob, next, WRONG).await.unwrap();
            assert_eq!(answer.verification.unwrap().0, chappe_core::Verification::Invalid);
        }
    }
    // Messages to a number are counted as long as its window is, whatever is purged meanwhile.
    let now = house.now;
    house.store.purge(before(now, now, now)).await.unwrap();
    for _ in 0..2 {
        house.send(bob, &to(OTHER)).await.unwrap();
    }
    assert!(matches!(house.send(bob, &to(OTHER)).await, Err(Rejection::FloodWait(_))));
    house.wait(WINDOW.as_secs());
    house.send(bob, &to(OTHER)).await.unwrap();
    house.audit().await;
}

async fn money_for_one_reference_is_booked_once(mut house: House) {
    use chappe_core::Outcome;
    let (alice, bob) = (house.people.alice, house.people.bob);
    assert!(matches!(house.credit(alice, 5, Some("invoice 1")).await, Ok(Outcome::Credited(_))));
    assert_eq!(house.credit(alice, 5, Some("invoice 1")).await, Ok(Outcome::AlreadyCredited));
    assert_eq!(house.credit(bob, 7, Some("invoice 1")).await, Ok(Outcome::AlreadyCredited));
    assert_eq!((house.balance(alice).await, house.balance(bob).await), (1_000_005, 1_000_000));
    let commands = [1, 2].map(|micros| crate::house::credit(alice, house.now, micros, Some("invoice 2")));
    let answers = house.batch(&commands).await;
    assert!(matches!(answers[0], Ok(Outcome::Credited(_))));
    assert_eq!(answers[1], Ok(Outcome::AlreadyCredited));
    house.credit(bob, -3, Some("correction")).await.unwrap();
    for (reference, customer, micros) in [("invoice 1", "alice", 5), ("correction", "bob", -3)] {
        let row = house.reader.booking(reference).await.unwrap().unwrap();
        assert_eq!((row.customer.as_str(), row.mode, row.amount.micros()), (customer, Mode::Live, micros));
        assert_eq!(row.account, house.account(customer).await.id);
    }
    assert!(house.reader.booking("invoice 3").await.unwrap().is_none());
    house.audit().await;
}
