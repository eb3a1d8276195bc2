//! Several servers over one PostgreSQL database, behind a load balancer: nodes are killed, restarted, cut off; the
//! database is restarted and fails over. Clients keep books of what they were told.
//!
//! Variables reach the long forms: `CHAPPE_TRIAL_NODE_KILLS`, `CHAPPE_TRIAL_FAILOVERS` and `CHAPPE_TRIAL_SEED`.

// These are tests, helpers included, on threads of their own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::disallowed_methods)]

mod balancer;
mod books;
mod cut;
#[path = "../support/postgres.rs"]
#[allow(dead_code)] // The tests of the store use all of it.
mod database;
mod failover;
mod full;
#[path = "../trials/gateway.rs"]
#[allow(dead_code)] // The trials use all of it.
mod gateway;
mod house;
#[path = "../trials/http.rs"]
#[allow(dead_code)] // The trials use all of it.
mod http;
mod kept;
#[path = "../trials/known.rs"]
#[allow(dead_code)] // The trials use all of it.
mod known;
mod pulse;
mod races;
mod reports;
mod rolling;
#[path = "../trials/seeded.rs"]
#[allow(dead_code)] // The trials use all of it.
mod seeded;
mod server;
mod starts;
mod storm;
mod teller;
