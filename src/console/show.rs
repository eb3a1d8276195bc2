//! Values as pages show them.

use chappe_core::Time;

/// A moment: for machines, and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    /// RFC 3339.
    pub(super) iso: String,
    /// As people read it, in UTC.
    pub(super) text: String,
}

/// A moment as pages show it.
pub(super) fn at(time: Time) -> At {
    At { iso: utc(time, "%Y-%m-%dT%H:%M:%SZ"), text: utc(time, "%Y-%m-%d %H:%M:%S UTC") }
}

/// A moment in this format, in UTC.
pub(super) fn utc(time: Time, format: &str) -> String {
    jiff::Timestamp::from_second(time.secs())
        .map(|time| time.strftime(format).to_string())
        .unwrap_or_default()
}
