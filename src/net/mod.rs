//! The network: who calls, and where calls of ours may go.

pub mod address;
pub mod outbound;
pub mod provider;
pub mod server;
