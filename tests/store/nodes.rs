//! Several servers over one database: lanes, and what is shared.

use crate::house::{House, START, WINDOW, vault};
use crate::reference::{PHONE, to};
use chappe::store::{Store, StoreError};
use chappe_core::{Rejection, RequestId};
use std::collections::BTreeSet;

/// Lets a server find out at once that there is no lane for it.
fn hurry(store: &mut Store) {
    let Store::Postgres(writer) = store else { panic!("lanes are of PostgreSQL") };
    writer.set_patience(std::time::Duration::ZERO);
}

async fn no_lane(house: &House) {
    let mut store = house.place.open().await;
    hurry(&mut store);
    let refused = store.start_serving(START, WINDOW).await;
    assert!(matches!(refused, Err(StoreError::NoLane)), "{refused:?}");
}

const SEEN: &str = "seen_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

async fn another(house: &House) -> Store {
    let mut store = house.place.open().await;
    store.start_serving(START, WINDOW).await.unwrap();
    store
}

#[tokio::test]
async fn there_is_a_lane_for_each_of_eight_servers() {
    let house = House::postgres().await;
    let mut servers = Vec::new();
    for lane in 1..RequestId::LANES as u8 {
        let mut store = another(&house).await;
        assert_eq!(store.lane(), lane);
        store.start_serving(START, WINDOW).await.unwrap();
        assert_eq!(store.lane(), lane, "once is enough");
        servers.push(store);
    }
    let mut ninth = house.place.open().await;
    hurry(&mut ninth);
    let refused = ninth.start_serving(START, WINDOW).await;
    assert!(matches!(refused, Err(StoreError::NoLane)), "{refused:?}");
    // One that stops gives its lane up at once.
    servers[3].settle().await.unwrap();
    ninth.start_serving(START, WINDOW).await.unwrap();
    assert_eq!(ninth.lane(), 4);
}

#[tokio::test]
async fn the_lane_of_a_server_that_is_gone_is_taken_and_the_server_learns_of_it() {
    let mut house = House::postgres().await;
    let unseen = |seconds: i64| {
        format!("UPDATE node SET seen_at = seen_at - {seconds} * 1000000::bigint WHERE holder IS NOT NULL")
    };
    // The others are held by servers that are seen for a long time to come.
    house
        .database()
        .run(&format!("UPDATE node SET holder = 'another', {SEEN} + 3600000000 WHERE lane > 0"))
        .await;
    house.database().run(&unseen(5)).await;
    no_lane(&house).await;
    house.database().run(&unseen(11)).await;
    // Seen again, by its readers or by a batch.
    house.reader.keep_lane().await.unwrap();
    no_lane(&house).await;
    house.database().run(&unseen(11)).await;
    house.credit(house.people.alice, 1, None).await.unwrap();
    no_lane(&house).await;

    // As long as there is a free one, that is taken instead.
    house.database().run(&unseen(11)).await;
    house.database().run("UPDATE node SET holder = NULL WHERE lane = 7").await;
    assert_eq!(another(&house).await.lane(), 7);
    let mut successor = another(&house).await;
    assert_eq!(successor.lane(), 0);
    let command = crate::house::credit(house.people.alice, house.now, 1, None);
    let lost = crate::house::run(&mut house.store, &house.rules, std::slice::from_ref(&command)).await;
    assert!(matches!(&lost, Err(error @ StoreError::LaneLost(0)) if error.is_fatal()), "{lost:?}");
    // What the old one says of itself no longer counts, and its stop takes nothing from the new one.
    house.reader.keep_lane().await.unwrap();
    let _ = house.store.settle().await;
    crate::house::run(&mut successor, &house.rules, &[command]).await.unwrap();
    assert_eq!(house.account("alice").await.balance.micros(), 1_000_002);
    house.audit().await;
}

#[tokio::test]
async fn servers_that_start_together_all_come_up() {
    let database = crate::postgres::database().await;
    let url = database.url();
    let start = || async {
        let mut store = Store::open_postgres(&url, vault()).await.unwrap();
        store.start_serving(START, WINDOW).await.unwrap();
        store.lane()
    };
    let (a, b, c, d) = tokio::join!(start(), start(), start(), start());
    assert_eq!(BTreeSet::from([a, b, c, d]).len(), 4);
    assert_eq!(database.number("SELECT count(*) FROM meta WHERE name = 'version' AND value = '3'").await, 1);
}

#[tokio::test]
async fn a_limit_holds_over_all_servers() {
    let mut house = House::postgres().await;
    let mut second = another(&house).await;
    let (alice, bob) = (house.people.alice, house.people.bob);
    for round in 0..5 {
        if round % 2 == 0 {
            house.send(alice, &to(PHONE)).await.unwrap();
        } else {
            let order = to(PHONE).send_command(bob, house.now, crate::house::fresh_id());
            crate::house::run(&mut second, &house.rules, &[order]).await.unwrap().0.remove(0).unwrap();
        }
    }
    assert_eq!(house.send(alice, &to(PHONE)).await, Err(Rejection::FloodWait(600)));
    let order = to(PHONE).send_command(bob, house.now, crate::house::fresh_id());
    let refused = crate::house::run(&mut second, &house.rules, &[order]).await.unwrap().0.remove(0);
    assert_eq!(refused, Err(Rejection::FloodWait(600)));
    // Play messages are counted apart.
    house.send(house.people.twin, &to(PHONE)).await.unwrap();
    house.audit().await;
}

/// Each server sees at once to what came in through its own lane, and a little later to what others leave undone.
#[tokio::test]
async fn due_work_is_left_to_its_server_for_a_moment() {
    let mut house = House::postgres().await;
    let second = another(&house).await;
    let (mine, theirs) = (house.reader.clone(), second.reader().unwrap());
    let order = crate::reference::Order { ttl: Some(30), ..to(PHONE) };
    let request = house.send(house.people.alice, &order).await.unwrap().request;
    let due_at = mine.next_due_request().await.unwrap().unwrap();
    assert_eq!(due_at, START + std::time::Duration::from_secs(30));
    assert_eq!(mine.due_requests(due_at, 9).await.unwrap(), [request]);
    assert_eq!(theirs.due_requests(due_at, 9).await.unwrap(), []);
    let later = theirs.next_due_request().await.unwrap().unwrap();
    assert_eq!(later, due_at + std::time::Duration::from_secs(2));
    assert_eq!(theirs.due_requests(later, 9).await.unwrap(), [request]);
}
