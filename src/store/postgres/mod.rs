//! PostgreSQL: for several servers over one database. They share nothing else: what one must not do while another does
//! it is a lock of a row, taken in one order by all.
//!
//! A batch is two round trips, however many commands are in it: `load` begins it, locks and reads; `save` writes and
//! commits. One that only reads is one. What came of a commit whose connection was lost is found out (`node`) before anything is answered.

mod address;
mod admin;
mod audit;
mod batch;
mod bell;
mod connect;
pub(super) mod copy;
mod error;
mod lead;
mod load;
mod migrate;
mod node;
mod reads;
mod rows;
mod save;
mod statement;
mod statements;
mod subscribers;

pub use bell::{Bell, TEXT_MAX_BYTES};
pub use lead::Lead;
pub use migrate::bring_up_to_date;

use super::records::StoreError;
use crate::vault::Vault;
use address::Address;
use chappe_core::RequestId;
use connect::{Backend, Session};
use deadpool_postgres::{Pool, PoolError};
use node::{Lane, SharedLane};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;

/// How long a batch tries: to reach the database, and to get past other servers.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long it tries while the last one did not get through either: callers are waiting, and more come.
const PATIENCE_WHILE_AWAY: Duration = Duration::from_secs(1);
/// The pause before the second attempt to connect; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long one round trip of the writer may take. The server gives up a statement earlier than that.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(8);
/// How long a connection may take to show that it lives, or a new one to tell where the lane stands.
const PROOF_MAX: Duration = Duration::from_secs(3);

/// What the libraries that speak to PostgreSQL may log, unless the operator says otherwise: a lost connection is told
/// by whoever needed it.
pub const QUIET: &str = "tokio_postgres=warn,deadpool_postgres=error";

/// The writing connection.
#[derive(Debug)]
pub struct Writer {
    address: Address,
    runtime: Handle,
    vault: Vault,
    /// The connection, while nobody uses it. Whoever takes it brings it back only if it is known to be in order, so
    /// that one that was left in the middle of something is never used again.
    session: Option<Session>,
    /// The process behind the connection that was lost: it may still hold locks, or commit.
    lost: Option<Backend>,
    /// Held as long as this process serves the database.
    lane: Option<Lane>,
    shared_lane: Arc<SharedLane>,
    /// The batch of which it could not be found out whether it was committed, by its mark.
    doubt: Option<i64>,
    /// Whether the last batch could not reach the database.
    away: bool,
    /// How long messages to a number are counted.
    sends_window: Duration,
    patience: Duration,
}

/// Reading connections: a few, shared by whoever reads.
#[derive(Clone)]
pub struct Reader {
    address: Arc<Address>,
    pool: Pool,
    vault: Vault,
    lane: Arc<SharedLane>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader(…)")
    }
}

impl Writer {
    /// Connects to the database that `url` names, and brings it up to date.
    pub async fn open(url: &str, vault: Vault) -> Result<Writer, StoreError> {
        let address = Address::parse(url)?;
        let runtime = Handle::current();
        let mut session =
            Session::open(&address, &runtime).await.map_err(|error| error.at(&address.place))?;
        migrate::migrate(&mut session.client, &vault).await.map_err(|error| error.at(&address.place))?;
        Ok(Writer {
            address,
            runtime,
            vault,
            session: Some(session),
            lost: None,
            lane: None,
            shared_lane: Arc::default(),
            doubt: None,
            away: false,
            sends_window: Duration::ZERO,
            patience: PATIENCE,
        })
    }

    /// See [`super::Store::start_serving`]. Leases of servers that are gone lapse by themselves: another server may be
    /// at work on what is leased.
    pub async fn start_serving(&mut self, sends_window: Duration) -> Result<(), StoreError> {
        if self.lane.is_some() {
            return Ok(());
        }
        let mut session = self.connected().await?;
        warn_of_settings(&session).await?;
        session.prepare().await?;
        // Long enough for the lane of a server that crashed a moment ago.
        let lane = node::take_lane(&session.client, self.patience * 2).await?;
        // A copy may have begun since the database was opened: it looks for lanes after it has said so.
        if let Err(error) = migrate::refuse_half_copied(&session.client).await {
            node::give_up(&session.client, &lane).await?;
            return Err(error);
        }
        tracing::info!(lane = lane.number, database = self.address.place, "this server took its lane");
        // Set once: a writer takes a lane once, and loses it for good.
        let _ = self.shared_lane.set((lane.number, lane.holder.clone()));
        self.lane = Some(lane);
        self.session = Some(session);
        self.sends_window = sends_window;
        Ok(())
    }

    /// Gives the lane up: called once everything is done.
    pub async fn settle(&mut self) -> Result<(), StoreError> {
        if self.lane.is_none() {
            return Ok(());
        }
        let session = self.connected().await?;
        if let Some(lane) = self.lane.take() {
            node::give_up(&session.client, &lane).await?;
        }
        self.session = Some(session);
        Ok(())
    }

    /// The lane of this server's request ids.
    pub fn lane(&self) -> u8 {
        self.lane.as_ref().map_or(0, |lane| lane.number)
    }

