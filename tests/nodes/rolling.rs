//! A restart of every node, one after the other, that no caller notices.

use crate::books::{Books, CREDITS};
use crate::house::House;
use crate::seeded::seed;
use crate::server::Postgres;
use std::time::Duration;

/// As measured, about one restart in six fails a call in the control.
const RESTARTS_MAX: usize = 300;

#[test]
fn a_rolling_restart_fails_no_call() {
    let database = Postgres::new();
    let mut house = House::new(&vec![database.url(); 3], CREDITS, 1);
    let mut books = Books::new(&house, seed());
    books.work(|_| {
        for _ in 0..2 {
            restart_all(&mut house);
        }
        std::thread::sleep(Duration::from_millis(200));
    });
    let failures = books.failures();
    assert!(failures.is_empty(), "{} of {} calls failed: {failures:?}", failures.len(), books.answers());
    println!(
        "rolling restart: 6 restarts, {} calls, none failed; longest gap {:?}",
        books.answers(),
        books.longest_gap
    );
    assert_eq!(books.compare(&house, &database), 0);
    house.run("audit");
}

/// The control: without the time to leave the balancer, calls that come over connections just closed are lost now and
/// then. Not at every restart, so it goes on until one is.
#[test]
fn a_rolling_restart_without_a_drain_fails_calls() {
    let database = Postgres::new();
    let mut house = House::new(&vec![database.url(); 3], CREDITS, 0);
    let mut books = Books::new(&house, seed());
    let mut restarts = 0;
    while books.failures().is_empty() {
        assert!(restarts < RESTARTS_MAX, "{restarts} restarts have failed none of {} calls", books.answers());
        books.work(|_| restart_all(&mut house));
        restarts += house.nodes.len();
    }
    println!(
        "rolling restart, control: {} of {} calls failed within {restarts} restarts",
        books.failures().len(),
        books.answers()
    );
}

fn restart_all(house: &mut House) {
    for node in 0..house.nodes.len() {
        house.stop(node);
        house.start(node);
        house.balancer.wait_for_all();
    }
}
