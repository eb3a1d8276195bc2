//! The engine: gathers the commands that wait, decides them over one working set, commits once, and only then answers.
//!
//! No wait is added for a caller: an idle engine takes a batch of one at once, and under load batches grow by
//! themselves while the disk works on the one before. Commands of workers (deliveries, expiries, reports) have a queue
//! of their own: they ride along with callers' commands, and pause a moment for company when there are none, so that a
//! caller never finds the disk busy with the aftermath of its own last call.

mod queue;

pub use queue::{Chore, Engine, Failure};

use crate::store::{Store, StoreError};
use crate::work::wake::Wakes;
use chappe_core::{AccountId, Book, Command, Keys, Outcome, Rejection, RequestId, Rules, Work, decide};
use queue::{CallerJob, Queues, WorkerJob};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

/// The most callers' commands in a batch.
const BATCH_MAX: usize = 1_024;
/// The most jobs of workers in a batch; each holds up to [`crate::work::BATCH`] commands.
const WORKER_JOBS_MAX: usize = 2;
/// How long workers' commands wait for callers' commands to ride along with.
const COMPANY_WAIT: Duration = Duration::from_millis(2);
/// A command that waited longer than this in the queue is refused without being done: its caller has given up.
const QUEUED_MAX: Duration = Duration::from_secs(10);

/// What the engine tells the rest of the house after a commit.
#[derive(Clone, Debug)]
pub struct Outlets {
    /// Messages for the delivery worker.
    pub work: mpsc::Sender<Work>,
    /// When the workers must look again.
    pub wakes: Wakes,
    /// Requests that changed, for pages that are live.
    pub changed: broadcast::Sender<(AccountId, RequestId)>,
}

/// The batch loop. It owns the writer.
#[derive(Debug)]
pub struct Batches {
    store: Store,
    rules: Rules,
    queues: Queues,
    outlets: Outlets,
}

/// What a batch is made of.
#[derive(Debug, Default)]
struct Batch {
    callers: Vec<CallerJob>,
    workers: Vec<WorkerJob>,
}

