//! A PostgreSQL database as the target of a copy. As long as the copy is not complete a note in `meta` says so, and
//! nothing else opens the database.

use super::address::Address;
use super::connect::{Session, pool};
use super::migrate::{self, COPY_NOTE};
use super::rows::{damaged, get};
use super::{Reader, StoreError, node};
use crate::store::copy::{Cell, Kind, Position, Row, Sum, Table};
use crate::store::records::AuditFinding;
use crate::vault::Vault;
use chappe_core::Time;
use futures_util::{StreamExt, pin_mut};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_postgres::GenericClient;
use tokio_postgres::types::ToSql;

/// Any number but that of migrations: who copies into a database holds the lock of this name.
const LOCK: i64 = 0x0043_6861_7070_6501;

/// How far the copy has got.
const POSITION_NOTE: &str = "copy_position";
/// What was copied, once it is complete.
const DONE_NOTE: &str = "copied_from";

/// The session: statements take as long as they take. The lock is waited for, since the server may not have noticed
/// yet that a copy that was killed is gone.
const SETTINGS: &str = "
    SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = 0;
    SET lock_timeout = '10s';
    SET enable_seqscan = on;
    SET plan_cache_mode = auto;";

/// Whether there is anything in the database that somebody has put there.
const IN_USE: &str = "SELECT EXISTS (SELECT FROM customer) OR EXISTS (SELECT FROM account WHERE id >= 100)
        OR EXISTS (SELECT FROM token) OR EXISTS (SELECT FROM sender) OR EXISTS (SELECT FROM request)
        OR EXISTS (SELECT FROM transfer) OR EXISTS (SELECT FROM report) OR EXISTS (SELECT FROM phone_failure)
        OR EXISTS (SELECT FROM day) OR EXISTS (SELECT FROM idempotency) OR EXISTS (SELECT FROM phone_window)";

/// The database that is copied to.
pub(in crate::store) struct Target {
    session: Session,
    address: Address,
    vault: Vault,
}

/// Where a copy stands as it begins.
#[derive(Debug)]
pub(in crate::store) enum Begun {
    /// At the beginning.
    Anew,
    /// An earlier run got this far: nowhere, or to a place.
    Under(Option<Position>),
    /// An earlier run has finished it.
    Complete,
}

impl Target {
    /// Connects to the database that `url` names, and makes the tables if there are none.
    pub(in crate::store) async fn open(url: &str, vault: &Vault) -> Result<Target, StoreError> {
        let address = Address::parse(url)?;
        let at = |error: StoreError| error.at(&address.place);
        let mut session = Session::open(&address, &Handle::current()).await.map_err(at)?;
        session.client.batch_execute(SETTINGS).await?;
        let locked = session.client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await;
        locked.map_err(|error| match error.into() {
            StoreError::Busy => StoreError::NotDone("another copy into it is under way".to_owned()),
            error => error,
        })?;
        if migrate::is_new(&session.client).await? {
            migrate::migrate(&mut session.client, vault).await.map_err(at)?;
        }
        migrate::check_version_and_key(&session.client, vault).await?;
        Ok(Target { session, address, vault: vault.clone() })
    }

    /// Claims the database for a copy of what has this fingerprint, and says where that stands.
    pub(in crate::store) async fn begin(&mut self, fingerprint: &str) -> Result<Begun, StoreError> {
        let client = &self.session.client;
        if let Some(begun) = note(client, COPY_NOTE).await? {
            if begun != fingerprint {
                let what = "it holds a part of a copy of something else, or the source has changed since that was \
                            begun; empty the target and copy again";
                return Err(StoreError::NotDone(what.to_owned()));
            }
            let position = note(client, POSITION_NOTE).await?;
            let position = position.map(|text| serde_json::from_str(&text).map_err(damaged)).transpose()?;
            if position.is_none() {
                unclaim_if_used(client).await?;
            }
            return Ok(Begun::Under(position));
        }
        if note(client, DONE_NOTE).await?.is_some_and(|done| done == fingerprint) {
            return Ok(Begun::Complete);
        }
        refuse_if_used(client).await?;
        put_note(client, COPY_NOTE, fingerprint).await?;
        // A server that came between found no note. It takes its lane and then looks for the note, we write the note
        // and then look for lanes: one of the two sees the other.
        unclaim_if_used(client).await?;
        Ok(Begun::Anew)
    }

