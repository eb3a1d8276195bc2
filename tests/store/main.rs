//! The store, on every database that there is: one suite of scenarios that run unchanged on each, and what is each one's
//! own.
#![allow(missing_docs)]
// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/postgres.rs"]
#[allow(dead_code)] // The trials of nodes use all of it.
mod postgres;
/// The reference: the rules over rows in memory, with everything checked that a database would.
#[path = "../../crates/core/tests/support/mod.rs"]
mod reference;

mod admin;
mod channels;
#[cfg(feature = "simulation")]
mod crowd;
mod doubt;
mod house;
mod lives;
mod migrations;
mod money;
mod nodes;
mod opening;
mod people;
#[cfg(feature = "simulation")]
mod plans;
mod proxy;
mod races;
mod reads;
#[cfg(feature = "simulation")]
mod requests;
mod settings;
#[cfg(feature = "simulation")]
mod statements;
mod statistics;
