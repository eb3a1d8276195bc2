//! The engine: gathers the commands that wait, decides them over one working set, commits once, and only then answers.
//!
//! No wait is added for a caller: an idle engine takes a batch of one at once, and under load batches grow by
//! themselves while the disk works on the one before. Commands of workers (deliveries, expiries, reports) have a queue
//! of their own: they ride along with callers' commands, and pause a moment for company when there are none, so that a
//! caller never finds the disk busy with the aftermath of its own last call.

mod durable;
mod queue;

pub use queue::{Chore, DrawnToken, Engine, Failure};

use crate::store::{Store, StoreError};
use crate::work::wake::Wakes;
use chappe_core::book::Job;
use chappe_core::{
    AccountId, Book, ChannelEvent, Command, Keys, News, Outcome, Rejection, RequestId, Rules, Work, decide,
};
use durable::{Committed, Durable};
use queue::{CallerJob, Queues, WorkerJob};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

/// From how many waiting jobs on a batch is made durable on the thread beside. Fewer are decided in less time than the disk
/// takes: they wait for it, and the next batch is larger for that.
const BUSY_FROM: usize = 8;
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
    /// Accounts whose requests changed, for pages that are live.
    pub changed: broadcast::Sender<(AccountId, Option<RequestId>)>,
    /// What channels inside the house say to a message: they are heard in the batch that gave it out. `None` says that
    /// the channel is outside, and the delivery worker's business.
    pub inside: fn(&Job) -> Option<Vec<ChannelEvent>>,
}

/// The batch loop. It owns the writer.
#[derive(Debug)]
pub struct Batches {
    store: Store,
    rules: Rules,
    queues: Queues,
    durable: Durable,
    inside: fn(&Job) -> Option<Vec<ChannelEvent>>,
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
    pub fn new(
        store: Store,
        rules: Rules,
        outlets: Outlets,
        queue_max: usize,
    ) -> Result<(Engine, Batches), StoreError> {
        let (engine, queues) = queue::queues(queue_max, store.batch_max());
        let inside = outlets.inside;
        let durable = Durable::new(store.log()?, outlets);
        Ok((engine, Batches { store, rules, queues, durable, inside }))
    }

