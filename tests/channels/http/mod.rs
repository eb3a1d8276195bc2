//! Providers with an HTTP API.

mod callbacks;
mod double;
mod lives;
mod presets;
