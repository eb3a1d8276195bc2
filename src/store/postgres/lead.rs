//! Something that one server alone may do at a time: a lock that lives as long as a connection does.

use super::Reader;
use super::connect;
use crate::store::records::StoreError;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_postgres::{Client, Notification};

/// How often a server that waits for its turn looks whether it has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the connection is asked whether it still lives: a lock that PostgreSQL has given to another server, since
/// this one is cut off, shall not be taken for ours for much longer.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long it may take to say so.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// A turn, as long as the connection lives.
#[derive(Debug)]
pub struct Lead {
    client: Client,
    /// Closes when the connection is lost.
    connection: mpsc::Receiver<Notification>,
}

impl Reader {
    /// See [`super::super::Reader::lead`].
    pub async fn lead(&self, what: &str) -> Result<Lead, StoreError> {
        let (client, connection) = connect::listening(&self.address).await?;
        let take = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
        let name = format!("chappe: {what}");
        while !client.query_one(take, &[&name]).await?.try_get::<_, bool>(0)? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(Lead { client, connection })
    }
}

impl Lead {
    /// Returns once the turn is over: the connection is lost, or does not answer.
    pub async fn lost(&mut self) {
        loop {
            tokio::select! {
                // Nobody notifies here.
                heard = self.connection.recv() => if heard.is_none() { return },
                () = tokio::time::sleep(ASK_EVERY) => {
                    let answer = tokio::time::timeout(ANSWER_MAX, self.client.simple_query("")).await;
                    if !matches!(answer, Ok(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }
}
