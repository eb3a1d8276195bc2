//! Trials: the program as a process, under everything that can happen to a process and its files.
//!
//! Variables reach the long forms: `CHAPPE_TRIAL_KILLS` and `CHAPPE_TRIAL_SEED`; `CHAPPE_TRIAL_PROGRAM` names another
//! build of the program, such as a release.

// These are tests, helpers included, on threads of their own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::disallowed_methods)]

mod beside;
mod client;
mod crowd;
mod disk;
mod drain;
mod gateway;
mod http;
mod kill_storm;
mod known;
mod ledger;
mod refusals;
mod seeded;
mod torn_wal;
