//! How fast to submit.

use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause after ESME_RTHROTTLED. Each further one is twice as long, up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(32);

/// How long there must be no throttling for the pauses to start over.
const CALM: Duration = Duration::from_secs(30);

/// How much lateness of a timer may be made up for.
const SLACK: Duration = Duration::from_millis(10);

/// The moments at which a segment may be written: evenly spaced if there is a bound, and not in a pause.
#[derive(Debug)]
pub(super) struct Pace {
    spacing: Duration,
    next: Instant,
    pause: Duration,
    resume: Instant,
}

impl Pace {
    pub(super) fn new(per_second: Option<NonZeroU32>, now: Instant) -> Pace {
        let spacing = per_second.map_or(Duration::ZERO, |bound| Duration::from_secs(1) / bound.get());
        Pace { spacing, next: now, pause: Duration::ZERO, resume: now }
    }

    /// When the next segment may be written.
    pub(super) fn ready_at(&self) -> Instant {
        self.next.max(self.resume)
    }

    /// A segment is written.
    pub(super) fn sent(&mut self, now: Instant) {
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        self.next = self.next.max(earliest) + self.spacing;
    }

    /// The SMSC finds us too fast. Gives the pause that follows. What was in flight together is throttled together, so
    /// within a pause nothing is added.
    pub(super) fn throttled(&mut self, now: Instant) -> Duration {
        if now >= self.resume {
            let is_calm = self.pause.is_zero() || now >= self.resume + CALM;
            self.pause = if is_calm { PAUSE_MIN } else { PAUSE_MAX.min(self.pause * 2) };
            self.resume = now + self.pause;
        }
        self.resume - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_throttling_goes_on() {
        let start = Instant::now();
        let mut pace = Pace::new(None, start);
        assert_eq!(pace.throttled(start), PAUSE_MIN);
        let halfway = start + PAUSE_MIN / 2;
        assert_eq!(pace.throttled(halfway), PAUSE_MIN / 2, "the answers of one window are one throttling");
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            now = pace.ready_at();
            pauses.push(pace.throttled(now).as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 32, 32]);
        let later = pace.ready_at() + CALM;
        assert!(later > now);
        assert_eq!(pace.throttled(later), PAUSE_MIN);
    }

    #[test]
    fn a_bound_spaces_evenly_and_saves_nothing_up() {
        let start = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(10), start);
        let step = Duration::from_millis(100);
        for n in 1..=3 {
            pace.sent(pace.ready_at());
            assert_eq!(pace.ready_at(), start + step * n);
        }
        let idle = start + Duration::from_secs(60);
        pace.sent(idle);
        assert_eq!(pace.ready_at(), idle - SLACK + step);
    }
}
