//! A restart of every node, one after the other, that no caller notices.

use crate::balancer::Balancer;
use crate::books::{Books, CREDITS};
use crate::house::House;
use crate::seeded::seed;
use crate::server::Postgres;
use std::time::Duration;

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

/// The control, behind a balancer that tries nothing a second time: with a drain no call fails, without one calls do that
/// were sent to a node which was gone already.
#[test]
fn it_is_the_drain_that_keeps_calls_from_failing() {
    for (drain_s, fails) in [(3, false), (0, true)] {
        let database = Postgres::new();
        let urls = vec![database.url(); 3];
        let mut house = House::behind(Balancer::without_retries, &urls, CREDITS, drain_s);
        let mut books = Books::new(&house, seed());
        books.work(|_| restart_all(&mut house));
        let (failures, answers) = (books.failures(), books.answers());
        println!(
            "rolling restart without retries, drain of {drain_s} s: {} of {answers} calls failed",
            failures.len()
        );
        assert_eq!(!failures.is_empty(), fails, "drain of {drain_s} s: {failures:?}");
    }
}

fn restart_all(house: &mut House) {
    for node in 0..house.nodes.len() {
        house.stop(node);
        house.start(node);
        house.balancer.wait_for_all();
    }
}
