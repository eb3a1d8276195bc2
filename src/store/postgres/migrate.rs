//! Migrations: forward only, all that a database lacks in one transaction, one server at a time.

use super::rows::get;
use crate::store::records::StoreError;
use crate::vault::Vault;
use std::cmp::Ordering;
use tokio_postgres::Client;
use tokio_postgres::GenericClient;

const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_start.sql")];

/// Any number, the same for every server: who migrates holds the lock of this name.
const LOCK: i64 = 0x0043_6861_7070_6500;

/// Brings the database up to date, and notes to which key a new one belongs.
pub(super) async fn migrate(client: &mut Client, vault: &Vault) -> Result<(), StoreError> {
    if version(client).await? != Some(MIGRATIONS.len()) {
        let transaction = client.transaction().await?;
        // However long another server takes, and however long it takes itself.
        transaction.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0").await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        let found = version(&transaction).await?;
        if found.is_none() {
            transaction
                .batch_execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
                .await?;
        }
        let found = found.unwrap_or(0);
        if found > MIGRATIONS.len() {
            return Err(StoreError::TooNew { found, known: MIGRATIONS.len() });
        }
        for migration in MIGRATIONS.iter().skip(found) {
            transaction.batch_execute(migration).await?;
        }
        let note = "INSERT INTO meta (name, value) VALUES ('version', $1), ('key_check', $2)
                    ON CONFLICT (name) DO UPDATE SET value =
                        CASE meta.name WHEN 'version' THEN excluded.value ELSE meta.value END";
        transaction.execute(note, &[&MIGRATIONS.len().to_string(), &vault.check_value()]).await?;
        transaction.commit().await?;
    }
    check_key(client, vault).await
}

/// Refuses a database that is not at this program's version, or belongs to another key.
pub(super) async fn check(client: &Client, vault: &Vault) -> Result<(), StoreError> {
    let known = MIGRATIONS.len();
    let found = version(client).await?.ok_or_else(|| {
        StoreError::NotFound("there is nothing of chappe in this database; `chappe serve` and `chappe account create` begin one".to_owned())
    })?;
    match found.cmp(&known) {
        Ordering::Equal => check_key(client, vault).await,
        Ordering::Greater => Err(StoreError::TooNew { found, known }),
        Ordering::Less => Err(StoreError::TooOld { found, known }),
    }
}

/// The version that the database is at; `None` if there is nothing of ours in it.
async fn version(client: &impl GenericClient) -> Result<Option<usize>, StoreError> {
    // Asked of the catalogue itself: a name that was looked up before is remembered as absent until the transaction ends.
    let find = "SELECT EXISTS (SELECT FROM pg_tables
                WHERE tablename = 'meta' AND schemaname = ANY (current_schemas(false)))";
    let there = client.query_one(find, &[]).await?;
    if !get::<bool>(&there, 0)? {
        return Ok(None);
    }
    let found = client.query_opt("SELECT value FROM meta WHERE name = 'version'", &[]).await?;
    found.map(|row| get::<&str>(&row, 0)?.parse().map_err(super::rows::damaged)).transpose()
}

async fn check_key(client: &Client, vault: &Vault) -> Result<(), StoreError> {
    let row = client.query_one("SELECT value FROM meta WHERE name = 'key_check'", &[]).await?;
    if get::<&str>(&row, 0)? == vault.check_value() { Ok(()) } else { Err(StoreError::WrongKey) }
}
