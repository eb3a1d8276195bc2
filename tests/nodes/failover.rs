//! The primary crashes under load and its standby is promoted.
//!
//! `CHAPPE_TRIAL_FAILOVERS=20` is the long form.

use crate::books::{Books, CREDITS};
use crate::house::House;
use crate::seeded::{number, seed};
use crate::server::{Postgres, url};
use std::time::Duration;

const FAILOVERS: u64 = 1;
const STANDBY: &str = "second";

/// What a failover came to.
struct Outcome {
    lost: usize,
    answers: u64,
    gap: Duration,
}

#[test]
fn a_synchronous_standby_has_all_that_was_acknowledged() {
    let (mut answers, mut longest_gap) = (0, Duration::ZERO);
    let times = number("CHAPPE_TRIAL_FAILOVERS").unwrap_or(FAILOVERS);
    for round in 0..times {
        let outcome = fail_over(seed() + round, true);
        assert_eq!(outcome.lost, 0, "{} acknowledged requests are gone", outcome.lost);
        answers += outcome.answers;
        longest_gap = longest_gap.max(outcome.gap);
    }
    println!("failover: {times} times, {answers} answers, none lost; longest gap {longest_gap:?}");
}

/// The control: what an asynchronous standby has not received is lost, and the clients notice.
#[test]
fn an_asynchronous_standby_that_lags_has_not() {
    let outcome = fail_over(seed(), false);
    assert!(outcome.lost > 0, "the standby was cut off, and no client has noticed");
    println!(
        "failover, control: {} acknowledged requests of {} answers are gone",
        outcome.lost, outcome.answers
    );
}

fn fail_over(seed: u64, synchronous: bool) -> Outcome {
    let mut primary = Postgres::new();
    let standby = Postgres::standby_of(&primary, STANDBY);
    let state = if synchronous { "sync" } else { "async" };
    if synchronous {
        primary.query(&format!("ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'"));
        primary.query("SELECT pg_reload_conf()");
    }
    let states = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'";
    primary.wait_for(states, state, Duration::from_secs(20));
    let urls = vec![url(&[primary.port, standby.port]); 3];
    let house = House::new(&urls, CREDITS, 0);
    let mut books = Books::new(&house, seed);
    books.work(|_| {
        std::thread::sleep(Duration::from_millis(1_000));
        if !synchronous {
            // From here on it hears nothing more.
            standby.query("ALTER SYSTEM SET primary_conninfo = ''");
            standby.query("SELECT pg_reload_conf()");
            primary.wait_for("SELECT count(*) FROM pg_stat_replication", "0", Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(1_000));
        }
        primary.crash();
        if !synchronous {
            return; // Clients that go on would stumble over the first loss, each.
        }
        assert_eq!(standby.query("SELECT pg_promote()"), [["t"]]);
        std::thread::sleep(Duration::from_millis(3_000));
    });
    if !synchronous {
        assert_eq!(standby.query("SELECT pg_promote()"), [["t"]]);
        return Outcome { lost: books.lost(&standby), answers: books.answers(), gap: books.longest_gap };
    }
    books.compare(&house, &standby);
    house.run("audit");
    Outcome { lost: 0, answers: books.answers(), gap: books.longest_gap }
}
