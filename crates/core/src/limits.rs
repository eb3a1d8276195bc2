//! Limits: how much is too much, and how long to wait.

use crate::time::Time;
use std::time::Duration;

/// At most so many events within so long, exactly: a sliding window over the moments themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many are allowed.
    pub max: usize,
    /// Within how long.
    pub within: Duration,
}

/// The moments of the events that a [`Limit`] counts, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    moments: Vec<Time>,
}

impl Window {
    /// The window with these moments, in any order.
    pub fn from_moments(mut moments: Vec<Time>) -> Window {
        moments.sort_unstable();
        Window { moments }
    }

    /// The moments, oldest first.
    pub fn moments(&self) -> &[Time] {
        &self.moments
    }

    /// Whether one more event is allowed at `now`; if not, the whole seconds (at least 1) until one is.
    pub fn check(&self, limit: Limit, now: Time) -> Result<(), u64> {
        let start = now - limit.within;
        let inside = self.moments.iter().filter(|moment| **moment > start).count();
        if inside < limit.max {
            return Ok(());
        }
        // The event whose leaving makes room: with `max` allowed, the max-th from the end.
        let leaving = self.moments.len().checked_sub(limit.max.max(1)).and_then(|at| self.moments.get(at));
        let free_at = leaving.map_or(now + limit.within, |moment| *moment + limit.within);
        Err(whole_seconds(free_at.since(now)))
    }

    /// Counts an event at `now`, and forgets those that no longer matter.
    pub fn record(&mut self, limit: Limit, now: Time) {
        let start = now - limit.within;
        self.moments.retain(|moment| *moment > start);
        self.moments.push(now);
        let extra = self.moments.len().saturating_sub(limit.max);
        self.moments.drain(..extra);
    }
}

/// A steady rate with a burst: the generic cell rate algorithm, whose whole state is one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Events a second in the long run.
    pub per_second: u32,
    /// How many may come at once.
    pub burst: u32,
}

impl Rate {
    /// Takes one event at `now` from the rate whose state is `spent_until`: the new state, or the whole seconds (at
    /// least 1) to wait.
    pub fn take(self, spent_until: Time, now: Time) -> Result<Time, u64> {
        let interval = Duration::from_micros(1_000_000 / u64::from(self.per_second.max(1)));
        let burst = interval * self.burst.max(1);
        // What was spent cannot lie further ahead than the burst, unless a clock that ran ahead wrote it.
        let next = spent_until.max(now).min(now + burst) + interval;
        let ahead = next.since(now);
        if ahead > burst { Err(whole_seconds(ahead.saturating_sub(burst))) } else { Ok(next) }
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_micros().div_ceil(1_000_000).max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE_IN_TEN_MINUTES: Limit = Limit { max: 5, within: Duration::from_secs(600) };

    #[test]
    fn a_window_allows_exactly_its_number() {
        let mut window = Window::default();
        for second in 0..5 {
            let now = Time::from_secs(1000 + second);
            assert_eq!(window.check(FIVE_IN_TEN_MINUTES, now), Ok(()));
            window.record(FIVE_IN_TEN_MINUTES, now);
        }
        assert_eq!(window.check(FIVE_IN_TEN_MINUTES, Time::from_secs(1005)), Err(595));
        assert_eq!(window.check(FIVE_IN_TEN_MINUTES, Time::from_micros(1_599_999_999)), Err(1));
        assert_eq!(window.check(FIVE_IN_TEN_MINUTES, Time::from_secs(1600)), Ok(()));
    }

    #[test]
    fn a_window_forgets() {
        let mut window = Window::default();
        for second in 0..100 {
            window.record(FIVE_IN_TEN_MINUTES, Time::from_secs(second));
        }
        assert_eq!(window.moments().len(), 5);
    }

    #[test]
    fn a_rate_allows_its_burst_and_then_its_pace() {
        let rate = Rate { per_second: 10, burst: 3 };
        let now = Time::from_secs(1000);
        let mut state = Time::from_secs(0);
        for _ in 0..3 {
            state = rate.take(state, now).unwrap();
        }
        assert_eq!(rate.take(state, now), Err(1));
        assert!(rate.take(state, now + Duration::from_millis(100)).is_ok());
    }
}
