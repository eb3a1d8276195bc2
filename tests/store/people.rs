//! The people of the console: who they are, for whom they act, and the browsers in which they are logged in.

use crate::house::{House, on_every_database, vault};
use crate::reference::{OTHER, PHONE, START, phone};
use chappe::store::Change;
use chappe::store::console::audit_log::Entry;
use chappe::store::console::people::{self, CustomerId, PersonId, Profile, Role};
use chappe::store::console::sessions::{self, NewSession};
use chappe_core::{Mode, Money, RequestId};
use std::time::Duration;

on_every_database! {
    a_number_is_one_person,
    people_act_for_customers,
    people_are_asked_first,
    a_customer_never_loses_its_last_owner,
    a_customer_says_what_it_is,
    a_log_in_is_good_for_one_session,
    a_log_in_has_so_many_attempts,
    sessions_turn_and_end,
    what_is_over_is_forgotten,
    what_was_done_is_read_page_by_page,
    a_change_is_whole_or_nothing,
}

impl House {
    async fn change(&mut self, change: Change) -> bool {
        self.store.change(&change).await.unwrap()
    }

    async fn know(&mut self, number: &str, name: &str) -> PersonId {
        assert!(self.change(people::know(&vault(), phone(number), name, START)).await);
        self.reader.person_of(phone(number)).await.unwrap().unwrap().id
    }

    async fn customer(&self, name: &str) -> CustomerId {
        self.reader.customer_named(name).await.unwrap().unwrap()
    }

    async fn log_in(&mut self, digest: [u8; 32], person: PersonId, customer: Option<CustomerId>) -> bool {
        let begun = sessions::begin(&vault(), [1; 32], phone(PHONE), None, self.now, "192.0.2.1");
        assert!(self.change(begun).await);
        let id = i64::from(digest[0]);
        let (now, address, agent) = (self.now, "192.0.2.1", "Netscape");
        let new = NewSession { digest, id, person, customer, mode: Mode::Live, now, address, agent };
        self.change(sessions::end([1; 32]).with(sessions::open(&new))).await
    }
}

async fn a_number_is_one_person(mut house: House) {
    assert_eq!(house.reader.person_of(phone(PHONE)).await.unwrap(), None);
    let anna = house.know(PHONE, "Anna").await;
    assert_eq!(house.know(PHONE, "Somebody else").await, anna);
    let bruno = house.know(OTHER, "").await;
    assert_ne!(anna, bruno);
    let row = house.reader.person(anna).await.unwrap().unwrap();
    assert_eq!(
        (row.phone, row.name.as_str(), row.operator, row.created_at),
        (phone(PHONE), "Anna", false, START)
    );
    assert!(house.change(people::rename(bruno, "Bruno Ø")).await);
    assert!(house.change(people::set_operator(bruno, true)).await);
    let operators = house.reader.operators().await.unwrap();
    assert_eq!(operators.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["Bruno Ø"]);
    assert!(house.change(people::set_operator(bruno, false)).await);
    assert!(house.reader.operators().await.unwrap().is_empty());
    assert!(!house.change(people::rename(PersonId(999), "Nobody")).await);
}

async fn people_act_for_customers(mut house: House) {
    let (alice, bob) = (house.customer("alice").await, house.customer("bob").await);
    let anna = house.know(PHONE, "Anna").await;
    assert!(house.reader.memberships(anna).await.unwrap().is_empty());
    assert!(house.change(people::join(bob, anna, Role::Finance, START)).await);
    assert!(house.change(people::join(alice, anna, Role::Owner, START)).await);
    assert!(!house.change(people::join(alice, anna, Role::Finance, START)).await, "they do already");
    let memberships = house.reader.memberships(anna).await.unwrap();
    let names: Vec<_> = memberships.iter().map(|one| (one.name.as_str(), one.role)).collect();
    assert_eq!(names, [("alice", Role::Owner), ("bob", Role::Finance)]);
    assert_eq!(memberships[0].account(Mode::Live), house.people.alice.account);
    assert_eq!(memberships[0].account(Mode::Test), house.people.twin.account);
    let members = house.reader.members(alice).await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].person.id, members[0].role, members[0].since), (anna, Role::Owner, START));
}

