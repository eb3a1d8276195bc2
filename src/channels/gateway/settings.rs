//! What the operator sets of an upstream.

use crate::channels::ERRAND_MAX;
use crate::channels::gate::Pace;
use crate::secret::Secret;
use chappe_client::client::TELEGRAM_BASE_URL;
use chappe_client::{Client, Error};
use chappe_core::text::Username;
use serde::Deserialize;
use std::time::Duration;

/// The longest that a call may take, in seconds. An errand is over in [`ERRAND_MAX`], and makes two calls.
const TIMEOUT_MAX_S: u64 = 9;
const _: () = assert!(2 * TIMEOUT_MAX_S < ERRAND_MAX.as_secs());
/// The longest that a call may take that can be made again, in seconds.
const REPEATED_TIMEOUT_MAX_S: u64 = 4;
/// The longest that may be between two questions at first, in seconds.
const POLL_MAX_S: u64 = 600;

/// The settings, good for use. docs/channels/gateway.md says what each means.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    /// Shares its connections with its clones.
    pub(super) client: Client,
    /// Its digest is the key of reports.
    pub(super) token: Secret,
    pub(super) sender: Option<Username>,
    pub(super) pass_sender: bool,
    pub(super) callbacks: bool,
    /// Whether the upstream knows a message by its `Idempotency-Key`.
    pub(super) idempotent: bool,
    pub(super) poll: Duration,
    pace: Pace,
}

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default = "base_url")]
    base_url: String,
    token: Secret,
    #[serde(default)]
    allow_plain_http: bool,
    #[serde(default)]
    sender_username: String,
    #[serde(default)]
    pass_sender: bool,
    #[serde(default = "callbacks")]
    callbacks: bool,
    #[serde(default)]
    idempotent: bool,
    #[serde(default = "poll_s")]
    poll_s: u64,
    #[serde(default = "timeout_s")]
    timeout_s: u64,
    #[serde(default)]
    pace: Pace,
}

fn base_url() -> String {
    TELEGRAM_BASE_URL.to_owned()
}

fn callbacks() -> bool {
    true
}

fn poll_s() -> u64 {
    3
}

fn timeout_s() -> u64 {
    TIMEOUT_MAX_S
}

/// A setting that cannot be.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("base_url or token: {0}")]
    Client(#[from] Error),
    #[error("sender_username {0:?} is no username")]
    Sender(String),
    #[error("{0} must be from 1 to {1}")]
    Bounds(&'static str, u64),
}

impl TryFrom<Written> for Settings {
    type Error = Unusable;

    fn try_from(written: Written) -> Result<Settings, Unusable> {
        let Written { base_url, token, pass_sender, callbacks, idempotent, pace, .. } = written;
        let within = |name, value: u64, most| {
            let bounded = (1..=most).contains(&value).then_some(value);
            bounded.ok_or(Unusable::Bounds(name, most))
        };
        let poll = Duration::from_secs(within("poll_s", written.poll_s, POLL_MAX_S)?);
        let timeout_s = within("timeout_s", written.timeout_s, TIMEOUT_MAX_S)?;
        let timeout_s = if idempotent { timeout_s.min(REPEATED_TIMEOUT_MAX_S) } else { timeout_s };
        let mut client =
            Client::builder(token.expose()).base_url(base_url).timeout(Duration::from_secs(timeout_s));
        if written.allow_plain_http {
            client = client.allow_plain_http();
        }
        let sender = match written.sender_username {
            name if name.is_empty() => None,
            name => Some(Username::parse(&name).ok_or(Unusable::Sender(name))?),
        };
        Ok(Settings {
            client: client.build()?,
            token,
            sender,
            pass_sender,
            callbacks,
            idempotent,
            poll,
            pace,
        })
    }
}

impl Settings {
    /// How much it is given at once.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Whether `text` is the token of the upstream.
    pub fn is_token(&self, text: &str) -> bool {
        self.token.expose() == text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_shown_by_nothing() {
        let settings: Settings = serde_json::from_value(json!({ "token": "s3cret-token" })).unwrap();
        let shown = format!("{settings:?}");
        assert!(shown.contains(TELEGRAM_BASE_URL) && !shown.contains("s3cret"), "{shown}");
        let unusable = serde_json::from_value::<Settings>(json!({ "token": "s3cret\ntoken" })).unwrap_err();
        assert!(!unusable.to_string().contains("s3cret"), "{unusable}");
    }
}
