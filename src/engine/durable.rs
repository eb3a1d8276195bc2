//! Between commit and answer: what was committed is answered once it is durable.
//!
//! A disk takes as long to make a commit durable as the engine takes to decide many commands. So while one batch is on
//! its way to the disk, on a thread of its own, the engine already decides the next one. An answer still waits for the
//! disk, and batches are answered in the order in which they were committed: whatever a batch has seen of the one
//! before is durable by then, too.

use super::queue::{CallerJob, WorkerJob};
use super::{Judged, Outlets};
use crate::store::{Log, StoreError};
use chappe_core::{News, Work};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::Notify;

/// A batch that was committed, with its answers.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) callers: Vec<(CallerJob, Judged)>,
    pub(super) workers: Vec<(WorkerJob, Vec<Judged>)>,
    pub(super) news: News,
}

impl Committed {
    /// Tells everybody: it is durable. Workers last: once they are answered, what they gave out has gone out.
    pub(super) fn answer(self, outlets: &Outlets) {
        self.callers.into_iter().for_each(|(job, answer)| job.answer(answer));
        outlets.tell(self.news);
        self.workers.into_iter().for_each(|(job, answers)| job.answer(answers));
    }

    fn fail(self) {
        self.callers.into_iter().for_each(|(job, _)| job.fail());
        self.workers.into_iter().for_each(|(job, _)| job.fail());
    }

    fn deliveries(&self) -> usize {
        self.news.work.iter().filter(|work| matches!(work, Work::Deliver(_))).count()
    }
}

/// Makes committed batches durable, and answers them.
#[derive(Debug)]
pub(super) struct Durable {
    log: Arc<Log>,
    outlets: Outlets,
    under_way: Arc<UnderWay>,
    beside: Option<Beside>,
}

/// The thread that makes batches durable while the engine goes on.
#[derive(Debug)]
struct Beside {
    batches: SyncSender<Committed>,
    thread: JoinHandle<Result<(), StoreError>>,
}

/// What is on its way to the disk.
#[derive(Debug, Default)]
struct UnderWay {
    batches: AtomicUsize,
    deliveries: AtomicUsize,
}

impl Durable {
    pub(super) fn new(log: Log, outlets: Outlets) -> Durable {
        Durable { log: Arc::new(log), outlets, under_way: Arc::default(), beside: None }
    }

    /// How many messages may be handed to the delivery worker: its room, less what is promised already.
    pub(super) fn lease_room(&self) -> usize {
        let promised = self.under_way.deliveries.load(Ordering::Acquire);
        self.outlets.work.capacity().saturating_sub(promised)
    }

    /// Makes a batch durable and answers it before this returns.
    pub(super) fn finish(&mut self, committed: Committed) -> Result<(), StoreError> {
        if committed.news.changed
            && let Err(error) = self.log.flush()
        {
            committed.fail();
            return Err(error);
        }
        committed.answer(&self.outlets);
        Ok(())
    }

    /// Like [`Durable::finish`], but where other commands wait (`busy`) or an earlier batch is still under way, on the
    /// thread beside, which calls `failed` should the disk fail.
    pub(super) fn finish_beside(
        &mut self,
        committed: Committed,
        busy: bool,
        failed: &Arc<Notify>,
    ) -> Result<(), StoreError> {
        let alone = self.under_way.batches.load(Ordering::Acquire) == 0;
        // A thread more costs a caller who is alone the time to wake it.
        if alone && !(busy && committed.news.changed) {
            return self.finish(committed);
        }
        let beside = match self.beside.take() {
            Some(beside) => beside,
            None => self.start(failed.clone())?,
        };
        self.under_way.batches.fetch_add(1, Ordering::AcqRel);
        self.under_way.deliveries.fetch_add(committed.deliveries(), Ordering::AcqRel);
        // Waits where a batch is waiting for the disk already: batches grow meanwhile.
        match beside.batches.send(committed) {
            Ok(()) => {
                self.beside = Some(beside);
                Ok(())
            }
            Err(unsent) => {
                unsent.0.fail();
                Err(beside
                    .end()
                    .err()
                    .unwrap_or_else(|| StoreError::Disk("the log's thread ended".to_owned())))
            }
        }
    }

    /// Makes durable whatever was committed.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.log.flush()
    }

    /// Waits until nothing is under way any more.
    pub(super) fn end(&mut self) -> Result<(), StoreError> {
        self.beside.take().map_or(Ok(()), Beside::end)
    }

    fn start(&self, failed: Arc<Notify>) -> Result<Beside, StoreError> {
        let (batches, committed) = sync_channel(1);
        let (log, outlets, under_way) = (self.log.clone(), self.outlets.clone(), self.under_way.clone());
        let run = move || {
            let result = flush_all(&log, &outlets, &under_way, &committed);
            if result.is_err() {
                failed.notify_one();
            }
            result
        };
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(run);
        let thread =
            thread.map_err(|source| StoreError::File { what: "cannot start a thread".to_owned(), source })?;
        Ok(Beside { batches, thread })
    }
}