    /// Lets batches try for longer or shorter than they do by themselves.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// A reader beside this writer.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        let pool = connect::pool(&self.address)?;
        Ok(Reader {
            address: Arc::new(self.address.clone()),
            pool,
            vault: self.vault.clone(),
            lane: self.shared_lane.clone(),
        })
    }

    /// See [`super::Store::last_request`].
    pub async fn last_request(&mut self) -> Result<Option<RequestId>, StoreError> {
        self.work(async |client| {
            let last: Option<i64> = client.query_one("SELECT max(id) FROM request", &[]).await?.try_get(0)?;
            Ok(last.and_then(RequestId::from_number))
        })
        .await
    }

    fn deadline(&self) -> Instant {
        Instant::now() + if self.away { PATIENCE_WHILE_AWAY.min(self.patience) } else { self.patience }
    }

    /// Work that is no batch, and is not tried again. Like a batch, it keeps nobody waiting for long: a database that
    /// takes everything in and answers nothing must not hold up the callers behind it.
    async fn work<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = match self.connected().await {
            Ok(mut session) => match timeout(ROUND_TRIP_MAX, work(&mut session.client)).await {
                Ok(done) => {
                    self.session = Some(session);
                    done
                }
                Err(_) => {
                    self.lose(session);
                    Err(late())
                }
            },
            Err(error) => Err(error),
        };
        self.away = done.as_ref().is_err_and(StoreError::is_away);
        done
    }

    /// The connection, for work that is not tried again: it has just proven that it lives.
    async fn connected(&mut self) -> Result<Session, StoreError> {
        let deadline = self.deadline();
        let session = self.connected_by(deadline).await?;
        if matches!(timeout(PROOF_MAX, session.client.batch_execute("")).await, Ok(Ok(()))) {
            return Ok(session);
        }
        self.lose(session);
        self.connected_by(deadline).await
    }

    /// The connection, made anew if it was lost. To be brought back to `session` when it is in order.
    async fn connected_by(&mut self, deadline: Instant) -> Result<Session, StoreError> {
        if let Some(session) = self.session.take() {
            if !session.client.is_closed() {
                return Ok(session);
            }
            self.lose(session);
        }
        let mut pause = PAUSE_MIN;
        loop {
            let error = match self.connect_anew().await {
                Ok(Some(session)) => return Ok(session),
                Ok(None) => StoreError::Busy,
                Err(error @ StoreError::Unreachable(_)) => error,
                Err(error) => return Err(error.at(&self.address.place)),
            };
            if Instant::now() + pause >= deadline {
                return Err(error.at(&self.address.place));
            }
            tracing::debug!(%error, "the database cannot be reached; trying again");
            tokio::time::sleep(pause).await;
            pause = PAUSE_MAX.min(pause * 2);
        }
    }

    /// Connects, and finds out where this server's lane stands. Says `None` if the transaction of the connection that
    /// was lost is still under way.
    async fn connect_anew(&mut self) -> Result<Option<Session>, StoreError> {
        let session = Session::open(&self.address, &self.runtime).await?;
        if let Some(lane) = &mut self.lane {
            let committed = node::committed(&session.client, lane, self.lost.as_ref());
            let Some(mark) = timeout(PROOF_MAX, committed).await.map_err(|_| late())?? else {
                return Ok(None);
            };
            lane.mark = mark;
            if let Some(doubt) = self.doubt.take() {
                tracing::warn!(committed = doubt == mark, "what was in doubt was found out");
            }
        }
        self.lost = None;
        Ok(Some(session))
    }

    fn lose(&mut self, session: Session) {
        self.lost = Some(session.backend);
    }
}

fn late() -> StoreError {
    StoreError::Unreachable("it did not answer in time".to_owned())
}

/// Says what of the server's settings breaks promises that are made to callers.
async fn warn_of_settings(session: &Session) -> Result<(), StoreError> {
    let row =
        session.client.query_one("SELECT current_setting('fsync'), current_setting('full_page_writes')", &[]);
    let row = row.await?;
    if row.try_get::<_, &str>(0)? != "on" || row.try_get::<_, &str>(1)? != "on" {
        tracing::warn!(
            "fsync or full_page_writes is off at the database: a crash of its machine loses what was answered"
        );
    }
    Ok(())
}

impl Reader {
    /// Connects to the database that `url` names, to read.
    pub async fn open(url: &str, vault: Vault) -> Result<Reader, StoreError> {
        let address = Address::parse(url)?;
        let pool = connect::pool(&address)?;
        let reader = Reader { address: Arc::new(address), pool, vault, lane: Arc::default() };
        let place = &reader.address.place;
        let connection = reader.connection().await.map_err(|error| error.at(place))?;
        migrate::check(&connection, &reader.vault).await?;
        drop(connection);
        Ok(reader)
    }

    async fn connection(&self) -> Result<deadpool_postgres::Object, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error.into(),
            error => StoreError::Unreachable(error.to_string()),
        })
    }

    /// Shows the other servers that this one is there.
    pub async fn keep_lane(&self) -> Result<(), StoreError> {
        if let Some((number, holder)) = self.lane.get() {
            node::show(&*self.connection().await?, *number, holder).await?;
        }
        Ok(())
    }
}
