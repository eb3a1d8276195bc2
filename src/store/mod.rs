//! The seam to the database: load the rows that a batch touches, save what it changed, read what workers and people ask.
//!
//! A [`Store`] is this process's one writer; a [`Reader`] reads beside it. Both are closed enums over the databases there
//! are, and async because a database may be a network away. Everything on disk that is secret is sealed on its way in and
//! opened on its way out, here and nowhere else.

#[cfg(feature = "simulation")]
pub mod asked;
mod audit;
mod columns;
pub mod console;
mod copy;
pub mod postgres;
mod records;
pub mod sqlite;
mod statement;

pub use copy::{Copied, CopiedTable, CopyOptions, copy};
pub use postgres::{Bell, TEXT_MAX_BYTES};
pub use records::{
    AccountRow, AuditFinding, BackedUp, BookingRow, Busy, DueReport, Migration, NewToken, Progress,
    PurgeBefore, RequestRow, SandboxRow, StoreError, SubscriberRow, TokenRow, TokenUse,
};
pub use statement::{Cell, Change, Columns, Row, Statement};

use crate::vault::Vault;
use chappe_core::text::ChannelName;
use chappe_core::{AccountId, Book, Keys, Mode, News, Phone, RequestId, Time, TokenId};
use std::path::Path;
use std::time::Duration;

/// The one writer of a database.
#[derive(Debug)]
pub enum Store {
    /// A SQLite file.
    Sqlite(Box<sqlite::Writer>),
    /// A PostgreSQL database.
    Postgres(Box<postgres::Writer>),
}

/// A reader beside the writer.
#[derive(Clone, Debug)]
pub enum Reader {
    /// A SQLite file.
    Sqlite(sqlite::Reader),
    /// A PostgreSQL database.
    Postgres(postgres::Reader),
}

/// What makes the commits of a [`Store`] durable; see [`Store::log`].
#[derive(Debug)]
pub enum Log {
    /// A SQLite file's write-ahead log.
    Sqlite(sqlite::Log),
    /// Nothing: a commit is as durable as it is going to be once it returns.
    AtOnce,
    /// A disk that says when a flush has begun, and ends it when a test lets it.
    #[cfg(feature = "simulation")]
    Held(std::sync::mpsc::Sender<()>, std::sync::Mutex<std::sync::mpsc::Receiver<Result<(), StoreError>>>),
}

impl Log {
    /// Returns once every commit before this call is on the disk. May be called beside the writer, from another thread.
    pub fn flush(&self) -> Result<(), StoreError> {
        match self {
            Log::Sqlite(log) => log.flush(),
            Log::AtOnce => Ok(()),
            #[cfg(feature = "simulation")]
            Log::Held(begun, released) => {
                // A test that listens no more has let everything go.
                let _ = begun.send(());
                let released = released.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                released.recv().unwrap_or(Ok(()))
            }
        }
    }
}

/// That this server is the one that does something; see [`Reader::lead`].
#[derive(Debug)]
pub enum Lead {
    /// There can be no other.
    Alone,
    /// As long as a connection lives.
    Postgres(postgres::Lead),
}

impl Lead {
    /// Returns once another server may have taken over. Whoever leads should look at this all the time.
    pub async fn lost(&mut self) {
        match self {
            Lead::Alone => std::future::pending().await,
            Lead::Postgres(lead) => lead.lost().await,
        }
    }
}

/// How hard a commit tries to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A commit is on the disk before it is answered.
    Full,
    /// A commit survives the process, not the machine. For simulation alone.
    ProcessOnly,
}

impl Store {
    /// Opens the SQLite file in `directory`, creates it or brings it up to date.
    pub fn open_sqlite(directory: &Path, vault: Vault, durability: Durability) -> Result<Store, StoreError> {
        Ok(Store::Sqlite(Box::new(sqlite::Writer::open(directory, vault, durability)?)))
    }

    /// Connects to the PostgreSQL database that `url` names, and brings it up to date.
    pub async fn open_postgres(url: &str, vault: Vault) -> Result<Store, StoreError> {
        Ok(Store::Postgres(Box::new(postgres::Writer::open(url, vault).await?)))
    }

