//! The two queues in front of the engine, both bounded: callers' commands, and workers'.

use super::{Batch, Judged, WORKER_JOBS_MAX};
use crate::store::{Change, NewToken, PurgeBefore, SubscriberRow, TokenUse};
use chappe_core::text::{ChannelName, Username};
use chappe_core::{AccountId, Command, Outcome, Phone, Rejection, Time, TokenId};
use ipnet::IpNet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How many jobs of workers may wait: a worker that finds the queue full waits itself.
const WORKER_QUEUE: usize = 16;

/// Why a command came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The rules say no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too many commands wait, or the server is stopping. Nothing was done.
    #[error("overloaded")]
    Overloaded,
    /// A fault of ours. Nothing was committed, as far as anyone can know.
    #[error("internal error")]
    Internal,
}

/// Where commands are handed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    callers: mpsc::Sender<CallerJob>,
    workers: mpsc::Sender<WorkerJob>,
    closing: Arc<Notify>,
}

/// Work on the database that is no command.
#[derive(Clone, Debug)]
pub enum Chore {
    /// Note when tokens were last used.
    TouchTokens(Vec<TokenUse>),
    /// Forget a part of what is no longer needed; see [`crate::store::Store::purge`].
    Purge(PurgeBefore),
    /// Empty a part of the sandbox's inbox.
    ClearSandbox(Option<AccountId>),
    /// Note that somebody subscribed to a channel.
    PutSubscriber(Box<SubscriberRow>),
    /// Forget the subscriber of a chat.
    RemoveSubscriber(ChannelName, i64),
    /// Note that a channel may write to a chat no more.
    BlockSubscriber(ChannelName, i64),
    /// What people change; see [`crate::store::Store::change`].
    Change(Change),
    /// Create a customer with a live account and its test twin.
    CreateCustomer(String, Time),
    /// Create a token.
    CreateToken(DrawnToken, Time),
    /// Let a token end at a moment; see [`crate::store::Store::end_token`].
    EndToken(TokenId, Time, Time),
    /// Limit a token to addresses and ranges.
    AllowToken(TokenId, Vec<IpNet>),
    /// Set or take away an account's own number.
    SetOwnNumber(AccountId, Option<Phone>),
    /// Register a sender channel, or change whether it is verified.
    PutSender(AccountId, Username, bool, Time),
    /// Take a sender channel away.
    RemoveSender(AccountId, Username),
}

/// A token to be created, with what it is made of.
#[derive(Clone, Debug)]
pub struct DrawnToken {
    /// Whose it will be.
    pub account: AccountId,
    /// What people call it.
    pub name: String,
    /// The text.
    pub text: Zeroizing<String>,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// From where it may be used; empty: from anywhere.
    pub allowed: Vec<IpNet>,
}

impl DrawnToken {
    /// As the store takes it.
    pub(super) fn as_new(&self) -> NewToken<'_> {
        NewToken {
            account: self.account,
            name: &self.name,
            text: &self.text,
            expires_at: self.expires_at,
            allowed: &self.allowed,
        }
    }
}

#[derive(Debug)]
pub(super) struct CallerJob {
    command: Command,
    /// `None` once it was answered.
    reply: Option<oneshot::Sender<Result<Outcome, Failure>>>,
    since: Instant,
}

#[derive(Debug)]
pub(super) enum WorkerJob {
    Commands { commands: Vec<Command>, reply: oneshot::Sender<Result<Vec<Judged>, Failure>> },
    Chore { chore: Chore, reply: oneshot::Sender<Result<bool, Failure>> },
}

#[derive(Debug)]
pub(super) struct Queues {
    callers: mpsc::Receiver<CallerJob>,
    workers: mpsc::Receiver<WorkerJob>,
    /// The most callers' commands in a batch.
    batch_max: usize,
    pub(super) closing: Arc<Notify>,
}

pub(super) fn queues(callers_max: usize, batch_max: usize) -> (Engine, Queues) {
    let (callers, callers_queue) = mpsc::channel(callers_max);
    let (workers, workers_queue) = mpsc::channel(WORKER_QUEUE);
    let closing = Arc::new(Notify::new());
    let queues =
        Queues { callers: callers_queue, workers: workers_queue, batch_max, closing: closing.clone() };
    (Engine { callers, workers, closing }, queues)
}

