//! The longest time in which nobody was served.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Beats with every success.
pub(crate) struct Pulse {
    begun: Instant,
    last: AtomicU64,
    longest: AtomicU64,
}

impl Pulse {
    pub(crate) fn new() -> Pulse {
        Pulse { begun: Instant::now(), last: AtomicU64::new(0), longest: AtomicU64::new(0) }
    }

    pub(crate) fn beat(&self) {
        let now = self.begun.elapsed().as_millis() as u64;
        let before = self.last.swap(now, Ordering::SeqCst);
        self.longest.fetch_max(now.saturating_sub(before), Ordering::SeqCst);
    }

    /// The longest gap so far, one that lasts included.
    pub(crate) fn longest(&self) -> Duration {
        let now = self.begun.elapsed().as_millis() as u64;
        let open = now.saturating_sub(self.last.load(Ordering::SeqCst));
        Duration::from_millis(self.longest.load(Ordering::SeqCst).max(open))
    }
}
