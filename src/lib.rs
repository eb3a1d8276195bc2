//! Chappe: a self-hosted verification-code gateway that speaks Telegram's Gateway API.
//!
//! Calls run one way: `main → cli → app → everything it constructs`. `api`, `console`, `work` and `channels` hand
//! commands to `engine`; `engine` uses `store` and the rules (`chappe_core`); `store` uses the rules; everyone may use
//! the rules. `store` never imports `engine`, `channels` never imports `store`, `api` and `console` never import each
//! other. System time and entropy come from `env` alone, environment variables from `config` and `cli` alone.
//! `tests/tidy.rs` holds the house to it.

pub mod api;
pub mod app;
pub mod auth;
pub mod channels;
pub mod cli;
pub mod config;
pub mod console;
pub mod door;
pub mod engine;
pub mod env;
pub mod funding;
pub mod net;
pub mod numbering;
pub mod oidc;
pub mod readiness;
pub mod secret;
pub mod store;
pub mod tokens;
pub mod vault;
pub mod wire;
pub mod work;
