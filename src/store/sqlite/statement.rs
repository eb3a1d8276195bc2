//! Statements that every database takes.

use super::{Reader, StoreError, Writer};
use crate::store::statement::{Cell, Change, Row, Statement};
use crate::vault::Vault;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::{Handle, RuntimeFlavor};

impl Reader {
    /// The keys that rows are opened with.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// See [`super::super::Reader::rows`]. What a page asks may take milliseconds.
    pub fn rows(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        aside(|| run(&self.connection(), statement).map(|(rows, _)| rows))
    }
}

/// Reads while another thread takes over what else this one would do, where the runtime has others.
fn aside<R>(read: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(read),
        _ => read(),
    }
}

impl Writer {
    /// See [`super::super::Store::change`].
    pub fn change(&mut self, change: &Change) -> Result<bool, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in &change.steps {
            let (rows, touched) = run(&transaction, &step.statement)?;
            if step.required && touched == 0 && rows.is_empty() {
                transaction.rollback()?;
                return Ok(false);
            }
        }
        transaction.commit()?;
        Ok(true)
    }
}

/// The rows that it gives, and how many it changed.
fn run(connection: &Connection, statement: &Statement) -> Result<(Vec<Row>, usize), StoreError> {
    let mut prepared = connection.prepare_cached(&statement.text)?;
    for (at, cell) in statement.values.iter().enumerate() {
        let name = format!("${}", at + 1);
        let index = prepared.parameter_index(&name)?;
        let index = index.ok_or_else(|| StoreError::Other(format!("{name} is nowhere in a statement")))?;
        prepared.raw_bind_parameter(index, value(cell))?;
    }
    let columns = prepared.column_count();
    if columns == 0 {
        return Ok((Vec::new(), prepared.raw_execute()?));
    }
    let mut found = prepared.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(cells(row, columns)?);
    }
    #[cfg(feature = "simulation")]
    {
        drop(found);
        let steps = prepared.reset_status(rusqlite::StatementStatus::VmStep);
        crate::store::asked::note(statement, i64::from(steps));
    }
    Ok((rows, 0))
}

/// The columns of a row.
pub(super) fn cells(row: &rusqlite::Row<'_>, columns: usize) -> Result<Row, StoreError> {
    (0..columns)
        .map(|column| match row.get_ref(column)? {
            ValueRef::Null => Ok(Cell::Null),
            ValueRef::Integer(number) => Ok(Cell::Number(number)),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Cell::Text(text.to_owned())),
                Err(error) => Err(StoreError::Damaged(error.to_string())),
            },
            ValueRef::Blob(bytes) => Ok(Cell::Bytes(bytes.to_vec())),
            ValueRef::Real(_) => Err(StoreError::Damaged("a number has a point in it".to_owned())),
        })
        .collect()
}

/// What stands in a column, as SQLite takes it.
pub(super) fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Number(number) => Value::Integer(*number),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Bytes(bytes) => Value::Blob(bytes.clone()),
    }
}
