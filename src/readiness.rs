//! Whether a load balancer should send calls here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the database may be out of reach. Shorter than a batch's patience, so that callers go elsewhere instead of
/// waiting here; long enough for a restart of the database, over which waiting is the better answer: it is away for
/// every server then.
const AWAY_MAX: Duration = Duration::from_secs(4);

/// What `/readyz` tells.
#[derive(Debug, Default)]
pub struct Readiness {
    leaving: AtomicBool,
    /// Since when every look into the database has failed, or not come back.
    looking_since: Mutex<Option<Instant>>,
}

impl Readiness {
    /// Whether the database was there lately.
    pub fn sees_database(&self) -> bool {
        let since = *self.looking_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_none_or(|since| since.elapsed() < AWAY_MAX)
    }

    /// Whether the server is about to stop.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Says from now on that the server is about to stop.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// A look into the database begins.
    pub fn look(&self) {
        self.looking_since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    /// A look into the database has succeeded.
    pub fn seen(&self) {
        *self.looking_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_counts_as_away_when_it_was_not_seen_for_long() {
        let readiness = Readiness::default();
        readiness.look();
        assert!(readiness.sees_database(), "not at once");
        *readiness.looking_since.lock().unwrap() = Instant::now().checked_sub(AWAY_MAX);
        readiness.look();
        assert!(!readiness.sees_database(), "a further look does not begin anew");
        readiness.seen();
        assert!(readiness.sees_database());
    }
}
