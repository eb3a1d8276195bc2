//! Migrations: forward only, all that a database lacks in one transaction, under the write lock.

use super::{FILE, StoreError, Writer, lock, read_only};
use crate::store::Durability;
use crate::store::records::Migration;
use crate::vault::Vault;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_start.sql"),
    include_str!("migrations/0002_channels.sql"),
    include_str!("migrations/0003_console.sql"),
];

/// Brings the database in `directory`, which must exist, up to date; or only says what that would do.
pub fn bring_up_to_date(directory: &Path, vault: &Vault, only_look: bool) -> Result<Migration, StoreError> {
    let connection = read_only(&directory.join(FILE))?;
    let migration = Migration::from(version(&connection)?, MIGRATIONS.len())?;
    // What is at version 0 has no table yet in which a key could stand.
    if migration.from > 0 {
        check_key(&connection, vault)?;
    }
    drop(connection);
    if migration.is_due() && !only_look {
        // A server that runs is of an older version: its statements know nothing of what is about to change.
        let _lock = lock(directory)?;
        Writer::open(directory, vault.clone(), Durability::Full)?;
    }
    Ok(migration)
}

/// Runs the migrations that the database lacks.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let migration = Migration::from(version(&transaction)?, MIGRATIONS.len())?;
    for step in MIGRATIONS.iter().skip(migration.from) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", migration.to)?;
    Ok(transaction.commit()?)
}

/// Refuses a database that is not at this program's version, or belongs to another key.
pub(super) fn check(connection: &Connection, vault: &Vault) -> Result<(), StoreError> {
    let Migration { from: found, to: known } = Migration::from(version(connection)?, MIGRATIONS.len())?;
    if found < known {
        return Err(StoreError::TooOld { found, known });
    }
    check_key(connection, vault)
}

fn version(connection: &Connection) -> Result<usize, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Notes to which key a new database belongs, and refuses another key from then on.
pub(super) fn claim_key(connection: &Connection, vault: &Vault) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO meta (name, value) VALUES ('key_check', ?1) ON CONFLICT DO NOTHING",
        [vault.check_value()],
    )?;
    check_key(connection, vault)
}

fn check_key(connection: &Connection, vault: &Vault) -> Result<(), StoreError> {
    let check: String =
        connection.query_row("SELECT value FROM meta WHERE name = 'key_check'", [], |row| row.get(0))?;
    if check == vault.check_value() { Ok(()) } else { Err(StoreError::WrongKey) }
}
