//! `kill -9` under load, again and again: nothing that was acknowledged is lost, and no money moves twice.
//!
//! `CHAPPE_TRIAL_KILLS=1000` is the long form, `CHAPPE_TRIAL_SEED` another storm.

use crate::crowd::Crowd;
use crate::gateway::{Gateway, Home};
use crate::seeded::{Seeded, number, seed};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the gateway is killed in every run.
const KILLS: u64 = 50;
/// How many kills one database sees: an audit reads all of it, so in the long form a new one is begun from time to time.
const KILLS_PER_DATABASE: u64 = 25;
/// After a crash, calls are answered again within this time.
const READY_WITHIN: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Tally {
    kills: u64,
    kills_at_start: u64,
    answers: u64,
    untold: u64,
    audits: u64,
    slowest: Duration,
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let begun = Instant::now();
    let mut random = Seeded(seed());
    let mut tally = Tally::default();
    let kills = number("CHAPPE_TRIAL_KILLS").unwrap_or(KILLS);
    while tally.kills < kills {
        let some = KILLS_PER_DATABASE.min(kills - tally.kills);
        storm(&mut random, some, &mut tally);
    }
    println!(
        "kill storm: {} kills under load and {} while starting, {} acknowledgements, none lost; {} requests stored \
         but never answered; {} audits clean; slowest ready {:?}; {:?} in all",
        tally.kills,
        tally.kills_at_start,
        tally.answers,
        tally.untold,
        tally.audits,
        tally.slowest,
        begun.elapsed()
    );
}

/// A crash while everything is made for the first time: the next start makes the rest.
#[test]
fn a_first_start_that_was_killed_can_be_made_again() {
    let mut random = Seeded(seed());
    for _ in 0..20 {
        let home = Home::new();
        let gateway = Gateway::spawn(home.dev("1000000"));
        std::thread::sleep(Duration::from_millis(random.below(40)));
        gateway.kill();
        Crowd::start(&home, true);
        home.audit();
        Crowd::new(0).compare(&home);
    }
}

/// The control: were a moment of history lost, the clients would notice.
#[test]
fn the_storm_notices_a_loss() {
    let home = Home::new();
    let mut crowd = Crowd::new(seed());
    let before = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &Path| {
        for file in ["chappe.db", "chappe.db-wal"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
    };
    crowd.work(Crowd::start(&home, true), Duration::from_millis(200), Gateway::kill);
    copy(&home.data(), before.path());
    let gateway = Crowd::start(&home, false);
    crowd.check(&home, &gateway);
    crowd.work(gateway, Duration::from_millis(200), Gateway::kill);
    copy(before.path(), &home.data());

    let gateway = Crowd::start(&home, false);
    home.audit();
    println!("control: what panics from here on is meant to");
    let noticed = catch_unwind(AssertUnwindSafe(|| crowd.check(&home, &gateway)));
    assert!(noticed.is_err(), "the answers of 200 ms are gone, and no client has noticed");
    let noticed = catch_unwind(AssertUnwindSafe(|| crowd.compare(&home)));
    assert!(noticed.is_err(), "the books of 200 ms are gone, and the comparison has not noticed");
}

/// Some kills on one database.
fn storm(random: &mut Seeded, kills: u64, tally: &mut Tally) {
    let home = Home::new();
    let mut crowd = Crowd::new(random.below(u64::MAX));
    for kill in 0..=kills {
        if kill > 0 && random.below(5) == 0 {
            kill_while_starting(&home, random, tally);
        }
        // The database must be whole before a server has repaired anything, and as well while one runs.
        let cold = kill > 0 && random.below(2) == 0;
        if cold {
            home.audit();
        }
        let gateway = Crowd::start(&home, kill == 0);
        tally.slowest = tally.slowest.max(gateway.ready_after);
        assert!(gateway.ready_after <= READY_WITHIN, "ready only after {:?}", gateway.ready_after);
        if !cold {
            home.audit();
        }
        tally.audits += 1;
        crowd.check(&home, &gateway);
        if kill < kills {
            let time = Duration::from_millis(20 + random.below(381));
            crowd.work(gateway, time, Gateway::kill);
            tally.kills += 1;
        }
    }
    home.audit();
    tally.audits += 1;
    tally.untold += crowd.compare(&home);
    tally.answers += crowd.answers();
}

/// A crash can also come while the one before is being made good.
fn kill_while_starting(home: &Home, random: &mut Seeded, tally: &mut Tally) {
    let gateway = Gateway::spawn(home.dev("0"));
    std::thread::sleep(Duration::from_millis(random.below(100)));
    gateway.kill();
    tally.kills_at_start += 1;
}
