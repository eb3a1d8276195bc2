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

    /// Those rows of the account $1 whose `key` is from $2 up to and without $3, in the order of the key: a condition, and what
    /// stands before the key in `ORDER BY`. An index of the account and the key serves both.
    ///
    /// PostgreSQL is asked for a range of pairs. If it were asked for an account, it might as well follow the keys of all
    /// accounts and leave those of others out, which are very many where an account was quiet of late. SQLite takes the
    /// index in any case, but finds the begin of a range of pairs by the account alone.
    fn keyed(&self, key: &str, order: &str) -> (String, String) {
        match self {
            Reader::Sqlite(_) => (format!("account_id = $1 AND {key} >= $2 AND {key} < $3"), String::new()),
            Reader::Postgres(_) => (
                format!("(account_id, {key}) >= ($1, $2) AND (account_id, {key}) < ($1, $3)"),
                format!("account_id {order}, "),
            ),
        }
    }
}