    /// Puts a batch of rows, and notes how far the copy has got. Rows that are there already stay as they are.
    pub(in crate::store) async fn put(
        &mut self,
        table: &Table,
        rows: &[Row],
        position: &Position,
    ) -> Result<(), StoreError> {
        let arrays = table.columns.iter().enumerate();
        let arrays: Vec<_> =
            arrays.map(|(at, (_, kind))| format!("${}::{}[]", at + 1, kind.name())).collect();
        let (all, keys) = (table.names(table.columns.len()), table.names(table.keys));
        let insert = format!(
            "INSERT INTO {} ({all}) SELECT * FROM unnest({}) ON CONFLICT ({keys}) DO NOTHING",
            table.name,
            arrays.join(", ")
        );
        let columns = table.columns.iter().enumerate();
        let columns: Vec<Box<dyn ToSql + Sync + Send + '_>> =
            columns.map(|(at, (_, kind))| column(rows, at, *kind)).collect::<Result<_, _>>()?;
        let parameters: Vec<&(dyn ToSql + Sync)> =
            columns.iter().map(|column| &**column as &(dyn ToSql + Sync)).collect();
        let position = serde_json::to_string(position).map_err(damaged)?;
        let transaction = self.session.client.transaction().await?;
        transaction.execute(&insert, &parameters).await?;
        put_note(&transaction, POSITION_NOTE, &position).await?;
        Ok(transaction.commit().await?)
    }

    /// What its rows come to, read back from the database.
    pub(in crate::store) async fn sum(&self, table: &Table) -> Result<Sum, StoreError> {
        let all = format!("SELECT {} FROM {}", table.names(table.columns.len()), table.name);
        let none: [&(dyn ToSql + Sync); 0] = [];
        let rows = self.session.client.query_raw(&all, none).await?;
        pin_mut!(rows);
        let mut sum = Sum::default();
        while let Some(row) = rows.next().await {
            sum.add(&cells(&row?, table)?);
        }
        Ok(sum)
    }

    /// Makes what is derived: the windows of numbers from the messages since `sends_since`, notes, and where ids go on.
    /// Says how many windows there are.
    pub(in crate::store) async fn derive(
        &mut self,
        notes: &[(String, String)],
        sequences: &[(&str, i64)],
        sends_since: Time,
    ) -> Result<u64, StoreError> {
        let transaction = self.session.client.transaction().await?;
        transaction.execute("DELETE FROM phone_window", &[]).await?;
        // As the server of a SQLite database counts them when it starts: every message, by number and mode.
        let count = "INSERT INTO phone_window (number_key, moments, last_at)
                     SELECT (phone_key & ~1::bigint) | (CASE mode WHEN 'test' THEN 1 ELSE 0 END),
                         string_agg(sent_at::text, ',' ORDER BY sent_at), max(sent_at)
                     FROM request JOIN account ON account.id = account_id
                     WHERE sent_at > $1 GROUP BY 1";
        let windows = transaction.execute(count, &[&sends_since.micros()]).await?;
        for (name, value) in notes {
            put_note(&transaction, name, value).await?;
        }
        for (table, last) in sequences {
            // Ids below that were given out once, also where their rows are gone. There is always one: a sequence
            // cannot be set to nothing.
            let set = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), greatest(1, $1, (SELECT max(id) FROM {table})),
                     $1 > 0)"
            );
            transaction.execute(&set, &[last]).await?;
        }
        transaction.commit().await?;
        self.session.client.batch_execute("ANALYZE").await?;
        Ok(windows)
    }

    /// See [`super::super::Reader::audit`].
    pub(in crate::store) async fn audit(
        &self,
        progress: impl FnMut(&str),
    ) -> Result<Vec<AuditFinding>, StoreError> {
        let reader = Reader {
            address: Arc::new(self.address.clone()),
            pool: pool(&self.address)?,
            vault: self.vault.clone(),
            lane: Arc::default(),
        };
        reader.audit(progress).await
    }

    /// Lets servers have the database.
    pub(in crate::store) async fn complete(&mut self, fingerprint: &str) -> Result<(), StoreError> {
        let transaction = self.session.client.transaction().await?;
        put_note(&transaction, DONE_NOTE, fingerprint).await?;
        let names = [COPY_NOTE, POSITION_NOTE];
        transaction.execute("DELETE FROM meta WHERE name = ANY ($1)", &[&&names[..]]).await?;
        Ok(transaction.commit().await?)
    }
}

