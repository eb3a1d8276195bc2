//! What can go wrong with a call.

use crate::refusal::Refusal;
use std::time::Duration;

/// Why a call failed. Of each it can be said whether trying again makes sense ([`Error::is_retryable`]) and whether
/// the call may have happened all the same ([`Error::may_have_taken_effect`]): a time-out hides whether a message was
/// sent and paid for. No text of these holds a token, a code or a phone number.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The gateway said no. Whether to retry is up to the refusal; of all of them only [`Refusal::Internal`] may have
    /// taken effect.
    #[error("the gateway refused the call: {0}")]
    Refused(Refusal),
    /// The answer is no success, and names no refusal that is known. Worth another try for 408, 429 and 5xx; may have
    /// taken effect for 5xx, since a proxy in between can lose the answer to a call that it passed on.
    #[error("the gateway answered with HTTP status {status}{}", named(.error.as_deref()))]
    Http {
        /// The HTTP status.
        status: u16,
        /// The unknown name, if the answer had the API's envelope.
        error: Option<String>,
    },
    /// A success that cannot be read. Another try would answer the same; the call has probably taken effect.
    #[error("the answer is not one of the Gateway API")]
    Malformed(#[source] serde_json::Error),
    /// An answer larger than 64 KiB. Another try would answer the same; the call may have taken effect.
    #[error("the answer is too large")]
    TooLarge,
    /// No complete answer in time. Worth another try; the call may have taken effect.
    #[error("no answer in time")]
    Timeout,
    /// No connection: name unknown, nobody there, TLS refused, or none of it in time. Worth another try; the call
    /// cannot have taken effect.
    #[error("no connection to the gateway")]
    Connect(#[source] reqwest::Error),
    /// The connection broke. Worth another try; the call may have taken effect.
    #[error("the connection to the gateway failed")]
    Transport(#[source] reqwest::Error),
    /// The base URL cannot be used. The caller's mistake; nothing was sent.
    #[error("the base URL cannot be used: {0}")]
    InvalidBaseUrl(&'static str),
    /// The token is empty or holds what no header can. The caller's mistake; nothing was sent.
    #[error("the token is empty or not printable ASCII")]
    InvalidToken,
    /// The idempotency key is empty or holds what no header can. The caller's mistake; nothing was sent.
    #[error("the idempotency key is empty or not printable ASCII")]
    InvalidIdempotencyKey,
    /// The client could not be made: an impossible user agent, or no root certificates on this system. Nothing was
    /// sent.
    #[error("the HTTP client cannot be set up")]
    Setup(#[source] reqwest::Error),
}

impl Error {
    /// Whether the same call may succeed when it is made again. If it charges, look at
    /// [`Error::may_have_taken_effect`] too, or give it an idempotency key.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Refused(refusal) => refusal.is_retryable(),
            Error::Http { status, .. } => matches!(status, 408 | 429 | 500..),
            Error::Timeout | Error::Connect(_) | Error::Transport(_) => true,
            Error::Malformed(_) | Error::TooLarge => false,
            Error::InvalidBaseUrl(_) | Error::InvalidToken => false,
            Error::InvalidIdempotencyKey | Error::Setup(_) => false,
        }
    }

    /// Whether the gateway may have done what was asked, although no answer says so.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Error::Refused(refusal) => *refusal == Refusal::Internal,
            Error::Http { status, .. } => *status >= 500,
            Error::Malformed(_) | Error::TooLarge | Error::Timeout | Error::Transport(_) => true,
            Error::Connect(_) | Error::InvalidBaseUrl(_) | Error::InvalidToken => false,
            Error::InvalidIdempotencyKey | Error::Setup(_) => false,
        }
    }

    /// How long the gateway asks to wait before the next call.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Refused(refusal) => refusal.retry_after(),
            _ => None,
        }
    }
}

fn named(error: Option<&str>) -> String {
    error.map(|name| format!(" and {name}")).unwrap_or_default()
}
