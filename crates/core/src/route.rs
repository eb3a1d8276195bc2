//! Routes: through which channels a message may go, in which order, and how long each has.

use crate::text::ChannelName;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The longest that a hop may wait for confirmation: no delivery may take longer on the wire.
const WAIT_MAX_S: u64 = 3_600;

/// A station of a route. As a text `sms`, or with its wait in seconds `bot:30`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The channel.
    pub channel: ChannelName,
    /// How long it has to confirm delivery before the next hop gets its turn; `None`: the next one gets it only when this
    /// one has failed.
    pub wait: Option<Duration>,
}

impl Hop {
    /// Reads a hop.
    pub fn parse(text: &str) -> Option<Hop> {
        let (name, wait) = match text.split_once(':') {
            Some((name, wait)) => (name, Some(parse_wait(wait)?)),
            None => (text, None),
        };
        Some(Hop { channel: ChannelName::parse(name)?, wait })
    }
}

fn parse_wait(text: &str) -> Option<Duration> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let secs: u64 = if digits { text.parse().ok()? } else { return None };
    (1..=WAIT_MAX_S).contains(&secs).then(|| Duration::from_secs(secs))
}

impl From<ChannelName> for Hop {
    fn from(channel: ChannelName) -> Hop {
        Hop { channel, wait: None }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wait {
            Some(wait) => write!(f, "{}:{}", self.channel, wait.as_secs()),
            None => write!(f, "{}", self.channel),
        }
    }
}

/// Whether the channels of a route can reach a number, as far as can be said without asking anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Some channel can, or may.
    Yes,
    /// None can.
    No,
    /// Not now; again after so many seconds.
    Wait(u64),
}

/// Which channels a message would go through.
#[derive(Clone, Debug)]
pub struct Route {
    /// The hops to try, in order; never empty.
    pub hops: Arc<[Hop]>,
    /// The channels among them that reach nobody but their subscribers: they are left out for a number that is none.
    pub subscribers_only: Arc<[ChannelName]>,
    /// Whether they can reach the number.
    pub reach: Reach,
}

impl Route {
    /// Whether a channel of it reaches nobody but its subscribers.
    pub fn is_subscribers_only(&self, channel: &ChannelName) -> bool {
        self.subscribers_only.contains(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_a_channel_and_perhaps_a_wait() {
        for text in ["sms", "bot:30", "sms-2:1", "x:3600"] {
            assert_eq!(Hop::parse(text).unwrap().to_string(), text);
        }
        for text in ["", ":30", "bot:", "bot:0", "bot:3601", "bot:+3", "bot:3s", "Bot", "bot:1:2", "bot: 3"] {
            assert_eq!(Hop::parse(text), None, "{text:?}");
        }
    }
}