async fn note(client: &impl GenericClient, name: &str) -> Result<Option<String>, StoreError> {
    let found = client.query_opt("SELECT value FROM meta WHERE name = $1", &[&name]).await?;
    found.map(|row| get(&row, 0)).transpose()
}

async fn put_note(client: &impl GenericClient, name: &str, value: &str) -> Result<(), StoreError> {
    let put = "INSERT INTO meta (name, value) VALUES ($1, $2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    client.execute(put, &[&name, &value]).await?;
    Ok(())
}

/// Takes the claim back if somebody else has begun with the database.
async fn unclaim_if_used(client: &impl GenericClient) -> Result<(), StoreError> {
    let Err(refused) = refuse_if_used(client).await else { return Ok(()) };
    client.execute("DELETE FROM meta WHERE name = $1", &[&COPY_NOTE]).await?;
    Err(refused)
}

async fn refuse_if_used(client: &impl GenericClient) -> Result<(), StoreError> {
    if node::any_held(client).await? {
        let what = "a server uses this database; stop it first (one that has crashed counts for a minute)";
        return Err(StoreError::NotDone(what.to_owned()));
    }
    if get::<bool>(&client.query_one(IN_USE, &[]).await?, 0)? {
        let what = "it is not empty, and not a part of this copy; give an empty database";
        return Err(StoreError::NotDone(what.to_owned()));
    }
    Ok(())
}

/// One column of these rows, as an array of its type.
fn column(rows: &[Row], at: usize, kind: Kind) -> Result<Box<dyn ToSql + Sync + Send + '_>, StoreError> {
    fn all<'row, T>(
        rows: &'row [Row],
        at: usize,
        read: impl Fn(&'row Cell) -> Option<Option<T>>,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let wrong = || StoreError::Damaged("a column holds what does not belong there".to_owned());
        rows.iter().map(|row| row.get(at).and_then(&read).ok_or_else(wrong)).collect()
    }
    fn number<T: TryFrom<i64>>(cell: &Cell) -> Option<Option<T>> {
        match cell {
            Cell::Null => Some(None),
            Cell::Number(number) => T::try_from(*number).ok().map(Some),
            Cell::Text(_) | Cell::Bytes(_) => None,
        }
    }
    Ok(match kind {
        Kind::Big => Box::new(all(rows, at, number::<i64>)?),
        Kind::Int => Box::new(all(rows, at, number::<i32>)?),
        Kind::Small => Box::new(all(rows, at, number::<i16>)?),
        Kind::Text => Box::new(all(rows, at, |cell| match cell {
            Cell::Null => Some(None),
            Cell::Text(text) => Some(Some(text.as_str())),
            Cell::Number(_) | Cell::Bytes(_) => None,
        })?),
        Kind::Bytes => Box::new(all(rows, at, |cell| match cell {
            Cell::Null => Some(None),
            Cell::Bytes(bytes) => Some(Some(bytes.as_slice())),
            Cell::Number(_) | Cell::Text(_) => None,
        })?),
    })
}

fn cells(row: &tokio_postgres::Row, table: &Table) -> Result<Row, StoreError> {
    let number = |number: Option<i64>| number.map_or(Cell::Null, Cell::Number);
    let cell = |(at, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Big => number(get(row, at)?),
            Kind::Int => number(get::<Option<i32>>(row, at)?.map(i64::from)),
            Kind::Small => number(get::<Option<i16>>(row, at)?.map(i64::from)),
            Kind::Text => get::<Option<String>>(row, at)?.map_or(Cell::Null, Cell::Text),
            Kind::Bytes => get::<Option<Vec<u8>>>(row, at)?.map_or(Cell::Null, Cell::Bytes),
        })
    };
    table.columns.iter().enumerate().map(cell).collect()
}
