//! The simulator: the real engine, the real SQLite store in a real file and the real workers' steps, driven on one
//! thread by a seed, with an auditor beside them that keeps its own books.
//!
//! A failure prints the one line that replays it. Settings of the environment:
//!
//! * `CHAPPE_SIM_SEEDS`: how many seeds the `seeds_…` tests try, all together; 500 if not said
//! * `CHAPPE_SIM_SEED`: the seed that `replay` lives through, telling everything that happens
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod auditor;
mod books;
mod call;
mod cast;
mod house;
mod letter;
mod operation;
mod trace;
mod wire;
mod workers;
mod world;

use chappe_core::planted::{Bug, plant};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use trace::Trace;
use world::World;

/// How many operations a life has.
const STEPS: usize = 150;
/// How many seeds are tried in every run.
const SEEDS: u64 = 500;
/// Over how many tests the seeds are spread, so that they run side by side.
const SHARES: u64 = 4;
/// Within how many seeds a planted bug must be found.
const PLANTED_SEEDS: u64 = 1_000;

/// A life in which something was not right.
struct Failure {
    seed: u64,
    complaint: String,
    tail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, complaint, tail } = self;
        writeln!(f, "{tail}\n\nseed {seed}: {complaint}\n\nto replay:")?;
        let command = "cargo nextest run --features simulation --test sim replay --no-capture";
        write!(f, "CHAPPE_SIM_SEED={seed} {command}")
    }
}

/// Lives through a seed.
fn live(seed: u64) -> Result<Trace, Failure> {
    let mut trace = Trace::default();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        // The router wants to bound how long a body may take, and needs a clock for it that never has to run.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _context = runtime.enter();
        let mut world = World::new(seed, &mut trace);
        for step in operation::life(seed, STEPS) {
            world.perform(&step.operation, step.held)?;
        }
        world.settle()
    }));
    let complaint = match lived {
        Ok(Ok(())) => return Ok(trace),
        Ok(Err(complaint)) => complaint.to_string(),
        Err(_) => "a panic; see above".to_owned(),
    };
    Err(Failure { seed, complaint, tail: trace.tail(60) })
}

/// One share of the seeds.
fn share(number: u64) {
    let seeds = std::env::var("CHAPPE_SIM_SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |seeds| seeds.parse().expect("CHAPPE_SIM_SEEDS is a number"));
    for seed in (0..seeds).filter(|seed| seed % SHARES == number) {
        if let Err(failure) = live(seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn seeds_0() {
    share(0);
}

#[test]
fn seeds_1() {
    share(1);
}

#[test]
fn seeds_2() {
    share(2);
}

#[test]
fn seeds_3() {
    share(3);
}

#[test]
fn replay() {
    let seed = std::env::var("CHAPPE_SIM_SEED").ok();
    let told = seed.is_some();
    let seed = seed.map_or(0, |seed| seed.parse().expect("CHAPPE_SIM_SEED is a number"));
    match live(seed) {
        Ok(trace) if told => println!("{}\n\nseed {seed}: nothing to complain about", trace.tail(usize::MAX)),
        Ok(_) => {}
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn the_same_seed_lives_the_same_life() {
    for seed in 0..5 {
        let digests = [live(seed), live(seed)].map(|lived| lived.map(|trace| trace.digest()).map_err(|_| ()));
        assert_eq!(digests[0], digests[1], "seed {seed}");
    }
    let digest = |seed| live(seed).map(|trace| trace.digest()).ok();
    assert_ne!(digest(0), digest(1), "a digest says something");
}

/// What a few dozen lives must have met, as their traces show it: otherwise the operations have become too tame.
const CORNERS: [&str; 31] = [
    "the commit failed",
    "(crashed)",
    "(hung up)",
    "2 pasts are possible",
    "INTERNAL",
    "RequestIdInvalid",
    "PhoneNumberMismatch",
    "MessageAlreadySent",
    "IdempotencyKeyReused",
    "SenderNotOwned",
    "SenderNotVerified",
    "FloodWait(5)",
    "FloodWait(600)",
    "BalanceNotEnough",
    "PhoneNumberNotAvailable",
    "AmountInvalid",
    "AlreadyCredited",
    "code_valid",
    "code_invalid",
    "code_max_attempts_exceeded",
    "is_refunded",
    "revoked",
    "seq: 2",
    "attempts: 10",
    "Claim(None)",
    "to do: [Poll(",
    "to do: [TakeBack(",
    ", 2)",
    "Subscribe {",
    "Withdrawn",
    "Unavailable {",
];

#[test]
fn lives_leave_nothing_out() {
    let lives = (0..40).map(|seed| live(seed).unwrap_or_else(|failure| panic!("{failure}")));
    let traces = lives.map(|trace| trace.tail(usize::MAX)).collect::<String>();
    let missing: Vec<&str> = CORNERS.into_iter().filter(|corner| !traces.contains(corner)).collect();
    assert!(missing.is_empty(), "no life has met {missing:?}");
}

#[test]
fn planted_bugs_are_found() {
    for bug in Bug::ALL {
        plant(Some(bug));
        let found = (0..PLANTED_SEEDS).find_map(|seed| live(seed).err());
        plant(None);
        let failure = found.unwrap_or_else(|| panic!("{bug:?} was not found within {PLANTED_SEEDS} seeds"));
        let complaint = failure.complaint.lines().next().unwrap_or_default();
        println!("{bug:?}: found within {} seeds: {complaint}", failure.seed + 1);
    }
}
