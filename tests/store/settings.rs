//! What customers set on the console's pages: tokens, senders, and how often things were done.

use crate::house::{House, on_every_database, vault};
use crate::reference::{PHONE, START, phone};
use chappe::store::console::audit_log::Entry;
use chappe::store::console::people::{self, CustomerId, MEMBERS_MAX, MembershipRow, Role};
use chappe::store::console::senders::{SENDERS_MAX, prove, register, remove};
use chappe::store::console::tokens::rename_token;
use chappe::store::{Change, NewToken};
use chappe_core::text::Username;
use chappe_core::{Mode, Phone, TokenId};
use std::time::Duration;

on_every_database! {
    tokens_are_read_page_by_page_and_by_customer,
    a_sender_is_registered_proven_and_removed,
    what_was_done_is_counted,
    a_team_is_bounded,
}

fn name(text: &str) -> Username {
    Username::parse(text).unwrap()
}

impl House {
    async fn done(&mut self, change: Change) -> bool {
        self.store.change(&change).await.unwrap()
    }

    /// The customer as its members see it.
    async fn seen(&self, customer: &str) -> MembershipRow {
        MembershipRow {
            customer: self.reader.customer_named(customer).await.unwrap().unwrap(),
            name: customer.to_owned(),
            role: Role::Owner,
            live: self.reader.account(customer, Mode::Live).await.unwrap().id,
            test: self.reader.account(customer, Mode::Test).await.unwrap().id,
        }
    }
}

async fn tokens_are_read_page_by_page_and_by_customer(mut house: House) {
    let (alice, bob) = (house.seen("alice").await, house.seen("bob").await);
    let allowed = ["192.0.2.0/24".parse().unwrap()];
    let mut made = vec![house.people.alice.token];
    for number in 0..4 {
        let text = format!("token {number} of alice");
        let expires_at = (number == 3).then_some(START + Duration::from_secs(60));
        let token =
            NewToken { account: alice.live, name: "more", text: &text, expires_at, allowed: &allowed };
        made.push(house.store.create_token(&token, START).await.unwrap());
    }
    made.reverse();
    let ids = |rows: Vec<chappe::store::TokenRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    let first = ids(house.reader.token_page(alice.live, None, 3).await.unwrap());
    assert_eq!(first, made[..3]);
    let second = ids(house.reader.token_page(alice.live, first.last().copied(), 3).await.unwrap());
    assert_eq!(second, made[3..], "newest first, and neither twice nor left out");

    // What pages read is what servers judge by.
    let pages = house.reader.token_of(alice.customer, made[0]).await.unwrap().unwrap();
    let servers = house.reader.tokens(Some(alice.live)).await.unwrap();
    let server = servers.into_iter().find(|row| row.id == made[0]).unwrap();
    assert_eq!(format!("{pages:?}"), format!("{server:?}"));
    assert_eq!(house.reader.token_of(bob.customer, made[0]).await.unwrap().map(|row| row.id), None);
    let twin = house.people.twin.token;
    assert_eq!(house.reader.token_of(alice.customer, twin).await.unwrap().unwrap().mode, Mode::Test);
    assert_eq!(house.reader.token_with(pages.digest).await.unwrap(), Some(made[0]));
    assert_eq!(house.reader.token_with([9; 32]).await.unwrap(), None);

    let good = async |house: &House, secs| {
        house.reader.good_tokens(alice.live, START + Duration::from_secs(secs)).await.unwrap()
    };
    assert_eq!((good(&house, 59).await, good(&house, 60).await), (5, 4));
    let called = async |house: &House, account, name: &str, secs| {
        house.reader.has_good_token(account, name, START + Duration::from_secs(secs)).await.unwrap()
    };
    let ending = house.reader.token_of(alice.customer, made[0]).await.unwrap().unwrap().name;
    assert!(called(&house, alice.live, &ending, 59).await);
    assert!(!called(&house, alice.test, &ending, 59).await && !called(&house, alice.live, "other", 59).await);
    house.store.end_token(made[1], START, START).await.unwrap();
    assert_eq!(good(&house, 59).await, 4);

    assert!(house.done(rename_token(made[1], "Ünal’s")).await);
    assert!(!house.done(rename_token(TokenId(99_999), "nobody’s")).await);
    assert_eq!(house.reader.token_of(alice.customer, made[1]).await.unwrap().unwrap().name, "Ünal’s");
    house.audit().await;
}

