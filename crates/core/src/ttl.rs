//! Time to live of a message: how long its delivery may take.

use std::time::Duration;

/// Seconds within which a message must be delivered, 30 to 3600; after that it expires and is refunded. It governs
/// delivery alone, not how long the code is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u16);

impl Ttl {
    /// The shortest that the wire allows, in seconds.
    pub const MIN_S: u16 = 30;
    /// The longest that the wire allows, in seconds.
    pub const MAX_S: u16 = 3600;

    /// A time to live of `secs` seconds, if the wire allows it.
    pub fn from_secs(secs: u16) -> Option<Ttl> {
        (Self::MIN_S..=Self::MAX_S).contains(&secs).then_some(Ttl(secs))
    }

    /// Reads ASCII digits.
    pub fn parse(text: &str) -> Option<Ttl> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().and_then(Ttl::from_secs)
    }

    /// The length in seconds.
    pub fn secs(self) -> u16 {
        self.0
    }

    /// The length.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_its_bounds() {
        for (text, secs) in [("30", Some(30)), ("3600", Some(3600)), ("0060", Some(60))] {
            assert_eq!(Ttl::parse(text).map(Ttl::secs), secs);
        }
        for text in ["29", "3601", "", "-60", "60.0", "6e1", "٣٠", " 60", "99999999999999999999"] {
            assert_eq!(Ttl::parse(text), None, "{text:?}");
        }
    }
}
