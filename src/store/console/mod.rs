//! What the console reads and writes: people, their sessions, and what they look at. Each statement is one text for every
//! database; see `store::statement`.
//!
//! Reading is on [`super::Reader`]; what is written is made here as a [`super::Change`], for whoever has the writer.

pub mod audit_log;
pub mod movements;
pub mod operator;
pub mod payments;
pub mod people;
pub mod reports;
pub mod requests;
pub mod sandbox;
pub mod senders;
pub mod sessions;
pub mod statistics;
pub mod tokens;

use super::Reader;
use crate::vault::Vault;

impl Reader {
    /// The keys that rows are opened with.
    pub fn vault(&self) -> &Vault {
        match self {
            Reader::Sqlite(reader) => reader.vault(),
            Reader::Postgres(reader) => reader.vault(),
        }
    }
}
