//! A database of an older version, with rows in it, becomes one of this version, and every row means what it meant.

use crate::house::{House, Place, WINDOW, channel, on_every_database, run, stored};
use crate::reference::{CODE, OTHER, Order, PHONE, WRONG, to};
use chappe_core::{ChannelEvent, Command, Request, RequestId, Time};
use std::time::Duration;

on_every_database! { rows_of_the_first_version_mean_what_they_meant }

/// Takes away all that came after the first version.
const BACK_TO_1: &str = "DROP TABLE payment; DROP TABLE audit_log; DROP TABLE login; DROP TABLE session;
                         DROP TABLE member; DROP TABLE person;
                         DROP INDEX request_of_account; DROP INDEX report_lost;
                         DROP INDEX report_of_account; DROP INDEX transfer_not_charged;
                         ALTER TABLE customer DROP COLUMN company; ALTER TABLE customer DROP COLUMN email;
                         ALTER TABLE customer DROP COLUMN country; ALTER TABLE customer DROP COLUMN city;
                         ALTER TABLE customer DROP COLUMN website; ALTER TABLE customer DROP COLUMN purpose;
                         ALTER TABLE customer DROP COLUMN low_balance;
                         ALTER TABLE sender DROP COLUMN proven_at;
                         ALTER TABLE report DROP COLUMN last_at; ALTER TABLE report DROP COLUMN last_ms;
                         DELETE FROM account WHERE id = 5;
                         DROP TABLE channel_reference; DROP TABLE subscriber;
                         ALTER TABLE request DROP COLUMN hop_until;
                         ALTER TABLE request DROP COLUMN open_hops;";

impl Place {
    /// Runs statements past the store.
    async fn run(&self, statements: &str) {
        match self {
            Place::Sqlite(directory) => {
                let file = directory.path().join("chappe.db");
                rusqlite::Connection::open(file).unwrap().execute_batch(statements).unwrap();
            }
            Place::Postgres(database) => database.run(statements).await,
        }
    }
}

/// Requests in every state that the first version knew, told apart by what was done to them.
async fn lived_in(house: &mut House) -> Vec<RequestId> {
    let alice = house.people.alice;
    let accepted =
        |poll_at: Option<Time>| ChannelEvent::Accepted { reference: Some("theirs".to_owned()), poll_at };
    let failed = ChannelEvent::Failed { reason: "no such subscriber".to_owned() };
    let mut made = Vec::new();
    for (events, revoked) in [
        (vec![], false),
        (vec![accepted(None)], false),
        (vec![accepted(Some(house.now + Duration::from_secs(10)))], false),
        (vec![ChannelEvent::Uncertain { reason: "no answer".to_owned() }], false),
        (vec![accepted(None), ChannelEvent::Delivered], false),
        (vec![accepted(None), ChannelEvent::Read], false),
        (vec![failed.clone()], false),
        (vec![failed.clone(), failed], false),
        (vec![], true),
    ] {
        let number = if made.len() < 5 { PHONE } else { OTHER };
        let order = Order { hops: &["sms", "mail"], ttl: Some(300), callback: true, ..to(number) };
        let id = house.send(alice, &order).await.unwrap().request;
        for (hop, event) in events.into_iter().enumerate() {
            // A second failure is the second hop's.
            let hop = if matches!(event, ChannelEvent::Failed { .. }) { hop as u8 } else { 0 };
            let channel = channel(["sms", "mail"][usize::from(hop)]);
            let command = Command::Channel { now: house.now, request: id, hop, channel, events: vec![event] };
            house.command(command).await.unwrap();
        }
        if revoked {
            house.command(Command::Revoke { caller: alice, now: house.now, request: id }).await.unwrap();
        }
        made.push(id);
    }
    house.enter(alice, made[1], WRONG).await.unwrap();
    house.enter(alice, made[4], CODE).await.unwrap();
    made
}

async fn rows_of_the_first_version_mean_what_they_meant(mut house: House) {
    let made = lived_in(&mut house).await;
    let before: Vec<Option<Request>> = {
        let mut fresh = house.place.open().await;
        let mut rows = Vec::new();
        for id in &made {
            rows.push(stored(&mut fresh, *id).await);
        }
        rows
    };
    let balance = house.balance(house.people.alice).await;
    let House { place, store, reader, people, rules, now } = house;
    drop((store, reader));

    let version = match &place {
        Place::Sqlite(_) => "PRAGMA user_version = 1",
        Place::Postgres(_) => "UPDATE meta SET value = '1' WHERE name = 'version'",
    };
    place.run(&format!("{BACK_TO_1}{version};")).await;
    let mut store = place.open().await;
    store.start_serving(now, WINDOW).await.unwrap();
    let reader = store.reader().unwrap();
    let mut house = House { place, store, reader, people, rules, now };
    house.audit().await;
    assert_eq!(house.balance(people.alice).await, balance);
    let mut fresh = house.place.open().await;
    for (id, before) in made.iter().zip(&before) {
        let mut after = stored(&mut fresh, *id).await;
        // On SQLite whoever held a lease is gone when a server starts.
        if let (Some(after), Some(before)) = (&mut after, before)
            && let (Some(after), Some(before)) = (&mut after.message, &before.message)
            && matches!(before.progress, chappe_core::request::Progress::Leased(_))
        {
            after.progress = before.progress;
        }
        assert_eq!(&after, before);
    }

    // The old rows live on by the new rules: one is asked back, one has its turn, one expires.
    house.wait(20);
    let revoke = Command::Revoke { caller: people.alice, now: house.now, request: made[2] };
    let (_, news) = run(&mut house.store, &house.rules, &[revoke]).await.unwrap();
    assert_eq!(news.work.len(), 1, "{:?}", news.work);
    house.wait(300);
    let due = house.reader.due_requests(house.now, 100).await.unwrap();
    let looks: Vec<_> = due
        .iter()
        .map(|request| Command::Due { now: house.now, request: *request, may_expire: true })
        .collect();
    house.batch(&looks).await;
    house.audit().await;
    let waiting = Order { hops: &["sms:30", "mail"], ..to("+393331234567") };
    let id = house.send(people.alice, &waiting).await.unwrap().request;
    house.wait(30);
    house.command(Command::Due { now: house.now, request: id, may_expire: true }).await.unwrap();
    assert_eq!(stored(&mut fresh, id).await.unwrap().message.unwrap().hop, 1);
    house.audit().await;
}
