//! What PostgreSQL and the way to it say, put into words that help.

use crate::store::records::StoreError;
use std::error::Error as _;
use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

/// What an error says about the connection that it came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// The statement failed, and its transaction with it. The connection lives.
    Statement,
    /// Another transaction was in the way: the same may succeed in a moment.
    InTheWay,
    /// The connection, or the server behind it, is gone or useless.
    Lost,
    /// It arose on this side: the server was told nothing of it.
    Local,
}

pub(super) fn nature(error: &Error) -> Nature {
    if let Some(said) = error.as_db_error() {
        let code = said.code();
        let in_the_way = [
            &SqlState::UNIQUE_VIOLATION,
            &SqlState::T_R_SERIALIZATION_FAILURE,
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::LOCK_NOT_AVAILABLE,
        ];
        // A server that was demoted keeps its connections; statements prepared before a migration are of no use.
        let useless = [
            &SqlState::READ_ONLY_SQL_TRANSACTION,
            &SqlState::FEATURE_NOT_SUPPORTED,
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        return match said.parsed_severity() {
            Some(Severity::Fatal | Severity::Panic) => Nature::Lost,
            _ if useless.contains(&code) || shutting_down(code) => Nature::Lost,
            _ if in_the_way.contains(&code) => Nature::InTheWay,
            _ => Nature::Statement,
        };
    }
    let of_network = error.source().is_some_and(|source| source.is::<std::io::Error>());
    if error.is_closed() || of_network { Nature::Lost } else { Nature::Local }
}

fn shutting_down(code: &SqlState) -> bool {
    [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::CANNOT_CONNECT_NOW].contains(&code)
}

impl From<Error> for StoreError {
    fn from(error: Error) -> StoreError {
        let Some(said) = error.as_db_error() else {
            return match nature(&error) {
                Nature::Lost => StoreError::Unreachable(causes(&error)),
                _ => StoreError::Other(causes(&error)),
            };
        };
        // The detail and the hint stay behind: they may quote what is in rows.
        let message = said.message();
        let code = said.code();
        let refused = |what: &str| StoreError::Refused(format!("{message}; {what}"));
        if *code == SqlState::DISK_FULL {
            refused("the disk is full: make room for the database")
        } else if [&SqlState::LOCK_NOT_AVAILABLE, &SqlState::QUERY_CANCELED, &SqlState::T_R_DEADLOCK_DETECTED]
            .contains(&code)
        {
            StoreError::Busy
        } else if [&SqlState::INVALID_PASSWORD, &SqlState::INVALID_AUTHORIZATION_SPECIFICATION]
            .contains(&code)
        {
            refused("check the user and the password in the database URL, and the server's pg_hba.conf")
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            refused("create it first: CREATE DATABASE … OWNER …")
        } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            refused("let the user in the database URL own the database, or grant it CREATE on the schema")
        } else if *code == SqlState::TOO_MANY_CONNECTIONS {
            refused("raise max_connections of the server, or stop what holds its connections")
        } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            StoreError::Refused(READ_ONLY.to_owned())
        } else if *code == SqlState::DUPLICATE_TABLE {
            refused("it belongs to another program: give chappe a database of its own")
        } else if said.parsed_severity() == Some(Severity::Fatal) || shutting_down(code) {
            StoreError::Unreachable(message.to_owned())
        } else {
            StoreError::Other(message.to_owned())
        }
    }
}

/// Why a standby is no place to write.
pub(super) const READ_ONLY: &str = "this server is read-only (a standby?); name the primary in the database URL, or all servers of the cluster";

/// An error with what caused it, in one line.
fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some errors repeat their cause in their own words.
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.replace('\n', " ")
}