async fn people_are_asked_first(mut house: House) {
    let (alice, bob) = (house.customer("alice").await, house.customer("bob").await);
    let (anna, bruno) = (house.know(PHONE, "Anna").await, house.know(OTHER, "Bruno").await);
    assert!(house.change(people::join(alice, anna, Role::Owner, START)).await);
    assert!(house.log_in([7; 32], bruno, None).await);
    for (customer, role) in [(alice, Role::Owner), (bob, Role::Finance)] {
        assert!(house.change(people::invite(customer, bruno, role, START)).await);
        assert!(!house.change(people::invite(customer, bruno, role, START)).await, "once");
    }
    assert!(house.reader.memberships(bruno).await.unwrap().is_empty());
    let asked = house.reader.invitations(bruno).await.unwrap();
    let names: Vec<_> = asked.iter().map(|one| (one.name.as_str(), one.role)).collect();
    assert_eq!(names, [("alice", Role::Owner), ("bob", Role::Finance)]);
    let members = house.reader.members(alice).await.unwrap();
    let told: Vec<_> =
        members.iter().map(|one| (one.person.name.as_str(), one.accepted, one.seen_at)).collect();
    assert_eq!(told, [("Anna", true, None), ("", false, None)], "nothing of somebody who has said nothing");
    assert!(!house.change(people::part(alice, anna)).await, "an owner who was only asked is none");

    assert!(house.change(people::accept(alice, bruno, START)).await);
    assert!(!house.change(people::accept(alice, bruno, START)).await);
    assert!(!house.change(people::decline(alice, bruno)).await, "too late: they can leave");
    assert!(house.change(people::decline(bob, bruno)).await);
    assert!(!house.change(people::accept(bob, bruno, START)).await);
    assert!(house.reader.invitations(bruno).await.unwrap().is_empty());
    assert_eq!(house.reader.memberships(bruno).await.unwrap().len(), 1);
    let members = house.reader.members(alice).await.unwrap();
    assert_eq!((members[1].person.name.as_str(), members[1].seen_at), ("Bruno", Some(START)));
    assert!(house.change(people::part(alice, anna)).await, "now there is another one");
}

async fn a_customer_never_loses_its_last_owner(mut house: House) {
    let alice = house.customer("alice").await;
    let (anna, bruno) = (house.know(PHONE, "Anna").await, house.know(OTHER, "Bruno").await);
    house.change(people::join(alice, anna, Role::Owner, START)).await;
    house.change(people::join(alice, bruno, Role::Developer, START)).await;
    assert!(!house.change(people::set_role(alice, anna, Role::Finance)).await);
    assert!(!house.change(people::part(alice, anna)).await);
    assert!(house.change(people::set_role(alice, anna, Role::Owner)).await, "what they are already");
    assert!(house.change(people::set_role(alice, bruno, Role::Owner)).await);
    assert!(house.change(people::set_role(alice, anna, Role::Finance)).await);
    assert!(!house.change(people::part(alice, bruno)).await, "now he is the last one");
    assert!(house.log_in([7; 32], anna, Some(alice)).await);
    assert!(house.change(people::part(alice, anna)).await);
    assert_eq!(house.reader.session([7; 32]).await.unwrap().unwrap().customer, None, "and sees it no more");
    assert!(!house.change(people::part(alice, anna)).await, "gone already");
}

async fn a_customer_says_what_it_is(mut house: House) {
    let alice = house.customer("alice").await;
    let row = house.reader.customer(alice).await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), &row.profile, row.low_balance), ("alice", &Profile::default(), None));
    let profile = Profile {
        company: "Rossi & Figli".to_owned(),
        email: "anna@rossi.example".to_owned(),
        country: "Italy".to_owned(),
        city: "Bologna".to_owned(),
        website: String::new(),
        purpose: "Tables\nand chairs".to_owned(),
    };
    assert!(house.change(people::describe(alice, &profile)).await);
    assert!(house.change(people::set_low_balance(alice, Some(Money::from_micros(5)))).await);
    let row = house.reader.customer(alice).await.unwrap().unwrap();
    assert_eq!((row.profile, row.low_balance), (profile, Some(Money::from_micros(5))));
    assert!(house.change(people::set_low_balance(alice, None)).await);
    assert_eq!(house.reader.customer(alice).await.unwrap().unwrap().low_balance, None);
    assert_eq!(house.reader.customer(CustomerId(999)).await.unwrap(), None);
    let balance = house.reader.balance(house.people.alice.account).await.unwrap();
    assert_eq!(balance, house.account("alice").await.balance);
}

async fn a_log_in_is_good_for_one_session(mut house: House) {
    let anna = house.know(PHONE, "Anna").await;
    let request = RequestId::parse("222370177540343");
    let begun = sessions::begin(&vault(), [2; 32], phone(PHONE), request, house.now, "192.0.2.1");
    assert!(house.change(begun).await);
    let login = house.reader.login([2; 32]).await.unwrap().unwrap();
    assert_eq!((login.phone, login.request, login.created_at), (phone(PHONE), request, house.now));
    assert_eq!(house.reader.logins_from("192.0.2.1", house.now).await.unwrap(), 1);
    assert_eq!(house.reader.logins_from("192.0.2.2", house.now).await.unwrap(), 0);
    let later = house.now + Duration::from_secs(1);
    assert_eq!(house.reader.logins_from("192.0.2.1", later).await.unwrap(), 0);

    let (now, address, agent) = (house.now, "192.0.2.1", "Netscape");
    let new = |digest, id| NewSession {
        digest,
        id,
        person: anna,
        customer: None,
        mode: Mode::Live,
        now,
        address,
        agent,
    };
    assert!(house.change(sessions::end([2; 32]).with(sessions::open(&new([3; 32], 3)))).await);
    assert!(!house.change(sessions::end([2; 32]).with(sessions::open(&new([4; 32], 4)))).await);
    assert_eq!(house.reader.login([2; 32]).await.unwrap(), None);
    assert_eq!(house.reader.session([4; 32]).await.unwrap(), None);
    let session = house.reader.session([3; 32]).await.unwrap().unwrap();
    assert_eq!((session.id, session.person.id, session.customer, session.mode), (3, anna, None, Mode::Live));
    assert_eq!((session.created_at, session.seen_at, session.confirmed_at), (now, now, now));
    assert_eq!((session.address.as_str(), session.agent.as_str()), (address, agent));
}