impl Beside {
    fn end(self) -> Result<(), StoreError> {
        drop(self.batches);
        let panicked = |_| Err(StoreError::Disk("the log's thread panicked".to_owned()));
        self.thread.join().unwrap_or_else(panicked)
    }
}

/// Flushes and answers until nobody hands batches in any more, or the disk fails.
fn flush_all(
    log: &Log,
    outlets: &Outlets,
    under_way: &UnderWay,
    committed: &Receiver<Committed>,
) -> Result<(), StoreError> {
    while let Ok(first) = committed.recv() {
        // One flush serves all that were committed before it.
        let batches: Vec<_> = std::iter::once(first).chain(committed.try_iter()).collect();
        if let Err(error) = log.flush() {
            tracing::error!(%error, batches = batches.len(), "commits could not be made durable");
            batches.into_iter().for_each(Committed::fail);
            return Err(error);
        }
        for batch in batches {
            let deliveries = batch.deliveries();
            batch.answer(outlets);
            under_way.deliveries.fetch_sub(deliveries, Ordering::AcqRel);
            under_way.batches.fetch_sub(1, Ordering::AcqRel);
        }
    }
    Ok(())
}

#[cfg(feature = "simulation")]
#[cfg(test)]
mod tests {
    use super::super::queue::{Engine, Failure, Queues, queues};
    use super::*;
    use crate::engine::Batch;
    use crate::work::wake::Wakes;
    use chappe_core::command::Caller;
    use chappe_core::{AccountId, Command, Mode, Outcome, TokenId};
    use std::sync::Mutex;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;
    use tokio::sync::{broadcast, mpsc, oneshot};

    /// Far longer than a thread needs to begin.
    const PATIENCE: Duration = Duration::from_secs(30);

    struct Bench {
        durable: Durable,
        engine: Engine,
        queues: Queues,
        failed: Arc<Notify>,
        begun: Receiver<()>,
        release: Sender<Result<(), StoreError>>,
    }

    impl Bench {
        fn new() -> Bench {
            let ((begins, begun), (release, released)) = (channel(), channel());
            let (engine, queues) = queues(8, 8);
            let outlets = Outlets {
                work: mpsc::channel(8).0,
                wakes: Wakes::default(),
                changed: broadcast::channel(8).0,
                inside: |_| None,
            };
            let durable = Durable::new(Log::Held(begins, Mutex::new(released)), outlets);
            Bench { durable, engine, queues, failed: Arc::default(), begun, release }
        }

        /// Hands over a batch of one caller, decided and committed; and what that caller hears.
        async fn hand_over(&mut self, changed: bool) -> oneshot::Receiver<Result<Outcome, Failure>> {
            let caller = Caller { account: AccountId(100), token: TokenId(1), mode: Mode::Live };
            let (heard, hearing) = oneshot::channel();
            let engine = self.engine.clone();
            tokio::spawn(async move {
                let _ = heard.send(engine.submit(Command::Balance { caller }).await);
            });
            let mut batch = Batch::default();
            assert!(self.queues.wait(&mut batch).await);
            let callers = batch.callers.into_iter().map(|job| (job, Ok(Outcome::Done))).collect();
            let news = News { changed, ..News::default() };
            let committed = Committed { callers, workers: Vec::new(), news };
            self.durable.finish_beside(committed, true, &self.failed).unwrap();
            hearing
        }

        fn wait_for_the_disk(&self) {
            self.begun.recv_timeout(PATIENCE).expect("a flush that begins");
        }
    }

    #[tokio::test]
    async fn nobody_is_answered_before_the_disk_has_it() {
        let mut bench = Bench::new();
        let mut first = bench.hand_over(true).await;
        bench.wait_for_the_disk();
        // It only read, but it has seen what is not on the disk yet.
        let mut second = bench.hand_over(false).await;
        tokio::task::yield_now().await;
        assert!(first.try_recv().is_err() && second.try_recv().is_err(), "answered too early");
        bench.release.send(Ok(())).unwrap();
        assert_eq!(first.await.unwrap(), Ok(Outcome::Done));
        bench.wait_for_the_disk();
        bench.release.send(Ok(())).unwrap();
        assert_eq!(second.await.unwrap(), Ok(Outcome::Done));
        bench.durable.end().unwrap();
    }

    #[tokio::test]
    async fn what_the_disk_refuses_is_never_acknowledged() {
        let mut bench = Bench::new();
        let first = bench.hand_over(true).await;
        bench.wait_for_the_disk();
        let second = bench.hand_over(true).await;
        bench.release.send(Err(StoreError::Disk("gone".to_owned()))).unwrap();
        assert_eq!(first.await.unwrap(), Err(Failure::Internal));
        assert_eq!(second.await.unwrap(), Err(Failure::Internal));
        bench.failed.notified().await;
        assert!(bench.durable.end().is_err_and(|error| error.is_fatal()));
    }
}
