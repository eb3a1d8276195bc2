//! The timeline of a request: what happened to it and when, so that it always says why a code did not arrive.

use crate::money::Money;
use crate::text::ChannelName;
use crate::time::Time;
use std::fmt::{self, Write};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What.
    pub what: What,
}

/// What can happen to a request. The name and the detail are what a row and a page show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// checkSendAbility said yes.
    Checked,
    /// The fee was taken.
    Charged(Money),
    /// The message was accepted from the caller, for this first hop.
    Sent(ChannelName),
    /// A channel took it over.
    Accepted(ChannelName),
    /// A channel of the route was left out, and why.
    Skipped(ChannelName, String),
    /// A channel asks to be tried again later.
    Postponed(ChannelName, String),
    /// A channel cannot deliver it, and why.
    Failed(ChannelName, String),
    /// A channel has not confirmed delivery in the time that it had.
    Unconfirmed(ChannelName),
    /// The next hop of the route has its turn.
    Fallback(ChannelName),
    /// Nobody can say whether the channel has it; it is not sent again.
    Uncertain(ChannelName, String),
    /// It is on the phone.
    Delivered(ChannelName),
    /// It was opened.
    Read(ChannelName),
    /// A channel confirmed delivery when it no longer mattered.
    LateConfirmation(ChannelName),
    /// It did not arrive in time.
    Expired,
    /// The fee was given back.
    Refunded(Money),
    /// The caller withdrew it.
    Revoked,
    /// A channel took it back from the phone.
    Withdrawn(ChannelName),
    /// The right code was entered.
    Verified,
    /// A wrong code was entered: the how-manieth.
    WrongCode(u8),
    /// No more attempts are taken.
    AttemptsExceeded,
}

impl What {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            What::Checked => "checked",
            What::Charged(_) => "charged",
            What::Sent(_) => "sent",
            What::Accepted(_) => "accepted",
            What::Skipped(..) => "skipped",
            What::Postponed(..) => "postponed",
            What::Failed(..) => "failed",
            What::Unconfirmed(_) => "unconfirmed",
            What::Fallback(_) => "fallback",
            What::Uncertain(..) => "uncertain",
            What::Delivered(_) => "delivered",
            What::Read(_) => "read",
            What::LateConfirmation(_) => "late_confirmation",
            What::Expired => "expired",
            What::Refunded(_) => "refunded",
            What::Revoked => "revoked",
            What::Withdrawn(_) => "withdrawn",
            What::Verified => "verified",
            What::WrongCode(_) => "wrong_code",
            What::AttemptsExceeded => "attempts_exceeded",
        }
    }
}

/// One line: microseconds, name, detail, parted by single spaces. A detail never holds a line break.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at.micros(), self.what.name())?;
        match &self.what {
            What::Charged(amount) | What::Refunded(amount) => write!(f, " {amount}"),
            What::Sent(channel)
            | What::Accepted(channel)
            | What::Unconfirmed(channel)
            | What::Fallback(channel)
            | What::Withdrawn(channel)
            | What::Delivered(channel)
            | What::Read(channel)
            | What::LateConfirmation(channel) => write!(f, " {channel}"),
            What::Skipped(channel, reason)
            | What::Postponed(channel, reason)
            | What::Failed(channel, reason)
            | What::Uncertain(channel, reason) => {
                write!(f, " {channel} ")?;
                one_line(f, reason)
            }
            What::WrongCode(attempt) => write!(f, " {attempt}"),
            What::Checked | What::Expired | What::Revoked | What::Verified | What::AttemptsExceeded => Ok(()),
        }
    }
}

/// The longest reason that a timeline keeps, in characters.
const REASON_MAX_CHARS: usize = 200;

fn one_line(f: &mut fmt::Formatter<'_>, reason: &str) -> fmt::Result {
    reason
        .chars()
        .take(REASON_MAX_CHARS)
        .try_for_each(|char| f.write_char(if char.is_control() { ' ' } else { char }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let what = What::Failed(ChannelName::sandbox(), "no\nsuch\r\nsubscriber\0".to_owned());
        let event = Event { at: Time::from_secs(1), what };
        assert_eq!(event.to_string(), "1000000 failed sandbox no such  subscriber ");
    }
}
