//! A restart of every node, one after the other, that no caller notices.

use crate::books::{Books, CREDITS};
use crate::house::House;
use crate::seeded::seed;
use crate::server::Postgres;
use std::time::Duration;

#[test]
fn a_rolling_restart_fails_no_call() {
    let database = Postgres::new();
    let urls = vec![database.url(); 3];
    let mut house = House::new(&urls, CREDITS, 1);
    let mut books = Books::new(&house, seed());
    books.work(|_| {
        for _ in 0..2 {
            for node in 0..3 {
                house.stop(node);
                house.start(node);
                house.balancer.wait_for_all();
            }
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
