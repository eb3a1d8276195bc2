//! The network: who calls, and where calls of ours may go.

pub mod address;
pub mod outbound;
pub mod provider;
pub(crate) mod roots;
pub mod server;

use std::error::Error;

/// What an error comes down to.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut reason = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}
