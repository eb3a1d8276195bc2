//! A SQLite database as the source of a copy: read in one view, while no server may serve it.

use super::statement::{cells, value};
use super::{FILE, Reader, StoreError, lock, read_only};
use crate::store::copy::{Cell, NUMBERED, Row, Sum, Table};
use crate::store::records::AuditFinding;
use crate::vault::Vault;
use rusqlite::{Connection, params_from_iter};
use std::fs::File;
use std::path::Path;

/// The database that is copied.
#[derive(Debug)]
pub(in crate::store) struct Source {
    /// In a read transaction from the beginning.
    connection: Connection,
    /// Sees every change as it comes.
    beside: Connection,
    /// What `beside` saw when the view was taken.
    version: i64,
    reader: Reader,
    /// Keeps servers out.
    _lock: File,
}

impl Source {
    /// Opens the database in `directory`, which must be at this program's version and belong to the key of `vault`.
    pub(in crate::store) fn open(directory: &Path, vault: &Vault) -> Result<Source, StoreError> {
        let file = directory.join(FILE);
        if !file.exists() {
            let what = format!("there is no database in {}", directory.display());
            return Err(StoreError::NotFound(what));
        }
        let lock = lock(directory)?;
        let reader = Reader::open(directory, vault.clone())?;
        let beside = read_only(&file)?;
        // Taken before the view: what is written between the two is seen as a change, and not missed.
        let version = data_version(&beside)?;
        let connection = read_only(&file)?;
        connection.execute_batch("BEGIN")?;
        connection.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
        Ok(Source { connection, beside, version, reader, _lock: lock })
    }

    /// What its rows come to.
    pub(in crate::store) fn sum(&self, table: &Table) -> Result<Sum, StoreError> {
        let mut sum = Sum::default();
        let all = format!("SELECT {} FROM {}", table.names(table.columns.len()), table.name);
        let mut statement = self.connection.prepare(&all)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            sum.add(&cells(row, table.columns.len())?);
        }
        Ok(sum)
    }

    /// The next rows of a table after a key, in the order of the keys; none at its end.
    pub(in crate::store) fn rows(
        &self,
        table: &Table,
        after: Option<&[Cell]>,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let (all, keys) = (table.names(table.columns.len()), table.names(table.keys));
        let marks = vec!["?"; table.keys].join(", ");
        let beyond = if after.is_some() { format!("WHERE ({keys}) > ({marks})") } else { String::new() };
        let next = format!("SELECT {all} FROM {} {beyond} ORDER BY {keys} LIMIT {limit}", table.name);
        let mut statement = self.connection.prepare_cached(&next)?;
        let mut found = statement.query(params_from_iter(after.unwrap_or(&[]).iter().map(value)))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push(cells(row, table.columns.len())?);
        }
        Ok(rows)
    }

    /// What is noted in `meta`, but for the key.
    pub(in crate::store) fn notes(&self) -> Result<Vec<(String, String)>, StoreError> {
        let all = "SELECT name, value FROM meta WHERE name <> 'key_check' ORDER BY name";
        let mut statement = self.connection.prepare(all)?;
        let notes = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(notes.collect::<Result<_, _>>()?)
    }

    /// The highest id that each table has ever given out.
    pub(in crate::store) fn sequences(&self) -> Result<Vec<(&'static str, i64)>, StoreError> {
        let find = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1";
        let last = |table| Ok((table, self.connection.query_row(find, [table], |row| row.get(0))?));
        NUMBERED.into_iter().map(last).collect()
    }

    /// See [`super::super::Reader::audit`].
    pub(in crate::store) fn audit(
        &self,
        progress: impl FnMut(&str),
    ) -> Result<Vec<AuditFinding>, StoreError> {
        self.reader.audit(progress)
    }

    /// Refuses a source to which anything was written since it was opened: a command of the operator's.
    pub(in crate::store) fn unchanged(&self) -> Result<(), StoreError> {
        if data_version(&self.beside)? == self.version {
            return Ok(());
        }
        let what = "something was written to it while it was copied; empty the target and copy again";
        Err(StoreError::NotDone(what.to_owned()))
    }
}

/// A number that changes whenever another connection commits.
fn data_version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
}
