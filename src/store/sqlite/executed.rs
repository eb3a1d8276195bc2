//! Which statements were executed, so that a test can tell which were not. Never part of a release.

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// `None` until somebody wants to know.
static EXECUTED: Mutex<Option<BTreeSet<String>>> = Mutex::new(None);

/// Records what is executed over every connection that is opened from now on.
pub fn record() {
    *EXECUTED.lock().unwrap_or_else(PoisonError::into_inner) = Some(BTreeSet::new());
}

/// What was executed since [`record`].
pub fn recorded() -> BTreeSet<String> {
    EXECUTED.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}

pub(super) fn watched(mut connection: Connection) -> rusqlite::Result<Connection> {
    if EXECUTED.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note))?;
    }
    Ok(connection)
}

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, _) = event
        && let Some(executed) = EXECUTED.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
    {
        executed.insert(statement.sql().into_owned());
    }
}
