//! `kill -9` of nodes and restarts of the database, under load, behind a balancer.
//!
//! `CHAPPE_TRIAL_NODE_KILLS=300` is the long form.

use crate::books::{Books, CREDITS};
use crate::house::House;
use crate::seeded::{Seeded, number, seed};
use crate::server::Postgres;
use std::time::{Duration, Instant};

/// How often a node is killed in every run.
const KILLS: u64 = 12;
/// How many kills one database sees: all that was acknowledged is looked at in the end.
const KILLS_PER_DATABASE: u64 = 25;
/// One restart of the database comes with so many kills.
const KILLS_PER_RESTART: u64 = 4;
/// How many messages of each client expire while all this goes on.
const EXPIRING: u64 = 4;
/// Somebody is served again within this time, whatever was killed.
const GAP_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    restarts: u64,
    answers: u64,
    failures: usize,
    untold: u64,
    failed_starts: u32,
    longest_gap: Duration,
    slowest_start: Duration,
}

#[test]
fn what_three_nodes_acknowledged_survives_kill_9() {
    let begun = Instant::now();
    let mut random = Seeded(seed());
    let mut tally = Tally::default();
    let kills = number("CHAPPE_TRIAL_NODE_KILLS").unwrap_or(KILLS);
    while tally.kills < kills {
        let some = KILLS_PER_DATABASE.min(kills - tally.kills);
        storm(&mut random, some, &mut tally);
    }
    println!("nodes: nothing acknowledged was lost, audits clean, {tally:?}, {:?} in all", begun.elapsed());
}

fn storm(random: &mut Seeded, kills: u64, tally: &mut Tally) {
    let mut database = Postgres::new();
    let urls = vec![database.url(); 3];
    let mut house = House::new(&urls, CREDITS, 0);
    let mut books = Books::new(&house, random.below(u64::MAX));
    books.tellers.iter_mut().for_each(|teller| teller.expiring = EXPIRING);
    books.work(|_| {
        for kill in 1..=kills {
            std::thread::sleep(Duration::from_millis(600 + random.below(1_400)));
            let node = random.place(3);
            house.kill(node);
            tally.kills += 1;
            // Sometimes the database goes while the node is still coming back.
            if kill % KILLS_PER_RESTART == 0 {
                database.restart(random.below(2) == 0);
                tally.restarts += 1;
            }
            let since = Instant::now();
            house.start(node);
            tally.slowest_start = tally.slowest_start.max(since.elapsed());
        }
        std::thread::sleep(Duration::from_millis(500));
    });
    house.run("audit");
    tally.untold += books.compare(&house, &database);
    tally.answers += books.answers();
    tally.failures += books.failures().len();
    tally.failed_starts += house.nodes.iter().map(|node| node.failed_starts).sum::<u32>();
    tally.longest_gap = tally.longest_gap.max(books.longest_gap);
    assert!(books.longest_gap <= GAP_MAX, "nobody was served for {:?}: {tally:?}", books.longest_gap);
    for node in 0..3 {
        house.stop(node);
    }
    house.run("audit");
}
