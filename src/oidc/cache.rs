//! What was read elsewhere and is good for a while.

use super::error::OidcError;
use chappe_core::Time;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long what was read is good.
const LIFE: Duration = Duration::from_secs(3600);
/// How long a failure is told to those who come next, instead of having each of them wait for another one.
const FAILURE_LIFE: Duration = Duration::from_secs(5);
/// How often at most something is read anew because it seems to be outdated.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);

/// Something that is read once for all who want it. One reads at a time; the others wait for what it finds.
#[derive(Debug)]
pub(super) struct Cache<T>(Mutex<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    value: Option<(Time, Arc<T>)>,
    failure: Option<(Time, OidcError)>,
    renewed: Option<Time>,
}

impl<T> Cache<T> {
    /// With nothing in it.
    pub(super) fn empty() -> Cache<T> {
        Cache(Mutex::new(Slot { value: None, failure: None, renewed: None }))
    }

    /// What is there, or what `read` finds if that is too old.
    pub(super) async fn get(
        &self,
        now: Time,
        read: impl Future<Output = Result<T, OidcError>>,
    ) -> Result<Arc<T>, OidcError> {
        let mut slot = self.0.lock().await;
        if let Some((since, value)) = &slot.value
            && now.since(*since) < LIFE
        {
            return Ok(value.clone());
        }
        if let Some((since, failure)) = &slot.failure
            && now.since(*since) < FAILURE_LIFE
        {
            return Err(failure.clone());
        }
        slot.fill(now, read.await)
    }

    /// What `read` finds instead of `outdated`, or what somebody else has found since then; `None` if it was read anew too
    /// short a while ago.
    pub(super) async fn renew(
        &self,
        now: Time,
        outdated: &Arc<T>,
        read: impl Future<Output = Result<T, OidcError>>,
    ) -> Result<Option<Arc<T>>, OidcError> {
        let mut slot = self.0.lock().await;
        if let Some((_, value)) = slot.value.as_ref().filter(|(_, value)| !Arc::ptr_eq(value, outdated)) {
            return Ok(Some(value.clone()));
        }
        if slot.renewed.is_some_and(|last| now.since(last) < RENEWAL_PAUSE) {
            return Ok(None);
        }
        slot.renewed = Some(now);
        slot.fill(now, read.await).map(Some)
    }
}

impl<T> Slot<T> {
    fn fill(&mut self, now: Time, read: Result<T, OidcError>) -> Result<Arc<T>, OidcError> {
        match read {
            Ok(value) => {
                let value = Arc::new(value);
                self.value = Some((now, value.clone()));
                self.failure = None;
                Ok(value)
            }
            Err(failure) => {
                self.failure = Some((now, failure.clone()));
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_secs(1_000_000);

    async fn never() -> Result<u8, OidcError> {
        panic!("it is read although it need not be")
    }

    async fn find(value: u8) -> Result<u8, OidcError> {
        Ok(value)
    }

    #[tokio::test]
    async fn what_was_read_is_good_for_an_hour() {
        let cache = Cache::empty();
        assert_eq!(*cache.get(START, find(1)).await.unwrap(), 1);
        assert_eq!(*cache.get(START + LIFE - Duration::from_secs(1), never()).await.unwrap(), 1);
        assert_eq!(*cache.get(START + LIFE, find(2)).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_failure_is_told_for_a_moment_and_then_tried_again() {
        let cache = Cache::empty();
        let down = OidcError::Unreachable("down".to_owned());
        assert_eq!(cache.get(START, async { Err(down.clone()) }).await.unwrap_err(), down);
        assert_eq!(cache.get(START + Duration::from_secs(4), never()).await.unwrap_err(), down);
        assert_eq!(*cache.get(START + FAILURE_LIFE, find(1)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_seems_outdated_is_read_anew_once_a_minute_for_all() {
        let cache = Cache::empty();
        let first = cache.get(START, find(1)).await.unwrap();
        let second = cache.renew(START, &first, find(2)).await.unwrap().unwrap();
        assert_eq!(*second, 2);
        assert_eq!(
            *cache.renew(START, &first, never()).await.unwrap().unwrap(),
            2,
            "somebody else has read it"
        );
        assert!(cache.renew(START, &second, never()).await.unwrap().is_none(), "too soon");
        let later = START + RENEWAL_PAUSE;
        assert_eq!(*cache.renew(later, &second, find(3)).await.unwrap().unwrap(), 3);
        assert_eq!(*cache.get(later, never()).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn what_is_there_outlives_a_renewal_that_failed() {
        let cache = Cache::empty();
        let first = cache.get(START, find(1)).await.unwrap();
        let down = OidcError::Unreachable("down".to_owned());
        assert_eq!(cache.renew(START, &first, async { Err(down.clone()) }).await.unwrap_err(), down);
        assert_eq!(*cache.get(START, never()).await.unwrap(), 1);
    }
}