    /// Becomes a server of this database. On SQLite no other process may be one, so leases of a process that is gone are
    /// void; on PostgreSQL there is a lane for each of a few. The messages of the last `sends_window` are counted towards
    /// the limit of their numbers.
    pub async fn start_serving(&mut self, now: Time, sends_window: Duration) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.start_serving(now, sends_window),
            Store::Postgres(writer) => writer.start_serving(sends_window).await,
        }
    }

    /// The lane of this server's request ids; see [`RequestId::LANES`].
    pub fn lane(&self) -> u8 {
        match self {
            Store::Sqlite(_) => 0,
            Store::Postgres(writer) => writer.lane(),
        }
    }

    /// What makes this store's commits durable from now on: [`Store::transact`] and every other write leave that to whoever
    /// called this, so that the disk can work on one batch while the next is decided.
    pub fn log(&self) -> Result<Log, StoreError> {
        match self {
            Store::Sqlite(writer) => writer.log(),
            Store::Postgres(_) => Ok(Log::AtOnce),
        }
    }

    /// The most callers' commands that a batch is to hold. Over a connection the trip is what costs, so a batch takes
    /// whatever waits. On a disk of this machine, several smaller ones keep the engine, the disk and the callers busy at
    /// the same time, where a single large one lets each wait for the others.
    pub fn batch_max(&self) -> usize {
        match self {
            Store::Sqlite(_) => 64,
            Store::Postgres(_) => 1_024,
        }
    }

    /// Leaves the database in order, once there is nothing more to do: files that can be copied as far as readers allow,
    /// a lane that another server can take.
    pub async fn settle(&mut self) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.fold_log(),
            Store::Postgres(writer) => writer.settle().await,
        }
    }

    /// One batch: loads the rows of `keys`, lets `decide` change them in memory, saves what changed and commits. Only
    /// when this returns `Ok` did anything happen; once somebody has asked for the [`Log`], it is durable only after the
    /// next [`Log::flush`]. `decide` may be called again if the database asks for a retry.
    pub async fn transact<R>(
        &mut self,
        keys: &Keys,
        decide: impl FnMut(&mut Book) -> R,
    ) -> Result<(R, News), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.transact(keys, decide),
            Store::Postgres(writer) => writer.transact(keys, decide).await,
        }
    }

    /// A reader beside this writer.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        match self {
            Store::Sqlite(writer) => Ok(Reader::Sqlite(writer.reader()?)),
            Store::Postgres(writer) => Ok(Reader::Postgres(writer.reader()?)),
        }
    }

    /// The highest request id in use.
    pub async fn last_request(&mut self) -> Result<Option<RequestId>, StoreError> {
        match self {
            Store::Sqlite(writer) => writer.last_request(),
            Store::Postgres(writer) => writer.last_request().await,
        }
    }

    /// Notes when and from where tokens were last used.
    pub async fn touch_tokens(&mut self, uses: &[TokenUse]) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.touch_tokens(uses),
            Store::Postgres(writer) => writer.touch_tokens(uses).await,
        }
    }

    /// Forgets a bounded part of what is no longer needed. Says whether there may be more.
    pub async fn purge(&mut self, before: PurgeBefore) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(writer) => writer.purge(before),
            Store::Postgres(writer) => writer.purge(before).await,
        }
    }

    /// Notes that somebody subscribed to a channel. Whatever the number or the chat was subscribed as before gives way.
    pub async fn put_subscriber(&mut self, subscriber: &SubscriberRow) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.put_subscriber(subscriber),
            Store::Postgres(writer) => writer.put_subscriber(subscriber).await,
        }
    }

    /// Forgets a subscriber; says whether there was one.
    pub async fn remove_subscriber(
        &mut self,
        channel: &ChannelName,
        chat_id: i64,
    ) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(writer) => writer.remove_subscriber(channel, chat_id),
            Store::Postgres(writer) => writer.remove_subscriber(channel, chat_id).await,
        }
    }

    /// Notes that the channel may write to a subscriber no more; says whether that was news.
    pub async fn block_subscriber(
        &mut self,
        channel: &ChannelName,
        chat_id: i64,
    ) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(writer) => writer.block_subscriber(channel, chat_id),
            Store::Postgres(writer) => writer.block_subscriber(channel, chat_id).await,
        }
    }

    /// Empties a bounded part of the sandbox's inbox, of one account or of all. Says whether there may be more.
    pub async fn clear_sandbox(&mut self, account: Option<AccountId>) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(writer) => writer.clear_sandbox(account),
            Store::Postgres(writer) => writer.clear_sandbox(account).await,
        }
    }

    /// Notes what the database is for, `dev` or `serve`, and refuses the other from then on: development fills accounts
    /// with money and shows codes. One with customers that development did not make is for `serve`, noted or not.
    pub async fn claim_for(&mut self, purpose: &str) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.claim_for(purpose),
            Store::Postgres(writer) => writer.claim_for(purpose).await,
        }
    }

    /// Creates a customer with a live account and its test twin.
    pub async fn create_customer(&mut self, name: &str, now: Time) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.create_customer(name, now),
            Store::Postgres(writer) => writer.create_customer(name, now).await,
        }
    }

    /// Sets or takes away an account's own number.
    pub async fn set_own_number(
        &mut self,
        account: AccountId,
        phone: Option<Phone>,
    ) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.set_own_number(account, phone),
            Store::Postgres(writer) => writer.set_own_number(account, phone).await,
        }
    }

    /// Sets whether a right code of this account is good for one use only.
    pub async fn set_single_use(&mut self, account: AccountId, single_use: bool) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.set_single_use(account, single_use),
            Store::Postgres(writer) => writer.set_single_use(account, single_use).await,
        }
    }

    /// Creates a token.
    pub async fn create_token(&mut self, token: &NewToken<'_>, now: Time) -> Result<TokenId, StoreError> {
        match self {
            Store::Sqlite(writer) => writer.create_token(token, now),
            Store::Postgres(writer) => writer.create_token(token, now).await,
        }
    }

    /// Lets a token end at `at`; at once if that is not ahead. A token that ends earlier keeps its end.
    pub async fn end_token(&mut self, token: TokenId, at: Time, now: Time) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.end_token(token, at, now),
            Store::Postgres(writer) => writer.end_token(token, at, now).await,
        }
    }

    /// Limits a token to these addresses and ranges; none means from anywhere.
    pub async fn allow_token(&mut self, token: TokenId, allowed: &[ipnet::IpNet]) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.allow_token(token, allowed),
            Store::Postgres(writer) => writer.allow_token(token, allowed).await,
        }
    }

    /// Registers a sender channel, or changes whether it is verified.
    pub async fn put_sender(
        &mut self,
        account: AccountId,
        username: &chappe_core::text::Username,
        verified: bool,
        now: Time,
    ) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(writer) => writer.put_sender(account, username, verified, now),
            Store::Postgres(writer) => writer.put_sender(account, username, verified, now).await,
        }
    }

    /// Takes a sender channel away; says whether there was one.
    pub async fn remove_sender(
        &mut self,
        account: AccountId,
        username: &chappe_core::text::Username,
    ) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(writer) => writer.remove_sender(account, username),
            Store::Postgres(writer) => writer.remove_sender(account, username).await,
        }
    }

    /// Carries a change out, as a whole or not at all. Says whether every step that must touch a row found one; if not,
    /// nothing was done.
    pub async fn change(&mut self, change: &Change) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(writer) => writer.change(change),
            Store::Postgres(writer) => writer.change(change).await,
        }
    }

    /// Makes the next commits fail, for simulation.
    #[cfg(feature = "simulation")]
    pub fn fail_next_commit(&mut self) {
        match self {
            Store::Sqlite(writer) => writer.fail_next_commit = true,
            Store::Postgres(_) => {}
        }
    }
}