async fn a_sender_is_registered_proven_and_removed(mut house: House) {
    let (alice, bob) = (house.seen("alice").await, house.seen("bob").await);
    assert!(house.done(register(&alice, &name("alice_shop"), START)).await);
    assert!(!house.done(register(&alice, &name("ALICE_SHOP"), START)).await, "once");
    assert!(house.done(register(&bob, &name("alice_shop"), START)).await, "whose it is, nobody knows yet");
    for account in [alice.live, alice.test] {
        let rows = house.reader.senders(account).await.unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((row.username.as_str(), row.verified), ("alice_shop", false));
        assert_eq!((row.proven_at, row.created_at), (None, START));
    }
    let later = START + Duration::from_secs(60);
    assert!(house.done(prove(&alice, &name("alice_shop"), later)).await);
    assert!(!house.done(prove(&alice, &name("alice_shop"), START)).await, "once");
    assert!(!house.done(prove(&alice, &name("bobs_shop"), later)).await);
    assert_eq!(house.reader.senders(alice.test).await.unwrap()[0].proven_at, Some(later));
    assert_eq!(house.reader.senders(bob.live).await.unwrap()[0].proven_at, None, "bob proved nothing");

    assert!(house.done(remove(&alice, &name("alice_shop"))).await);
    assert!(!house.done(remove(&alice, &name("alice_shop"))).await);
    assert!(house.reader.senders(alice.test).await.unwrap().is_empty());
    assert_eq!(house.reader.senders(bob.live).await.unwrap().len(), 1);

    for number in 0..SENDERS_MAX {
        assert!(house.done(register(&alice, &name(&format!("channel_{number:02}")), START)).await);
    }
    assert!(!house.done(register(&alice, &name("one_too_many"), START)).await);
    let rows = house.reader.senders(alice.live).await.unwrap();
    assert_eq!(i64::try_from(rows.len()).unwrap(), SENDERS_MAX);
    assert!(rows.is_sorted_by_key(|row| row.username.clone()));
    house.audit().await;
}

async fn what_was_done_is_counted(mut house: House) {
    let entry = |customer: Option<CustomerId>, action: &str, secs| Entry {
        at: START + Duration::from_secs(secs),
        customer,
        person: None,
        who: "Somebody".to_owned(),
        action: action.to_owned(),
        detail: String::new(),
        address: String::new(),
    };
    let (alice, bob) = (house.seen("alice").await.customer, house.seen("bob").await.customer);
    for (customer, action, secs) in [
        (Some(alice), "token.create", 0),
        (Some(alice), "token.create", 10),
        (Some(alice), "token.show", 10),
        (Some(bob), "token.create", 10),
        (None, "token.create", 10),
    ] {
        assert!(house.done(Change::default().noted(&entry(customer, action, secs))).await);
    }
    for (customer, since, count) in
        [(alice, 0, 2), (alice, 1, 1), (alice, 10, 1), (alice, 11, 0), (bob, 0, 1)]
    {
        let since = START + Duration::from_secs(since);
        assert_eq!(house.reader.done_since(customer, "token.create", since).await.unwrap(), count);
    }
}

async fn a_team_is_bounded(mut house: House) {
    let alice = house.seen("alice").await.customer;
    let mut added = 0;
    for number in 0..=MEMBERS_MAX {
        let number = Phone::parse(&format!("+39333{number:07}")).unwrap();
        house.done(people::know(&vault(), number, "", START)).await;
        let person = house.reader.person_of(number).await.unwrap().unwrap().id;
        added += i64::from(house.done(people::join(alice, person, Role::Finance, START)).await);
    }
    assert_eq!(added, MEMBERS_MAX);
    let members = house.reader.members(alice).await.unwrap();
    assert_eq!(i64::try_from(members.len()).unwrap(), MEMBERS_MAX);
    assert!(members.iter().all(|member| member.seen_at.is_none()));

    let last = members[0].person.id;
    let now = START + Duration::from_secs(7);
    let begun = chappe::store::console::sessions::begin(&vault(), [1; 32], phone(PHONE), None, now, "");
    assert!(house.done(begun).await);
    let new = chappe::store::console::sessions::NewSession {
        digest: [2; 32],
        id: 1,
        person: last,
        customer: None,
        mode: Mode::Live,
        now,
        address: "",
        agent: "",
    };
    assert!(house.done(chappe::store::console::sessions::open(&new)).await);
    assert_eq!(house.reader.members(alice).await.unwrap()[0].seen_at, Some(now));
}
