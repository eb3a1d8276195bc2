//! Many calls at once over two nodes that want the same thing.

use crate::books::CREDITS;
use crate::house::{FORWARDED, House};
use crate::http::Reply;
use crate::server::Postgres;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Barrier;
use std::thread::scope;
use std::time::{Duration, Instant};

/// How many connections call at once.
const CONNECTIONS: usize = 50;

fn two_nodes(credits: &str) -> (Postgres, House) {
    let database = Postgres::new();
    let house = House::new(&[database.url(), database.url()], credits, 0);
    (database, house)
}

/// Makes this many calls over both nodes at once.
fn at_once(house: &House, count: usize, call: impl Fn(usize) -> (&'static str, Value) + Sync) -> Vec<Reply> {
    let begin = Barrier::new(CONNECTIONS);
    scope(|scope| {
        let lane = |lane: usize| {
            let (begin, call) = (&begin, &call);
            scope.spawn(move || {
                let mut connection = house.connect(lane % 2);
                begin.wait();
                let mine = (lane..count).step_by(CONNECTIONS).map(call);
                mine.map(|(method, params)| connection.call_with(method, &params, FORWARDED).unwrap())
                    .collect::<Vec<_>>()
            })
        };
        let lanes: Vec<_> = (0..CONNECTIONS).map(lane).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    })
}

fn counted(words: impl Iterator<Item = String>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    counts
}

#[test]
fn a_thousand_guesses_over_two_nodes_are_judged_as_often_as_the_limit_says() {
    let (_database, house) = two_nodes(CREDITS);
    let send = json!({ "phone_number": "+393331234567", "code": "4711" });
    let id = house.call(0, "sendVerificationMessage", &send).result()["request_id"].clone();
    let guess = |at: usize| {
        ("checkVerificationStatus", json!({ "request_id": id, "code": format!("{:05}", 10_000 + at) }))
    };
    let verdict = |reply: Reply| reply.result()["verification_status"]["status"].as_str().unwrap().to_owned();
    let verdicts = counted(at_once(&house, 1000, guess).into_iter().map(verdict));
    let expected = [("code_invalid", 5), ("code_max_attempts_exceeded", 995)];
    assert_eq!(verdicts, expected.map(|(name, count)| (name.to_owned(), count)).into());
    // The right one comes too late, everywhere.
    for node in 0..2 {
        let right = json!({ "request_id": id, "code": "4711" });
        let late = verdict(house.call(node, "checkVerificationStatus", &right));
        assert_eq!(late, "code_max_attempts_exceeded");
    }
    house.run("audit");
}

#[test]
fn five_hundred_sends_over_two_nodes_spend_what_there_is() {
    let (database, house) = two_nodes("0.1");
    let send = |at: usize| {
        ("sendVerificationMessage", json!({ "phone_number": format!("+3933312{at:05}"), "code": "4711" }))
    };
    let outcome = |reply: Reply| reply.error().unwrap_or_else(|| "sent".to_owned());
    let outcomes = counted(at_once(&house, 500, send).into_iter().map(outcome));
    let expected = [("sent", 10), ("BALANCE_NOT_ENOUGH", 490)];
    assert_eq!(outcomes, expected.map(|(name, count)| (name.to_owned(), count)).into());
    for node in 0..2 {
        assert_eq!(house.call(node, "getBalance", &json!({})).result(), json!({ "balance": 0 }));
    }
    assert_eq!(database.number("SELECT count(*) FROM request"), 10);
    house.run("audit");
}

#[test]
fn a_revoked_token_is_refused_by_every_node_within_a_second() {
    let (_database, mut house) = two_nodes(CREDITS);
    let good = house.token.clone();
    let spare = house.new_token();
    let spoken = |house: &House| -> Vec<bool> {
        (0..2).map(|node| house.call(node, "getBalance", &json!({})).error().is_none()).collect()
    };
    house.token = spare;
    let since = Instant::now();
    while spoken(&house) != [true, true] {
        assert!(since.elapsed() < Duration::from_secs(5), "the new token is not known");
        std::thread::sleep(Duration::from_millis(10));
    }
    house.run("token revoke 2");
    let since = Instant::now();
    while spoken(&house).contains(&true) {
        assert!(since.elapsed() < Duration::from_secs(1), "still good after {:?}", since.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("races: a revoked token was refused by both nodes {:?} after the command", since.elapsed());
    house.token = good;
    assert_eq!(spoken(&house), [true, true]);
}
