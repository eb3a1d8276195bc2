//! What the tests over HTTP share: a whole server in this process, a client that sends exact bytes, receivers of
//! reports.

// Every test target is a crate of its own and uses its own part of this.
#![allow(dead_code, unused_imports)]
// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod browser;
mod http;
mod postgres;
mod receiver;
mod server;

pub(crate) use browser::Browser;
pub(crate) use http::{Answer, Connection, Events, Request};
pub(crate) use postgres::port::Vacancy;
pub(crate) use receiver::{Delivery, Receiver, Reply};
pub(crate) use server::{ALICE, ALICE_TEST, BOB, BOB_TEST, Home, OWN, Server, Setup};

use std::future::Future;
use std::time::Duration;

/// How long anything may take before a test gives up: far beyond what is ever needed, so that a machine under load
/// fails no test, and a hang fails one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must happen.
pub(crate) async fn must<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