/// Why the loop ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("the database can no longer be trusted, so the server stops: {0}")]
pub struct Stopped(#[from] StoreError);

impl Batches {
    /// An engine over `store`, and the loop that must be run for it to answer. `queue_max` callers may wait; the next
    /// one is told that the server is overloaded.
    pub fn new(store: Store, rules: Rules, outlets: Outlets, queue_max: usize) -> (Engine, Batches) {
        let (engine, queues) = queue::queues(queue_max);
        (engine, Batches { store, rules, queues, outlets })
    }

    /// Runs until the engine is closed and everything that waited is answered, or the database fails for good.
    pub async fn run(mut self) -> Result<(), Stopped> {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                // Everything is durable already; this only leaves the files in order.
                return self.store.settle().await.map_err(Stopped);
            }
            self.carry_out(batch).await?;
        }
    }

    /// Carries out what waits now, without waiting for more. Returns whether there was anything. For tests and
    /// simulation, which decide themselves when the engine works.
    pub async fn step(&mut self) -> Result<bool, Stopped> {
        let batch = self.queues.take(Batch::default());
        let some = !batch.is_empty();
        if some {
            self.carry_out(batch).await?;
        }
        Ok(some)
    }

    /// The store, for simulation to make it fail.
    #[cfg(feature = "simulation")]
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    async fn gather(&mut self) -> Batch {
        let mut batch = Batch::default();
        if !self.queues.wait(&mut batch).await {
            return batch;
        }
        if batch.callers.is_empty() {
            self.queues.wait_for_company(&mut batch, COMPANY_WAIT).await;
        }
        self.queues.take(batch)
    }

    async fn carry_out(&mut self, batch: Batch) -> Result<(), Stopped> {
        let Batch { mut callers, workers } = batch;
        callers.retain_mut(|job| !job.refuse_if_older_than(QUEUED_MAX));
        let (chores, workers): (Vec<_>, Vec<_>) = workers.into_iter().partition(WorkerJob::is_chore);

        if !callers.is_empty() || !workers.is_empty() {
            let lease_room = self.outlets.work.capacity();
            let mut keys = Keys::default();
            callers.iter().map(CallerJob::command).for_each(|command| command.add_keys(&mut keys));
            workers.iter().flat_map(WorkerJob::commands).for_each(|command| command.add_keys(&mut keys));
            let rules = &self.rules;
            let committed = self
                .store
                .transact(&keys, |book| {
                    book.lease_room = lease_room;
                    let mut judge = |command: &Command| decide(rules, book, command.clone());
                    let callers: Vec<_> = callers.iter().map(|job| judge(job.command())).collect();
                    let workers: Vec<Vec<_>> =
                        workers.iter().map(|job| job.commands().iter().map(&mut judge).collect()).collect();
                    (callers, workers)
                })
                .await;
            self.answer(callers, workers, committed)?;
        }
        for chore in chores {
            self.do_chore(chore).await?;
        }
        Ok(())
    }

    #[allow(clippy::type_complexity)]
    fn answer(
        &self,
        callers: Vec<CallerJob>,
        workers: Vec<WorkerJob>,
        committed: Result<((Vec<Judged>, Vec<Vec<Judged>>), Book), StoreError>,
    ) -> Result<(), Stopped> {
        match committed {
            Ok(((caller_answers, worker_answers), book)) => {
                callers.into_iter().zip(caller_answers).for_each(|(job, answer)| job.answer(answer));
                workers.into_iter().zip(worker_answers).for_each(|(job, answers)| job.answer(answers));
                self.tell(book);
                Ok(())
            }
            Err(error) => {
                let commands = callers.len() + workers.iter().map(|job| job.commands().len()).sum::<usize>();
                tracing::error!(%error, commands, "a batch failed; nothing of it was done");
                callers.into_iter().for_each(CallerJob::fail);
                workers.into_iter().for_each(WorkerJob::fail);
                if error.is_fatal() { Err(Stopped(error)) } else { Ok(()) }
            }
        }
    }

    /// Tells workers and pages what a committed batch gave them to do.
    fn tell(&self, mut book: Book) {
        let work = std::mem::take(&mut book.work);
        // Hand-overs first: room was kept for them. Whatever finds no room waits as a row until its lease lapses.
        let (deliver, other): (Vec<_>, Vec<_>) =
            work.into_iter().partition(|work| matches!(work, Work::Deliver(_)));
        for work in deliver.into_iter().chain(other) {
            // A hand-over or a question that finds no room comes again when its lease lapses.
            if let Err(error) = self.outlets.work.try_send(work) {
                tracing::warn!(%error, "the delivery worker is behind");
            }
        }
        let due_at = |(request, _): (&chappe_core::Request, bool)| request.message.as_ref()?.due_at();
        if let Some(due_at) = book.changed_requests().filter_map(due_at).min() {
            self.outlets.wakes.requests.at(due_at);
        }
        if let Some(due_at) = book.changed_reports().map(|(report, _)| report.due_at).min() {
            self.outlets.wakes.reports.at(due_at);
        }
        if self.outlets.changed.receiver_count() > 0 {
            for (request, _) in book.changed_requests() {
                // Nobody listens any more: fine.
                let _ = self.outlets.changed.send((request.account, request.id));
            }
        }
    }

    async fn do_chore(&mut self, job: WorkerJob) -> Result<(), Stopped> {
        let WorkerJob::Chore { chore, reply } = job else { return Ok(()) };
        let done = match &chore {
            Chore::TouchTokens(uses) => self.store.touch_tokens(uses).await.map(|()| false),
            Chore::Purge { keys_before, failures_before, codes_before } => {
                self.store.purge(*keys_before, *failures_before, *codes_before).await
            }
            Chore::ClearSandbox(account) => self.store.clear_sandbox(*account).await,
        };
        let result = done.as_ref().copied().map_err(|_| Failure::Internal);
        let _ = reply.send(result);
        match done {
            Err(error) if error.is_fatal() => Err(Stopped(error)),
            Err(error) => {
                tracing::error!(%error, "a chore failed");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }
}

/// What the rules say to one command.
pub type Judged = Result<Outcome, Rejection>;

impl Batch {
    fn is_empty(&self) -> bool {
        self.callers.is_empty() && self.workers.is_empty()
    }
}