impl Reader {
    /// The rows that a statement gives.
    pub async fn rows(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.rows(statement),
            Reader::Postgres(reader) => reader.rows(statement).await,
        }
    }

    /// Requests that are due at `now`, the longest due first.
    pub async fn due_requests(&self, now: Time, limit: usize) -> Result<Vec<RequestId>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.due_requests(now, limit),
            Reader::Postgres(reader) => reader.due_requests(now, limit).await,
        }
    }

    /// When the next request is due.
    pub async fn next_due_request(&self) -> Result<Option<Time>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.next_due_request(),
            Reader::Postgres(reader) => reader.next_due_request().await,
        }
    }

    /// Reports that are due at `now`, each the first open one of its request; none of those that are `busy`.
    pub async fn due_reports(
        &self,
        now: Time,
        busy: &Busy,
        limit: usize,
    ) -> Result<Vec<DueReport>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.due_reports(now, busy, limit),
            Reader::Postgres(reader) => reader.due_reports(now, busy, limit).await,
        }
    }

    /// When the next report is due after `now`.
    pub async fn next_due_report(&self, now: Time) -> Result<Option<Time>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.next_due_report(now),
            Reader::Postgres(reader) => reader.next_due_report(now).await,
        }
    }

    /// A number that changes whenever a token does.
    pub async fn tokens_version(&self) -> Result<i64, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.tokens_version(),
            Reader::Postgres(reader) => reader.tokens_version().await,
        }
    }

    /// All tokens, or those of one account, with their texts.
    pub async fn tokens(&self, account: Option<AccountId>) -> Result<Vec<TokenRow>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.tokens(account),
            Reader::Postgres(reader) => reader.tokens(account).await,
        }
    }

    /// The accounts of all customers, or of one.
    pub async fn accounts(&self, customer: Option<&str>) -> Result<Vec<AccountRow>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.accounts(customer),
            Reader::Postgres(reader) => reader.accounts(customer).await,
        }
    }

    /// One account of a customer.
    pub async fn account(&self, customer: &str, mode: Mode) -> Result<AccountRow, StoreError> {
        let accounts = self.accounts(Some(customer)).await?;
        let account = accounts.into_iter().find(|account| account.mode == mode);
        account.ok_or_else(|| StoreError::NotFound(format!("there is no customer named {customer:?}")))
    }

    /// What was booked for a reference, if anything was.
    pub async fn booking(&self, reference: &str) -> Result<Option<BookingRow>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.booking(reference),
            Reader::Postgres(reader) => reader.booking(reference).await,
        }
    }

    /// A request with its timeline, for people.
    pub async fn request(&self, request: RequestId) -> Result<Option<RequestRow>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.request(request),
            Reader::Postgres(reader) => reader.request(request).await,
        }
    }

    /// Who can be reached at a number through a channel that serves subscribers alone.
    pub async fn subscriber(
        &self,
        channel: &ChannelName,
        phone: Phone,
    ) -> Result<Option<SubscriberRow>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.subscriber(channel, phone),
            Reader::Postgres(reader) => reader.subscriber(channel, phone).await,
        }
    }

    /// The request that a channel calls by this name, and which of its hops it was.
    pub async fn message_of(
        &self,
        channel: &ChannelName,
        reference: &str,
    ) -> Result<Option<(RequestId, u8)>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.message_of(channel, reference),
            Reader::Postgres(reader) => reader.message_of(channel, reference).await,
        }
    }

    /// Waits until this server is the one that does something that one alone may do at a time, and says so. Forget the
    /// wait, or drop what it returns, to leave it to another.
    pub async fn lead(&self, what: &str) -> Result<Lead, StoreError> {
        match self {
            // One process serves a database.
            Reader::Sqlite(_) => Ok(Lead::Alone),
            Reader::Postgres(reader) => reader.lead(what).await.map(Lead::Postgres),
        }
    }

    /// A bell between the servers of this database; `None` where there can be only one.
    pub async fn bell(&self) -> Result<Option<Bell>, StoreError> {
        match self {
            Reader::Sqlite(_) => Ok(None),
            Reader::Postgres(reader) => reader.bell().await.map(Some),
        }
    }

    /// Shows the other servers of this database that this one is there. To be called every few seconds.
    pub async fn keep_lane(&self) -> Result<(), StoreError> {
        match self {
            Reader::Sqlite(_) => Ok(()),
            Reader::Postgres(reader) => reader.keep_lane().await,
        }
    }

    /// Checks every invariant that the rows must hold, in one consistent view, also while a server runs. Calls
    /// `progress` with the name of each check before it begins. No findings: the books are right.
    pub async fn audit(&self, progress: impl FnMut(&str)) -> Result<Vec<AuditFinding>, StoreError> {
        match self {
            Reader::Sqlite(reader) => reader.audit(progress),
            Reader::Postgres(reader) => reader.audit(progress).await,
        }
    }
}
