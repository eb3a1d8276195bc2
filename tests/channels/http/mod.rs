//! Providers with an HTTP API.

mod double;
mod lives;
