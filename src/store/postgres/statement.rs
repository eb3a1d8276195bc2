//! Statements that every database takes.

use super::{Reader, StoreError, Writer};
use crate::store::postgres::rows::get;
use crate::store::statement::{Cell, Change, Row, Statement};
use crate::vault::Vault;
use bytes::BytesMut;
use std::error::Error;
use tokio_postgres::Client;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

impl Reader {
    /// The keys that rows are opened with.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// See [`super::super::Reader::rows`].
    pub async fn rows(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        let found = self.query(&statement.text, &parameters(statement)).await?;
        #[cfg(feature = "simulation")]
        crate::store::asked::note(statement, 0);
        found.iter().map(cells).collect()
    }
}

impl Writer {
    /// See [`super::super::Store::change`].
    pub async fn change(&mut self, change: &Change) -> Result<bool, StoreError> {
        self.work(async |client| carry_out(client, change).await).await
    }
}

async fn carry_out(client: &mut Client, change: &Change) -> Result<bool, StoreError> {
    let transaction = client.transaction().await?;
    for step in &change.steps {
        let touched = transaction.execute(&step.statement.text, &parameters(&step.statement)).await?;
        if step.required && touched == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
    }
    transaction.commit().await?;
    Ok(true)
}

fn parameters(statement: &Statement) -> Vec<&(dyn ToSql + Sync)> {
    statement.values.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect()
}

fn cells(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let number = |number: Option<i64>| number.map_or(Cell::Null, Cell::Number);
    let cell = |(at, column): (usize, &tokio_postgres::Column)| {
        Ok(match *column.type_() {
            Type::INT8 => number(get(row, at)?),
            Type::INT4 => number(get::<Option<i32>>(row, at)?.map(i64::from)),
            Type::INT2 => number(get::<Option<i16>>(row, at)?.map(i64::from)),
            Type::BYTEA => get::<Option<Vec<u8>>>(row, at)?.map_or(Cell::Null, Cell::Bytes),
            _ => get::<Option<String>>(row, at)?.map_or(Cell::Null, Cell::Text),
        })
    };
    row.columns().iter().enumerate().map(cell).collect()
}

/// A cell becomes what the statement has in its place.
impl ToSql for Cell {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self, kind) {
            (Cell::Null, _) => Ok(IsNull::Yes),
            (Cell::Number(number), &Type::INT2) => i16::try_from(*number)?.to_sql(kind, out),
            (Cell::Number(number), &Type::INT4) => i32::try_from(*number)?.to_sql(kind, out),
            (Cell::Number(number), _) => number.to_sql_checked(kind, out),
            (Cell::Text(text), _) => text.to_sql_checked(kind, out),
            (Cell::Bytes(bytes), _) => bytes.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each kind of cell is checked as it is written.
        true
    }

    to_sql_checked!();
}
