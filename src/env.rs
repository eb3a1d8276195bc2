//! The world that the rules must not see: the clock and randomness. Nothing else in the house asks the system for either.

use chappe_core::Time;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How far the wall clock may be off what has elapsed since the last look before it is no longer believed.
const TRUSTED_DRIFT: Duration = Duration::from_secs(30);

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System(Arc<SystemClock>),
    /// A clock that stands until it is moved, for tests and simulation.
    Manual(Arc<AtomicI64>),
}

/// The machine's wall clock, carried on by the time that really elapses, so that a jump of the wall clock cannot make
/// every message expire at once. Elapsed time includes the time a laptop sleeps.
#[derive(Debug)]
pub struct SystemClock {
    /// Wall time minus elapsed time, in microseconds, at the last look that was believed.
    anchor_micros: AtomicI64,
    /// How far `chappe dev` was told to run ahead.
    advanced_micros: AtomicI64,
    /// The latest moment told: time never goes back.
    latest_micros: AtomicI64,
    trusted: AtomicBool,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock::System(Arc::new(SystemClock {
            anchor_micros: AtomicI64::new(wall_micros() - elapsed_micros()),
            advanced_micros: AtomicI64::new(0),
            latest_micros: AtomicI64::new(i64::MIN),
            trusted: AtomicBool::new(true),
        }))
    }

    /// A clock that stands at `start`.
    pub fn manual(start: Time) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(start.micros())))
    }

    /// Now. Never earlier than what was told before.
    pub fn now(&self) -> Time {
        match self {
            Clock::System(clock) => {
                let micros = clock.anchor_micros.load(Ordering::Relaxed)
                    + elapsed_micros()
                    + clock.advanced_micros.load(Ordering::Relaxed);
                let latest = clock.latest_micros.fetch_max(micros, Ordering::Relaxed);
                Time::from_micros(micros.max(latest))
            }
            Clock::Manual(micros) => Time::from_micros(micros.load(Ordering::Relaxed)),
        }
    }

    /// Moves the clock ahead: for the sandbox and for tests.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let clock = match self {
            Clock::System(clock) => &clock.advanced_micros,
            Clock::Manual(clock) => clock,
        };
        clock.fetch_add(micros, Ordering::Relaxed);
    }

    /// Moves the clock ahead to `time`, unless it is there already.
    pub fn reach(&self, time: Time) {
        self.advance(time.since(self.now()));
    }

    /// Looks at the wall clock: a small drift is followed, a jump is not. To be called every second or so.
    pub fn reconcile(&self) {
        let Clock::System(clock) = self else { return };
        clock.reconcile(wall_micros() - elapsed_micros());
    }

    /// Whether the wall clock agrees with the time that has elapsed. As long as it does not, no delivery may expire:
    /// a wrong clock must not refund everybody.
    pub fn is_trusted(&self) -> bool {
        match self {
            Clock::System(clock) => clock.trusted.load(Ordering::Relaxed),
            Clock::Manual(_) => true,
        }
    }
}

impl SystemClock {
    fn reconcile(&self, anchor_now: i64) {
        let drift = Duration::from_micros(anchor_now.abs_diff(self.anchor_micros.load(Ordering::Relaxed)));
        let trusted = drift <= TRUSTED_DRIFT;
        if trusted {
            self.anchor_micros.store(anchor_now, Ordering::Relaxed);
        }
        let before = self.trusted.swap(trusted, Ordering::Relaxed);
        match (before, trusted) {
            (true, false) => tracing::error!(
                drift_s = drift.as_secs(),
                "the wall clock jumped; messages do not expire until it is back or the server is restarted"
            ),
            (false, true) => tracing::info!("the wall clock is back; messages expire again"),
            (true, true) | (false, false) => {}
        }
    }
}

fn wall_micros() -> i64 {
    micros(ClockId::Realtime)
}

fn elapsed_micros() -> i64 {
    // Goes on while the machine sleeps, unlike CLOCK_MONOTONIC.
    micros(ClockId::Boottime)
}

fn micros(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// Where randomness comes from.
#[derive(Clone, Debug)]
pub enum Random {
    /// The operating system.
    Os,
    /// A sequence that a seed determines, for simulation. Never for secrets that matter.
    Seeded(Arc<Mutex<u64>>),
}

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct NoEntropy;

impl Random {
    /// The sequence of this seed.
    pub fn seeded(seed: u64) -> Random {
        Random::Seeded(Arc::new(Mutex::new(seed)))
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        match self {
            #[allow(clippy::disallowed_methods)] // This is the door.
            Random::Os => getrandom::fill(bytes).map_err(|_| NoEntropy),
            Random::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                for chunk in bytes.chunks_mut(8) {
                    chunk.copy_from_slice(
                        split_mix(&mut state).to_le_bytes().get(..chunk.len()).unwrap_or(&[]),
                    );
                }
                Ok(())
            }
        }
    }

    /// A uniform number below `bound`, which is above zero.
    pub fn below(&self, bound: u32) -> Result<u32, NoEntropy> {
        // Numbers from the incomplete last span are drawn again, so that none is more likely than another.
        let span_end = u32::MAX - u32::MAX % bound;
        loop {
            let mut bytes = [0; 4];
            self.fill(&mut bytes)?;
            let draw = u32::from_le_bytes(bytes);
            if draw < span_end {
                return Ok(draw % bound);
            }
        }
    }

    /// A text of `length` letters and digits: about 5.95 bits each.
    pub fn alphanumeric(&self, length: usize) -> Result<String, NoEntropy> {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length)
            .map(|_| {
                let at = self.below(ALPHABET.len() as u32)? as usize;
                Ok(char::from(ALPHABET.get(at).copied().unwrap_or(b'A')))
            })
            .collect()
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_below_their_bound_and_reach_all_of_it() {
        let random = Random::seeded(1);
        let mut seen = [false; 10];
        for _ in 0..1000 {
            seen[random.below(10).unwrap() as usize] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
    }

    #[test]
    fn a_jump_of_the_wall_clock_moves_nothing_and_is_noticed() {
        let Clock::System(clock) = Clock::system() else { unreachable!() };
        let anchor = clock.anchor_micros.load(Ordering::Relaxed);
        clock.reconcile(anchor + 5_000_000);
        assert!(clock.trusted.load(Ordering::Relaxed), "a small drift is followed");
        for jump in [3_600_000_000, -3_600_000_000] {
            clock.reconcile(anchor + jump);
            assert!(!clock.trusted.load(Ordering::Relaxed));
            assert_eq!(clock.anchor_micros.load(Ordering::Relaxed), anchor + 5_000_000);
        }
        clock.reconcile(anchor);
        assert!(clock.trusted.load(Ordering::Relaxed), "back again");
    }

    #[test]
    fn time_never_goes_back() {
        let clock = Clock::system();
        let before = clock.now();
        if let Clock::System(inner) = &clock {
            inner.reconcile(inner.anchor_micros.load(Ordering::Relaxed) - 20_000_000);
        }
        assert!(clock.now() >= before);
        clock.advance(Duration::from_secs(60));
        assert!(clock.now().since(before) >= Duration::from_secs(39));
    }
}
