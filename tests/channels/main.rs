//! Channels against doubles of the providers that they speak to, and against real peers, through a whole server: what a
//! caller asks for, what reaches the provider, and what the timeline says of it.
//!
//! Every server that a test starts is audited when it ends: whatever a provider does, the books must be right.

// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../trials/gateway.rs"]
#[allow(dead_code)] // The trials use all of it.
mod process;
#[path = "../support/mod.rs"]
mod support;

mod gateway;
mod http;
mod polls;
mod provider;
mod smpp;
mod telegram;
