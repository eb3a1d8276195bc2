//! A channel that says what a test tells it to.

use super::gate::Pace;
use super::{Addressee, Errand, Said};
use chappe_core::book::Job;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What is said to an errand.
pub type Answer = Pin<Box<dyn Future<Output = Said> + Send>>;

type Script = dyn Fn(Errand, &Job, Option<&Addressee>) -> Answer + Send + Sync;

/// The channel.
#[derive(Clone)]
pub struct Scripted {
    /// Whether it serves subscribers alone.
    pub subscribers_only: bool,
    /// How much it is given at once.
    pub pace: Pace,
    script: Arc<Script>,
}

impl Scripted {
    /// A channel that answers by `script`.
    pub fn new(
        script: impl Fn(Errand, &Job, Option<&Addressee>) -> Answer + Send + Sync + 'static,
    ) -> Scripted {
        Scripted { subscribers_only: false, pace: Pace::default(), script: Arc::new(script) }
    }

    pub(super) async fn carry_out(&self, errand: Errand, job: &Job, addressee: Option<&Addressee>) -> Said {
        (self.script)(errand, job, addressee).await
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted(…)")
    }
}
