//! The store, on every database that there is: one suite of scenarios that run unchanged on each, and what is each one's
//! own.
#![allow(missing_docs)]
// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/postgres.rs"]
mod postgres;
mod smoke;
