//! Connections: the writer's own, and the readers' pool.

use super::address::Address;
use super::error::READ_ONLY;
use super::statements::Statements;
use crate::store::records::StoreError;
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use std::future::poll_fn;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, Notification};

/// The oldest server that is known to do.
const OLDEST_SERVER: i32 = 150_000;
/// How many reads of one kind (workers', pages') may run at once.
const READERS: usize = 4;
/// How long a reader waits for a free connection, or for one to prove that it lives.
const READER_WAIT: Duration = Duration::from_secs(5);

/// The session of the writer. Every statement of a batch looks rows up by their keys, and is planned once: what the
/// planner thinks of a table that was empty a minute ago must not turn into reading all of it. A server that has lost
/// its client in the middle of a batch must let go of its locks, before others that wait for them have lost patience.
const WRITER_SETTINGS: &str = "
    SET enable_seqscan = off;
    SET plan_cache_mode = force_generic_plan;
    SET jit = off;
    SET statement_timeout = '7s';
    SET lock_timeout = '5s';
    SET idle_in_transaction_session_timeout = '3s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";

/// How many notifications may wait to be heard.
const NOTIFICATIONS_MAX: usize = 256;

/// The sessions of readers. What pages ask is planned for its values, each time: a plan for any values does not know whether
/// a limit is 50 rows or all of them, and sorts an account's movements for one page.
const READER_SETTINGS: &str =
    "SET jit = off; SET plan_cache_mode = force_custom_plan; SET statement_timeout = '10s';";

/// A connection of the writer.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) backend: Backend,
    statements: Option<Statements>,
}

/// The process that serves a connection. Its start tells it from a later one with the same number, and from one of
/// another server.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) pid: i32,
    pub(super) started: String,
}

impl Session {
    /// Connects, on the runtime that `runtime` leads to: a connection must live on one that is there for good and can
    /// wait for the network, whichever runtime asks for it.
    pub(super) async fn open(address: &Address, runtime: &Handle) -> Result<Session, StoreError> {
        let (config, tls) = (address.config.clone(), address.tls.clone());
        let connecting = runtime.spawn(async move {
            let (client, connection) = config.connect(tls).await?;
            // Ends when the client is dropped, or when the connection is lost, which the next statement tells.
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the database was lost");
                }
            });
            // Before anything else: an older server does not know every setting.
            let backend = examine(&client).await?;
            client.batch_execute(WRITER_SETTINGS).await?;
            Ok::<_, StoreError>((client, backend))
        });
        let connected =
            tokio::time::timeout(address.connect_max(), connecting).await.map_err(|_| super::late())?;
        let (client, backend) = connected.map_err(|error| StoreError::Other(error.to_string()))??;
        Ok(Session { client, backend, statements: None })
    }

    /// Prepares the statements of batches, once.
    pub(super) async fn prepare(&mut self) -> Result<(), tokio_postgres::Error> {
        if self.statements.is_none() {
            self.statements = Some(Statements::prepare(&self.client).await?);
        }
        Ok(())
    }

    /// The statements, once they are prepared.
    pub(super) fn statements(&self) -> Result<&Statements, StoreError> {
        self.statements.as_ref().ok_or_else(|| StoreError::Other("statements are not prepared".to_owned()))
    }
}

/// A connection that also hears what others notify. What finds no room is dropped.
pub(super) async fn listening(
    address: &Address,
) -> Result<(Client, mpsc::Receiver<Notification>), StoreError> {
    let late = |_| StoreError::Unreachable("it did not answer in time".to_owned());
    let connecting = address.config.connect(address.tls.clone());
    let (client, mut connection) =
        tokio::time::timeout(address.connect_max(), connecting).await.map_err(late)??;
    let (heard, hearing) = mpsc::channel(NOTIFICATIONS_MAX);
    // Ends when the client is dropped, or when the connection is lost, which closes the channel.
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message
                && heard.try_send(notification).is_err()
            {
                tracing::debug!("news of another server found no room");
            }
        }
    });
    client.batch_execute(READER_SETTINGS).await?;
    Ok((client, hearing))
}

/// Looks at the server before anything is written: whether it can do, and which process of it serves us.
async fn examine(client: &Client) -> Result<Backend, StoreError> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer, pg_is_in_recovery(),
                 current_setting('server_encoding'), pg_backend_pid(),
                 (SELECT coalesce(backend_start::text, '') FROM pg_stat_activity WHERE pid = pg_backend_pid())",
            &[],
        )
        .await?;
    let (version, standby, encoding): (i32, bool, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if version < OLDEST_SERVER {
        let found = version / 10_000;
        return Err(StoreError::Refused(format!("it is PostgreSQL {found}; version 15 or newer is needed")));
    }
    if standby {
        return Err(StoreError::Refused(READ_ONLY.to_owned()));
    }
    if encoding != "UTF8" {
        let what = format!("the database's encoding is {encoding}; create it with ENCODING 'UTF8'");
        return Err(StoreError::Refused(what));
    }
    let started: Option<String> = row.try_get(4)?;
    Ok(Backend { pid: row.try_get(3)?, started: started.unwrap_or_default() })
}

/// A pool for reads. Its connections are made when they are first needed, on the runtime that reads.
pub(super) fn pool(address: &Address) -> Result<Pool, StoreError> {
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Verified };
    let manager = Manager::from_config(address.config.clone(), address.tls.clone(), manager);
    let settings = Hook::async_fn(|client, _| {
        Box::pin(async move { client.batch_execute(READER_SETTINGS).await.map_err(HookError::Backend) })
    });
    Pool::builder(manager)
        .max_size(READERS)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(READER_WAIT))
        .create_timeout(Some(address.connect_max()))
        .recycle_timeout(Some(READER_WAIT))
        .post_create(settings)
        .build()
        .map_err(|error| StoreError::Other(error.to_string()))
}