    /// Runs until the engine is closed and everything that waited is answered, or the database fails for good.
    pub async fn run(mut self) -> Result<(), Stopped> {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                self.durable.end()?;
                // Everything is durable already; this only leaves the files in order.
                return self.store.settle().await.map_err(Stopped);
            }
            self.carry_out(batch, Finish::Beside).await?;
        }
    }

    /// Carries out what waits now, without waiting for more. Returns whether there was anything. For tests and
    /// simulation, which decide themselves when the engine works.
    pub async fn step(&mut self) -> Result<bool, Stopped> {
        let batch = self.queues.take(Batch::default());
        let some = !batch.is_empty();
        if some {
            self.carry_out(batch, Finish::Now).await?;
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

    async fn carry_out(&mut self, batch: Batch, finish: Finish) -> Result<(), Stopped> {
        let Batch { mut callers, workers } = batch;
        let now = Instant::now();
        callers.retain_mut(|job| !job.refuse_if_older_than(QUEUED_MAX, now));
        let (chores, workers): (Vec<_>, Vec<_>) = workers.into_iter().partition(WorkerJob::is_chore);

        if !callers.is_empty() || !workers.is_empty() {
            match self.commit(callers, workers).await? {
                Some(committed) if finish == Finish::Beside => {
                    let busy = self.queues.waiting() >= BUSY_FROM;
                    self.durable.finish_beside(committed, busy, &self.queues.closing)?;
                }
                Some(committed) => self.durable.finish(committed)?,
                None => {}
            }
        }
        let mut away = false;
        for chore in chores {
            // Callers wait: where one chore has waited for the database in vain, the rest do not.
            if away {
                chore.fail();
            } else {
                away = self.do_chore(chore).await?;
            }
        }
        Ok(())
    }

    /// Decides a batch and commits it. A batch that fails is told so, and `None` comes back.
    async fn commit(
        &mut self,
        callers: Vec<CallerJob>,
        workers: Vec<WorkerJob>,
    ) -> Result<Option<Committed>, Stopped> {
        let lease_room = self.durable.lease_room();
        let mut keys = Keys::default();
        callers.iter().map(CallerJob::command).for_each(|command| command.add_keys(&mut keys));
        workers.iter().flat_map(WorkerJob::commands).for_each(|command| command.add_keys(&mut keys));
        let (rules, inside) = (&self.rules, self.inside);
        let committed = self
            .store
            .transact(&keys, |book| {
                book.lease_room = lease_room;
                let mut judge = |command: &Command| decide(rules, book, command);
                let callers: Vec<_> = callers.iter().map(|job| judge(job.command())).collect();
                let workers: Vec<Vec<_>> =
                    workers.iter().map(|job| job.commands().iter().map(&mut judge).collect()).collect();
                hear_inside(rules, book, inside);
                (callers, workers)
            })
            .await;
        match committed {
            Ok(((caller_answers, worker_answers), news)) => Ok(Some(Committed {
                callers: callers.into_iter().zip(caller_answers).collect(),
                workers: workers.into_iter().zip(worker_answers).collect(),
                news,
            })),
            Err(error) => {
                let commands = callers.len() + workers.iter().map(|job| job.commands().len()).sum::<usize>();
                tracing::error!(%error, commands, "a batch failed; nothing of it was done");
                callers.into_iter().for_each(CallerJob::fail);
                workers.into_iter().for_each(WorkerJob::fail);
                if error.is_fatal() { Err(Stopped(error)) } else { Ok(None) }
            }
        }
    }

    /// Does a chore. Says whether the database was away.
    async fn do_chore(&mut self, job: WorkerJob) -> Result<bool, Stopped> {
        let WorkerJob::Chore { chore, reply } = job else { return Ok(false) };
        let done = match &chore {
            Chore::TouchTokens(uses) => self.store.touch_tokens(uses).await.map(|()| false),
            Chore::Purge(before) => self.store.purge(*before).await,
            Chore::ClearSandbox(account) => self.store.clear_sandbox(*account).await,
            Chore::PutSubscriber(subscriber) => self.store.put_subscriber(subscriber).await.map(|()| false),
            Chore::RemoveSubscriber(channel, chat) => self.store.remove_subscriber(channel, *chat).await,
            Chore::BlockSubscriber(channel, chat) => self.store.block_subscriber(channel, *chat).await,
            Chore::Change(change) => self.store.change(change).await,
            Chore::CreateCustomer(name, now) => match self.store.create_customer(name, *now).await {
                Err(StoreError::Exists(_)) => Ok(false),
                created => created.map(|()| true),
            },
            Chore::CreateToken(token, now) => {
                self.store.create_token(&token.as_new(), *now).await.map(|_| true)
            }
            Chore::EndToken(token, at, now) => self.store.end_token(*token, *at, *now).await.map(|()| true),
            Chore::AllowToken(token, allowed) => self.store.allow_token(*token, allowed).await.map(|()| true),
            Chore::SetOwnNumber(account, phone) => {
                self.store.set_own_number(*account, *phone).await.map(|()| true)
            }
            Chore::PutSender(account, username, verified, now) => {
                self.store.put_sender(*account, username, *verified, *now).await.map(|()| true)
            }
            Chore::RemoveSender(account, username) => self.store.remove_sender(*account, username).await,
        };
        let done = match done {
            Ok(more) => self.durable.flush().map(|()| more),
            Err(error) => Err(error),
        };
        let result = done.as_ref().copied().map_err(|_| Failure::Internal);
        let _ = reply.send(result);
        match done {
            Err(error) if error.is_fatal() => Err(Stopped(error)),
            Err(error) => {
                tracing::error!(%error, "a chore failed");
                Ok(error.is_away())
            }
            Ok(_) => Ok(false),
        }
    }
}

/// Hands the messages of a batch to the channels inside the house, and hears those out. One that fails may hand over to
/// the next hop, which may be inside as well.
fn hear_inside(rules: &Rules, book: &mut Book, inside: fn(&Job) -> Option<Vec<ChannelEvent>>) {
    let mut outside = Vec::new();
    while !book.work.is_empty() {
        for work in std::mem::take(&mut book.work) {
            let heard = match &work {
                Work::Deliver(job) => inside(job).map(|events| (job, events)),
                Work::Poll(_) | Work::Withdraw(_) => None,
            };
            let Some((job, events)) = heard else {
                outside.push(work);
                continue;
            };
            let (request, hop, channel) = (job.request, job.hop, job.channel.clone());
            let command = Command::Channel { now: job.asked_at, request, hop, channel, events };
            // What a channel says is never refused.
            let _ = decide(rules, book, &command);
        }
    }
    book.work = outside;
}

/// When a committed batch is made durable and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    /// At once.
    Now,
    /// While the next batch is decided, if there is one.
    Beside,
}

impl Outlets {
    /// Tells workers and pages what a durable batch gave them to do.
    fn tell(&self, news: News) {
        // Hand-overs first: room was kept for them. Whatever finds no room waits as a row until its lease lapses.
        let (deliver, other): (Vec<_>, Vec<_>) =
            news.work.into_iter().partition(|work| matches!(work, Work::Deliver(_)));
        for work in deliver.into_iter().chain(other) {
            // A hand-over or a question that finds no room comes again when its lease lapses.
            if let Err(error) = self.work.try_send(work) {
                tracing::warn!(%error, "the delivery worker is behind");
            }
        }
        if let Some(due_at) = news.next_due {
            self.wakes.requests.at(due_at);
        }
        if let Some(due_at) = news.next_report {
            self.wakes.reports.at(due_at);
        }
        if self.changed.receiver_count() > 0 {
            for (account, request) in news.requests {
                // Nobody listens any more: fine.
                let _ = self.changed.send((account, Some(request)));
            }
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
