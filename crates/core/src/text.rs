//! Short texts that callers give: bounded, and free of NUL, which no database column should have to hold.

use std::fmt;
use std::sync::Arc;

/// The username of a channel that sends codes: 5 to 32 letters, digits and underscores, the first a letter, as
/// Telegram writes usernames. Compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Username(Arc<str>);

impl Username {
    /// Reads a username with or without its leading `@`.
    pub fn parse(text: &str) -> Option<Username> {
        let name = text.strip_prefix('@').unwrap_or(text);
        let well_formed = (5..=32).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        well_formed.then(|| Username(name.to_ascii_lowercase().into()))
    }

    /// The username in lower case, without `@`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the caller wants back in every answer: up to 128 bytes, never shown to the recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// The longest that the wire allows, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Takes a text as it is, if it is short enough and holds no NUL.
    pub fn parse(text: &str) -> Option<Payload> {
        (text.len() <= Self::MAX_BYTES && !text.contains('\0')).then(|| Payload(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a channel in a route, such as `sandbox`: 1 to 32 lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Reads a channel's name.
    pub fn parse(text: &str) -> Option<ChannelName> {
        let well_formed = (1..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        well_formed.then(|| ChannelName(text.into()))
    }

    /// The built-in phone.
    pub fn sandbox() -> ChannelName {
        ChannelName("sandbox".into())
    }

    /// Whether this is the built-in phone.
    pub fn is_sandbox(&self) -> bool {
        self.as_str() == "sandbox"
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_are_telegrams() {
        assert_eq!(Username::parse("@My_Channel1").unwrap().as_str(), "my_channel1");
        for text in
            ["", "abcd", "1channel", "_channel", "my-channel", "my channel", "chännel", &"a".repeat(33)]
        {
            assert_eq!(Username::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn payloads_are_bounded_in_bytes() {
        assert!(Payload::parse(&"é".repeat(64)).is_some());
        assert!(Payload::parse(&format!("{}x", "é".repeat(64))).is_none());
        assert!(Payload::parse("a\0b").is_none());
    }
}
