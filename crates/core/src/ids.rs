//! Names of rows.

use crate::time::Time;
use std::fmt;

/// An account. Small numbers below [`AccountId::FIRST_CUSTOMER`] are the house's own sides of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub i64);

impl AccountId {
    /// The first id that a customer can have.
    pub const FIRST_CUSTOMER: i64 = 100;

    /// The account of the house's own messages: the codes that people log in with. They cost nothing.
    pub const HOUSE: AccountId = AccountId(5);
}

/// An API token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub i64);

/// A request: on the wire a string of exactly 15 decimal digits, below 2^53.
///
/// Ids follow the clock, so that rows written together lie together in every index, and a scan of "the last ten
/// minutes" is a range. They are no secret: what another account's id answers is byte-identical to an unknown one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(i64);

/// 2026-01-01T00:00:00Z, the microsecond at which ids begin.
const ERA_MICROS: i64 = 1_767_225_600_000_000;
const LOWEST: i64 = 100_000_000_000_000;
const HIGHEST: i64 = 999_999_999_999_999;

impl RequestId {
    /// How many nodes can draw ids side by side without asking each other: each has a lane of its own, the remainder
    /// of its ids by this number.
    pub const LANES: i64 = 8;

    /// Reads exactly 15 ASCII digits, the first not zero.
    pub fn parse(text: &str) -> Option<RequestId> {
        let digits = text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().and_then(RequestId::from_number)
    }

    /// The id with this number, if it is one.
    pub fn from_number(number: i64) -> Option<RequestId> {
        (LOWEST..=HIGHEST).contains(&number).then_some(RequestId(number))
    }

    /// The number, as rows hold it.
    pub fn number(self) -> i64 {
        self.0
    }

    /// The moment that the id was drawn at, or a little after it.
    pub fn drawn_at(self) -> Time {
        Time::from_micros(self.0 - LOWEST + ERA_MICROS)
    }

    /// The lowest id that can have been drawn at `now` or after: the start of a range over time.
    pub fn floor(now: Time) -> RequestId {
        let micros = now.micros().saturating_sub(ERA_MICROS);
        RequestId(micros.saturating_add(LOWEST).clamp(LOWEST, HIGHEST))
    }

    /// The next id of a node's lane at `now`, always above `last`. A node draws up to 125,000 a second; a burst beyond
    /// that runs ahead of the clock, which harms nothing.
    pub fn next(now: Time, lane: u8, last: Option<RequestId>) -> RequestId {
        let lane = i64::from(lane) % Self::LANES;
        let by_clock = RequestId::floor(now).0 / Self::LANES * Self::LANES + lane;
        let after_last = last.map_or(LOWEST, |last| last.0 / Self::LANES * Self::LANES + Self::LANES + lane);
        RequestId(by_clock.max(after_last).min(HIGHEST))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A report: the `seq`-th of its request, counted from 1. Reports of one request go out in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportId {
    /// The request that it tells of.
    pub request: RequestId,
    /// Its place among that request's reports.
    pub seq: u8,
}

impl ReportId {
    /// The report that must go out before this one.
    pub fn earlier(self) -> Option<ReportId> {
        let seq = self.seq.checked_sub(1).filter(|seq| *seq > 0)?;
        Some(ReportId { seq, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_795_000_000);

    #[test]
    fn are_fifteen_digits_that_follow_the_clock() {
        let id = RequestId::next(NOW, 0, None);
        assert_eq!(id.to_string().len(), 15);
        assert!(id.number() < 1 << 53);
        assert_eq!(RequestId::parse(&id.to_string()), Some(id));
        assert!(RequestId::next(Time::from_micros(NOW.micros() + 8), 0, None) > id);
    }

    #[test]
    fn never_repeat_even_when_the_clock_stands_or_goes_back() {
        let mut last = RequestId::next(NOW, 3, None);
        for step in 0..1000 {
            let next = RequestId::next(Time::from_micros(NOW.micros() - step), 3, Some(last));
            assert!(next > last);
            assert_eq!(next.number() % RequestId::LANES, 3);
            last = next;
        }
    }

    #[test]
    fn another_text_is_no_id() {
        for text in [
            "",
            "12345678901234",
            "1234567890123456",
            "012345678901234",
            "12345678901234x",
            "-12345678901234",
        ] {
            assert_eq!(RequestId::parse(text), None, "{text:?}");
        }
        assert!(RequestId::parse("222370177540343").is_some());
    }
}
