//! The servers of a database: each holds one of its lanes, so that no two draw the same request id, and counts its
//! batches there, so that whether one was committed can be found out.

use super::connect::Backend;
use super::error::{Nature, nature};
use crate::store::records::StoreError;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::{Client, Error, GenericClient};

/// How long a server may not be seen before another may take its lane, by the database's clock. Short, lest a server that
/// crashes a few times in a row leaves no lane for anybody: what must not happen twice does not depend on it.
const UNSEEN_MAX_S: i32 = 10;
/// How often a server that starts looks for a lane when none is free.
const LANE_PAUSE: Duration = Duration::from_millis(250);

/// A lane that this server holds.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) number: u8,
    /// A text that no other holder has ever had.
    pub(super) holder: String,
    /// How many batches of this lane were committed.
    pub(super) mark: i64,
}

/// The lane of a writer, as its readers know it.
pub(super) type SharedLane = OnceLock<(u8, String)>;

/// The clock of the database, in microseconds.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Counts a batch. The lane's row was locked when the batch was loaded, and its holder found to be us.
pub(super) const MARK: &str = "UPDATE node SET mark = $2,
         seen_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
     WHERE lane = $1::smallint";

/// Takes a lane: a free one if there is one, so that a server that was cut off finds its own again, or else the one whose
/// holder was unseen for the longest time. If all are held, it waits: those of servers that crashed are free soon.
pub(super) async fn take_lane(client: &Client, patience: Duration) -> Result<Lane, StoreError> {
    let until = Instant::now() + patience;
    loop {
        match try_lane(client).await {
            Err(StoreError::NoLane) if Instant::now() < until => tokio::time::sleep(LANE_PAUSE).await,
            done => return done,
        }
    }
}

async fn try_lane(client: &Client) -> Result<Lane, StoreError> {
    let take = format!(
        "UPDATE node SET holder = gen_random_uuid()::text, seen_at = {NOW}
         WHERE lane = (SELECT lane FROM node
                       WHERE holder IS NULL OR seen_at < {NOW} - {UNSEEN_MAX_S} * 1000000::bigint
                       ORDER BY holder IS NOT NULL, CASE WHEN holder IS NOT NULL THEN seen_at END, lane
                       LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING lane, holder, mark"
    );
    let row = client.query_opt(&take, &[]).await?.ok_or(StoreError::NoLane)?;
    let number: i16 = row.try_get(0)?;
    Ok(Lane { number: number as u8, holder: row.try_get(1)?, mark: row.try_get(2)? })
}

/// Whether a server is there.
pub(super) async fn any_held(client: &impl GenericClient) -> Result<bool, Error> {
    let find = format!(
        "SELECT EXISTS (SELECT FROM node
                        WHERE holder IS NOT NULL AND seen_at >= {NOW} - {UNSEEN_MAX_S} * 1000000::bigint)"
    );
    client.query_one(&find, &[]).await?.try_get(0)
}

/// Gives a lane up, so that the next server need not wait until it was unseen for long.
pub(super) async fn give_up(client: &Client, lane: &Lane) -> Result<(), Error> {
    let give_up = "UPDATE node SET holder = NULL WHERE lane = $1 AND holder = $2";
    client.execute(give_up, &[&i16::from(lane.number), &lane.holder]).await.map(|_| ())
}

/// Shows that the holder of a lane is there, also while it has nothing to do.
pub(super) async fn show(client: &Client, number: u8, holder: &str) -> Result<(), Error> {
    let show = format!("UPDATE node SET seen_at = {NOW} WHERE lane = $1 AND holder = $2");
    client.execute(&show, &[&i16::from(number), &holder]).await.map(|_| ())
}

/// Finds out, over a new connection, how many batches of a lane were committed. A transaction of the connection before
/// may still be running, and commit later: it is ended first, and its lock of the lane's row is waited for. Says `None`
/// if it is still held.
pub(super) async fn committed(
    client: &Client,
    lane: &Lane,
    before: Option<&Backend>,
) -> Result<Option<i64>, StoreError> {
    if let Some(backend) = before {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE pid = $1 AND backend_start::text = $2";
        // Fails if its user may not: then it is waited for all the longer.
        if let Err(error) = client.query(end, &[&backend.pid, &backend.started]).await
            && nature(&error) == Nature::Lost
        {
            return Err(error.into());
        }
    }
    let find = "SELECT holder, mark FROM node WHERE lane = $1 FOR UPDATE";
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = '1s'").await?;
    let found = client.query_opt(find, &[&i16::from(lane.number)]).await;
    client.batch_execute("ROLLBACK").await?;
    match found {
        Ok(Some(row)) if row.try_get::<_, Option<&str>>(0)? == Some(&lane.holder) => {
            Ok(Some(row.try_get(1)?))
        }
        Ok(_) => Err(StoreError::LaneLost(lane.number)),
        Err(error) if nature(&error) == Nature::InTheWay => Ok(None),
        Err(error) => Err(error.into()),
    }
}
