//! A typed client for [Telegram's Gateway API](https://core.telegram.org/gateway/api), against Telegram itself or
//! against a Chappe gateway, which speaks the same API.
//!
//! * [`wire`]: what travels, to the byte. Writing gives the API's own form; reading forgives what a client can forgive.
//! * `client` (feature `http`, on by default): the calls over HTTPS, and `Error`, which says of every failure whether
//!   to try again and whether the call may have happened all the same.
//! * [`refusal`]: the names that a gateway refuses with.
//! * [`report`]: whether a delivery report is genuine, and what it says.
//!
//! Without the feature `http` there is neither a network nor an async runtime in this crate.

#[cfg(feature = "http")]
pub mod client;
#[cfg(feature = "http")]
pub mod error;
pub mod refusal;
pub mod report;
pub mod wire;

pub use chappe_core::Money;
#[cfg(feature = "http")]
pub use client::{Client, ClientBuilder};
#[cfg(feature = "http")]
pub use error::Error;
pub use refusal::Refusal;
pub use report::{ReportError, verify_report};
pub use wire::{
    Answer, Balance, CheckSendAbility, DeliveryState, DeliveryStatus, RequestStatus, SendMessage,
    VerificationState, VerificationStatus,
};

/// The README's examples, compiled.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;
