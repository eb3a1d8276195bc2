//! Migrations: forward only, all that a database lacks in one transaction, one server at a time.

use super::address::Address;
use super::connect::Session;
use super::rows::get;
use crate::store::records::{Migration, StoreError};
use crate::vault::Vault;
use std::cmp::Ordering;
use tokio::runtime::Handle;
use tokio_postgres::Client;
use tokio_postgres::GenericClient;

const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_start.sql"),
    include_str!("migrations/0002_channels.sql"),
    include_str!("migrations/0003_console.sql"),
];

/// Any number, the same for every server: who migrates holds the lock of this name.
const LOCK: i64 = 0x0043_6861_7070_6500;

/// What is noted in `meta` as long as a copy into the database is not complete: of what.
pub(super) const COPY_NOTE: &str = "copy_from";

/// How long a migration waits for a table that others use. Whoever comes after it waits too, so it gives up soon.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '5s'";

/// Brings the database that `url` names up to date; or only says what that would do.
pub async fn bring_up_to_date(url: &str, vault: Vault, only_look: bool) -> Result<Migration, StoreError> {
    let address = Address::parse(url)?;
    let at = |error: StoreError| error.at(&address.place);
    let mut session = Session::open(&address, &Handle::current()).await.map_err(at)?;
    let found = version(&session.client).await.map_err(at)?;
    let migration = Migration::from(found.unwrap_or(0), MIGRATIONS.len())?;
    if found.is_some() {
        check_key(&session.client, &vault).await?;
        refuse_half_copied(&session.client).await?;
    }
    if migration.is_due() && !only_look {
        migrate(&mut session.client, &vault).await.map_err(at)?;
    }
    Ok(migration)
}

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
        let migration = Migration::from(found.unwrap_or(0), MIGRATIONS.len())?;
        transaction.batch_execute(LOCK_WAIT).await?;
        for step in MIGRATIONS.iter().skip(migration.from) {
            transaction.batch_execute(step).await?;
        }
        let note = "INSERT INTO meta (name, value) VALUES ('version', $1), ('key_check', $2)
                    ON CONFLICT (name) DO UPDATE SET value =
                        CASE meta.name WHEN 'version' THEN excluded.value ELSE meta.value END";
        transaction.execute(note, &[&MIGRATIONS.len().to_string(), &vault.check_value()]).await?;
        transaction.commit().await?;
    }
    check_key(client, vault).await?;
    refuse_half_copied(client).await
}

/// Whether there is nothing of ours in the database.
pub(super) async fn is_new(client: &Client) -> Result<bool, StoreError> {
    Ok(version(client).await?.is_none())
}

/// Refuses a database that is not at this program's version, belongs to another key, or is only a part of a copy.
pub(super) async fn check(client: &Client, vault: &Vault) -> Result<(), StoreError> {
    check_version_and_key(client, vault).await?;
    refuse_half_copied(client).await
}

/// Refuses a database into which a copy was begun and not finished.
pub(super) async fn refuse_half_copied(client: &Client) -> Result<(), StoreError> {
    let found = client.query_opt("SELECT FROM meta WHERE name = $1", &[&COPY_NOTE]).await?;
    if found.is_some() { Err(StoreError::HalfCopied) } else { Ok(()) }
}

/// Refuses a database that is not at this program's version, or belongs to another key.
pub(super) async fn check_version_and_key(client: &Client, vault: &Vault) -> Result<(), StoreError> {
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
