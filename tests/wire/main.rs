//! The HTTP surface, over real sockets against a whole server: the Gateway API to the byte, the sandbox, reports.
//!
//! Every server that a test starts is audited when it ends: whatever was tried, the books must be right.

// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod bad_values;
mod fuzz;
mod golden;
mod idempotency;
mod methods;
mod order;
mod races;
mod reports;
mod routes;
mod sandbox;
mod sandbox_input;
mod tls;
mod tokens;
