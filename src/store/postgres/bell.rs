//! News between the servers of a database, past the rows: what their pages show live. Nothing depends on it. It is rung
//! outside of batches, since commits that notify wait for each other, over all servers.

use super::Reader;
use super::connect;
use crate::store::records::StoreError;
use tokio::sync::mpsc;
use tokio_postgres::{Client, Notification};

const CHANNEL: &str = "chappe";
/// The longest text that one ring takes, in bytes: PostgreSQL allows a little more.
pub const TEXT_MAX_BYTES: usize = 7_900;

/// A connection on which this server tells the others something, and hears them.
#[derive(Debug)]
pub struct Bell {
    client: Client,
    rung: mpsc::Receiver<Notification>,
    process: i32,
}

impl Reader {
    /// See [`super::super::Reader::bell`].
    pub async fn bell(&self) -> Result<Bell, StoreError> {
        let (client, rung) = connect::listening(&self.address).await?;
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        let process = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        Ok(Bell { client, rung, process })
    }
}

impl Bell {
    /// Tells every other server that listens now.
    pub async fn ring(&self, text: &str) -> Result<(), StoreError> {
        self.client.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &text]).await?;
        Ok(())
    }

    /// What another server tells; `None` once the connection is lost.
    pub async fn hear(&mut self) -> Option<String> {
        loop {
            let heard = self.rung.recv().await?;
            if heard.process_id() != self.process {
                return Some(heard.payload().to_owned());
            }
        }
    }
}
