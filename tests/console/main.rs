//! The console, over real sockets against a whole server, as a browser without scripts sees it.
//!
//! Every server that a test starts is audited when it ends: whatever was clicked, the books must be right.

// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod landing;
mod login;
mod overview;
mod reports;
mod requests;
mod tokens;
