//! The console, over real sockets against a whole server, as a browser without scripts sees it.
//!
//! Every server that a test starts is audited when it ends: whatever was clicked, the books must be right.

// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

/// The Bot API on loopback.
#[path = "../channels/telegram/double.rs"]
#[allow(dead_code)] // The tests of channels use all of it.
mod bot_api;

mod budget;
mod landing;
mod login;
mod operator;
mod overview;
mod reload;
mod reports;
mod requests;
mod roles;
mod senders;
mod stars;
mod stripe;
mod team;
mod tenants;
mod tokens;
