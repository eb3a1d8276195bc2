//! Waking workers when something falls due, so that none has to poll.

use chappe_core::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::Notify;

/// When a worker must look again.
#[derive(Clone, Debug)]
pub struct Wake {
    next_micros: Arc<AtomicI64>,
    notify: Arc<Notify>,
}

/// The wakes of the workers that wait for rows to fall due.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// Requests: hand-overs, questions, expiries.
    pub requests: Wake,
    /// Reports.
    pub reports: Wake,
}

impl Default for Wake {
    fn default() -> Wake {
        Wake { next_micros: Arc::new(AtomicI64::new(i64::MAX)), notify: Arc::new(Notify::new()) }
    }
}

impl Wake {
    /// Something falls due at this moment: wakes the worker if it would sleep longer.
    pub fn at(&self, time: Time) {
        if self.next_micros.fetch_min(time.micros(), Ordering::AcqRel) > time.micros() {
            self.notify.notify_one();
        }
    }

    /// Wakes the worker now: the clock was moved, or it shall stop.
    pub fn now(&self) {
        self.notify.notify_one();
    }

    /// Forgets what is due next: to be called before rows are read, which say it better.
    pub fn take(&self) {
        self.next_micros.store(i64::MAX, Ordering::Release);
    }

    /// The worker is going to look at this moment anyway: what falls due later need not wake it.
    pub fn expect(&self, time: Time) {
        self.next_micros.fetch_min(time.micros(), Ordering::AcqRel);
    }

    /// Waits until something earlier falls due, or the worker is woken.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }
}