async fn a_log_in_has_so_many_attempts(mut house: House) {
    let begun = sessions::begin(&vault(), [2; 32], phone(PHONE), None, house.now, "192.0.2.1");
    house.change(begun).await;
    for attempt in 0..sessions::ATTEMPTS_MAX {
        assert!(house.change(sessions::attempt([2; 32])).await, "{attempt}");
        assert!(house.change(sessions::idle([2; 32])).await);
    }
    assert!(!house.change(sessions::attempt([2; 32])).await);
    assert!(!house.change(sessions::attempt([3; 32])).await, "there is none");
}

async fn sessions_turn_and_end(mut house: House) {
    let anna = house.know(PHONE, "Anna").await;
    let (alice, bob) = (house.customer("alice").await, house.customer("bob").await);
    for digest in [[11; 32], [12; 32], [13; 32]] {
        assert!(house.log_in(digest, anna, Some(alice)).await);
        house.now = house.now + Duration::from_secs(60);
    }
    assert!(house.change(sessions::turn([11; 32], bob, Mode::Test)).await);
    let turned = house.reader.session([11; 32]).await.unwrap().unwrap();
    assert_eq!((turned.customer, turned.mode), (Some(bob), Mode::Test));
    assert!(house.change(sessions::touch([11; 32], house.now)).await);
    let ids = async |house: &House, since| {
        let sessions = house.reader.sessions(anna, since).await.unwrap();
        sessions.iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&house, START).await, [11, 13, 12], "the last used first");
    assert_eq!(ids(&house, house.now).await, [11]);
    assert!(house.change(sessions::close_one(anna, 12)).await);
    assert!(!house.change(sessions::close_one(anna, 12)).await);
    assert!(!house.change(sessions::close_one(PersonId(999), 13)).await, "somebody else's");
    assert!(house.change(sessions::close_others(anna, 11)).await);
    assert_eq!(ids(&house, START).await, [11]);
    assert!(house.change(sessions::close([11; 32])).await);
    assert!(ids(&house, START).await.is_empty());
}

async fn what_is_over_is_forgotten(mut house: House) {
    let anna = house.know(PHONE, "Anna").await;
    assert!(house.log_in([11; 32], anna, None).await);
    let begun = sessions::begin(&vault(), [2; 32], phone(PHONE), None, house.now, "192.0.2.1");
    house.change(begun).await;
    let (now, later) = (house.now, house.now + Duration::from_secs(1));
    house.change(sessions::forget(now, now, now)).await;
    assert!(house.reader.session([11; 32]).await.unwrap().is_some());
    assert!(house.reader.login([2; 32]).await.unwrap().is_some());
    house.change(sessions::forget(now, now, later)).await;
    assert!(house.reader.login([2; 32]).await.unwrap().is_none());
    house.change(sessions::forget(now, later, later)).await;
    assert!(house.reader.session([11; 32]).await.unwrap().is_none(), "older than it may get");
    assert!(house.log_in([12; 32], anna, None).await);
    house.change(sessions::forget(later, now, now)).await;
    assert!(house.reader.session([12; 32]).await.unwrap().is_none(), "not seen for too long");
}

async fn what_was_done_is_read_page_by_page(mut house: House) {
    let alice = house.customer("alice").await;
    let anna = house.know(PHONE, "Anna").await;
    let entry = |customer, detail: &str| Entry {
        at: START,
        customer,
        person: Some(anna),
        who: "Anna".to_owned(),
        action: "token.create".to_owned(),
        detail: detail.to_owned(),
        address: "192.0.2.1".to_owned(),
    };
    for (customer, detail) in [(Some(alice), "one"), (None, "two"), (Some(alice), "three")] {
        house.change(Change::default().noted(&entry(customer, detail))).await;
    }
    let all = house.reader.audit_log(None, None, 2).await.unwrap();
    assert_eq!(all.iter().map(|(_, entry)| entry.detail.as_str()).collect::<Vec<_>>(), ["three", "two"]);
    let rest = house.reader.audit_log(None, Some(all[1].0), 2).await.unwrap();
    assert_eq!(rest.iter().map(|(_, entry)| entry).collect::<Vec<_>>(), [&entry(Some(alice), "one")]);
    let hers = house.reader.audit_log(Some(alice), None, 9).await.unwrap();
    assert_eq!(hers.iter().map(|(_, entry)| entry.detail.as_str()).collect::<Vec<_>>(), ["three", "one"]);
}

async fn a_change_is_whole_or_nothing(mut house: House) {
    let anna = house.know(PHONE, "Anna").await;
    let change = people::rename(anna, "Another").with(people::rename(PersonId(999), "Nobody"));
    assert!(!house.change(change).await);
    assert_eq!(house.reader.person(anna).await.unwrap().unwrap().name, "Anna");
}