impl Engine {
    /// A caller's command: answered once it is durable, or refused at once when too many wait.
    pub async fn submit(&self, command: Command) -> Result<Outcome, Failure> {
        let (reply, answer) = oneshot::channel();
        let job = CallerJob { command, reply: Some(reply), since: Instant::now() };
        self.callers.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Closed(_) => Failure::Overloaded,
        })?;
        // A reply that is dropped unanswered means that the engine has died.
        answer.await.unwrap_or(Err(Failure::Internal))
    }

    /// Commands of a worker, decided and committed together. Waits for room.
    pub async fn apply(&self, commands: Vec<Command>) -> Result<Vec<Judged>, Failure> {
        let (reply, answer) = oneshot::channel();
        let job = WorkerJob::Commands { commands, reply };
        self.workers.send(job).await.map_err(|_| Failure::Overloaded)?;
        answer.await.unwrap_or(Err(Failure::Internal))
    }

    /// Whether commands are taken in.
    pub fn is_open(&self) -> bool {
        !self.callers.is_closed()
    }

    /// Takes nothing more in. What waits is still carried out and answered, then the loop ends.
    pub fn close(&self) {
        self.closing.notify_one();
    }

    /// A chore, done between batches. Waits for room. Says whether there may be more of it to do.
    pub async fn chore(&self, chore: Chore) -> Result<bool, Failure> {
        let (reply, answer) = oneshot::channel();
        self.workers.send(WorkerJob::Chore { chore, reply }).await.map_err(|_| Failure::Overloaded)?;
        answer.await.unwrap_or(Err(Failure::Internal))
    }
}

impl Queues {
    /// Waits for the first job. Returns `false` once the engine was closed and nothing waits any more.
    pub(super) async fn wait(&mut self, batch: &mut Batch) -> bool {
        loop {
            let open = !self.workers.is_closed();
            tokio::select! {
                biased;
                taken = self.callers.recv_many(&mut batch.callers, self.batch_max) => {
                    // None: closed, and every caller was served. The workers' rest comes last.
                    return taken > 0 || self.workers.recv_many(&mut batch.workers, WORKER_JOBS_MAX).await > 0;
                }
                taken = self.workers.recv_many(&mut batch.workers, WORKER_JOBS_MAX), if open => {
                    if taken > 0 {
                        return true;
                    }
                }
                () = self.closing.notified(), if open => {
                    self.callers.close();
                    self.workers.close();
                }
            }
        }
    }

    /// Waits a moment for callers' commands. What a waiting caller would lose by it, nobody waits for.
    pub(super) async fn wait_for_company(&mut self, batch: &mut Batch, wait: Duration) {
        if !self.callers.is_closed() {
            let _ =
                tokio::time::timeout(wait, self.callers.recv_many(&mut batch.callers, self.batch_max)).await;
        }
    }

    /// How many jobs wait right now.
    pub(super) fn waiting(&self) -> usize {
        self.callers.len() + self.workers.len()
    }

    /// Adds what waits right now.
    pub(super) fn take(&mut self, mut batch: Batch) -> Batch {
        while batch.callers.len() < self.batch_max
            && let Ok(job) = self.callers.try_recv()
        {
            batch.callers.push(job);
        }
        while batch.workers.len() < WORKER_JOBS_MAX
            && let Ok(job) = self.workers.try_recv()
        {
            batch.workers.push(job);
        }
        batch
    }
}

impl CallerJob {
    pub(super) fn command(&self) -> &Command {
        &self.command
    }

    /// Tells a caller who has waited too long that nothing was done. Returns whether that was so.
    pub(super) fn refuse_if_older_than(&mut self, age: Duration, now: Instant) -> bool {
        let too_old = now.duration_since(self.since) > age;
        if too_old && let Some(reply) = self.reply.take() {
            let _ = reply.send(Err(Failure::Overloaded));
        }
        too_old
    }

    /// A caller who has gone away does not hear the answer; what was committed stays.
    pub(super) fn answer(self, answer: Judged) {
        if let Some(reply) = self.reply {
            let _ = reply.send(answer.map_err(Failure::Rejected));
        }
    }

    pub(super) fn fail(self) {
        if let Some(reply) = self.reply {
            let _ = reply.send(Err(Failure::Internal));
        }
    }
}

impl WorkerJob {
    pub(super) fn is_chore(&self) -> bool {
        matches!(self, WorkerJob::Chore { .. })
    }

    pub(super) fn commands(&self) -> &[Command] {
        match self {
            WorkerJob::Commands { commands, .. } => commands,
            WorkerJob::Chore { .. } => &[],
        }
    }

    pub(super) fn answer(self, answers: Vec<Judged>) {
        if let WorkerJob::Commands { reply, .. } = self {
            let _ = reply.send(Ok(answers));
        }
    }

    pub(super) fn fail(self) {
        match self {
            WorkerJob::Commands { reply, .. } => drop(reply.send(Err(Failure::Internal))),
            WorkerJob::Chore { reply, .. } => drop(reply.send(Err(Failure::Internal))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chappe_core::Mode;
    use chappe_core::command::Caller;

    #[tokio::test]
    async fn a_batch_holds_no_more_than_its_bound_and_the_rest_waits() {
        let (engine, mut queues) = queues(8, 2);
        for _ in 0..3 {
            let engine = engine.clone();
            let caller = Caller { account: AccountId(100), token: TokenId(1), mode: Mode::Live };
            tokio::spawn(async move { engine.submit(Command::Balance { caller }).await });
            tokio::task::yield_now().await;
        }
        let mut first = Batch::default();
        assert!(queues.wait(&mut first).await);
        let first = queues.take(first);
        assert_eq!((first.callers.len(), queues.waiting()), (2, 1));
        let second = queues.take(Batch::default());
        assert_eq!((second.callers.len(), queues.waiting()), (1, 0));
    }
}
