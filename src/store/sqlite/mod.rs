//! SQLite: the embedded default. One writer, on the engine's thread; readers beside it on connections of their own.

mod admin;
mod audit;
mod backup;
mod cache;
pub(super) mod copy;
#[cfg(feature = "simulation")]
pub mod executed;
mod load;
mod migrate;
mod reads;
mod recent;
mod rows;
mod save;
mod statement;
mod subscribers;

pub use backup::back_up;
pub use migrate::bring_up_to_date;

use super::Durability;
use super::records::StoreError;
use crate::vault::Vault;
use cache::RecentRequests;
use chappe_core::{Book, Keys, News, RequestId, Time};
use recent::RecentSends;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const FILE: &str = "chappe.db";
const LOG_FILE: &str = "chappe.db-wal";
const LOCK_FILE: &str = "chappe.lock";

/// Before this version a crash during a reset of the write-ahead log could damage the database.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long a reader waits where it has to.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// How long a writer waits for another process to finish its write before it looks again. Often, since a busy server
/// writes almost always: whoever looks seldom starves beside it.
const BUSY_LOOK: Duration = Duration::from_micros(500);
/// How often a writer looks: for ten seconds.
const BUSY_LOOKS: i32 = 20_000;

/// The writing connection.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    directory: PathBuf,
    vault: Vault,
    /// Messages of the limit's window by number. They are derived from the request rows, and kept in memory since a
    /// table of them would touch a page of its own for almost every message.
    recent: RecentSends,
    /// Requests written lately.
    cache: RecentRequests,
    durability: Durability,
    /// Held as long as this process serves the database.
    lock: Option<File>,
    /// Makes the next commit fail, for simulation.
    #[cfg(feature = "simulation")]
    pub fail_next_commit: bool,
}

/// The write-ahead log. SQLite never replaces this file while a connection is open.
#[derive(Debug)]
pub struct Log {
    file: File,
}

impl Log {
    /// See [`super::Log::flush`].
    pub fn flush(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| StoreError::Disk(format!("{LOG_FILE}: {error}")))
    }
}

/// A reading connection, shared by whoever reads: each read is short.
#[derive(Clone, Debug)]
pub struct Reader {
    connection: Arc<Mutex<Connection>>,
    vault: Vault,
}

impl Writer {
    /// Opens or creates the database in `directory`, and brings it up to date.
    pub fn open(directory: &Path, vault: Vault, durability: Durability) -> Result<Writer, StoreError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            let found = rusqlite::version();
            return Err(StoreError::Other(format!("SQLite {found} is too old: 3.51.3 or newer is needed")));
        }
        let mut connection = Connection::open(directory.join(FILE))?;
        #[cfg(feature = "simulation")]
        {
            connection = executed::watched(connection)?;
        }
        connection.busy_handler(Some(wait_for_writer))?;
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::ProcessOnly => "OFF",
        };
        // The log is folded back into the database every 32 MiB: seldom enough that pages written again and again are
        // folded once, often enough that a restart reads it in a moment.
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = {synchronous};
             PRAGMA foreign_keys = ON;
             PRAGMA wal_autocheckpoint = 8192;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA cache_size = -16384;
             PRAGMA temp_store = MEMORY;"
        ))?;
        connection.set_prepared_statement_cache_capacity(64);
        migrate::migrate(&mut connection)?;
        migrate::claim_key(&connection, &vault)?;
        Ok(Writer {
            connection,
            directory: directory.to_owned(),
            vault,
            recent: RecentSends::default(),
            cache: RecentRequests::default(),
            durability,
            lock: None,
            #[cfg(feature = "simulation")]
            fail_next_commit: false,
        })
    }

    /// See [`super::Store::start_serving`].
    pub fn start_serving(&mut self, now: Time, sends_window: Duration) -> Result<(), StoreError> {
        if self.lock.is_some() {
            return Ok(());
        }
        self.lock = Some(lock(&self.directory)?);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // No other process serves, so every lease was held by one that is gone.
        transaction.execute(
            "UPDATE request SET progress_at = ?1, due_at = ?1
             WHERE due_at IS NOT NULL AND progress = 'leased' AND due_at > ?1",
            [now.micros()],
        )?;
        transaction.execute(
            "UPDATE report SET due_at = ?1, leased = 0 WHERE state = 'pending' AND leased = 1",
            [now.micros()],
        )?;
        transaction.commit()?;
        self.fold_log()?;
        self.recent = RecentSends::rebuild(&self.connection, now, sends_window)?;
        Ok(())
    }

    /// See [`super::Store::transact`]. SQLite has one writer, so nothing ever has to be decided again.
    pub fn transact<R>(
        &mut self,
        keys: &Keys,
        mut decide: impl FnMut(&mut Book) -> R,
    ) -> Result<(R, News), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut book = Book::default();
        let stored = load::load(&transaction, &self.vault, &self.recent, &mut self.cache, keys, &mut book)?;
        let result = decide(&mut book);
        if book.is_changed() {
            save::save(&transaction, &self.vault, &stored, &book)?;
            #[cfg(feature = "simulation")]
            if std::mem::take(&mut self.fail_next_commit) {
                return Err(StoreError::Other("the commit was made to fail".to_owned()));
            }
            transaction.commit()?;
            self.recent.apply(&self.vault, &stored, &book);
        }
        let (news, requests) = book.close();
        self.cache.put(requests);
        Ok((result, news))
    }

    /// Folds the write-ahead log into the database file as far as readers allow, so that the file is whole by itself.
    pub fn fold_log(&self) -> Result<(), StoreError> {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// A reader beside this writer.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.directory, self.vault.clone())
    }

    /// See [`super::Store::log`].
    pub fn log(&self) -> Result<super::Log, StoreError> {
        if self.durability == Durability::ProcessOnly {
            return Ok(super::Log::AtOnce);
        }
        let path = self.directory.join(LOG_FILE);
        let opened = OpenOptions::new().write(true).open(&path);
        let file = opened
            .map_err(|source| StoreError::File { what: format!("cannot open {}", path.display()), source })?;
        // From now on a commit only writes the log, and [`Log::flush`] makes it durable: exactly what FULL does in one
        // step, cut in two. SQLite still sees to the order of log and file when it folds the one into the other.
        self.connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        Ok(super::Log::Sqlite(Log { file }))
    }

    /// See [`super::Store::last_request`].
    pub fn last_request(&self) -> Result<Option<RequestId>, StoreError> {
        let last: Option<i64> =
            self.connection.query_row("SELECT max(id) FROM request", [], |row| row.get(0))?;
        Ok(last.and_then(RequestId::from_number))
    }
}

impl Reader {
    /// Opens an existing database to read.
    pub fn open(directory: &Path, vault: Vault) -> Result<Reader, StoreError> {
        Reader::over(read_only(&directory.join(FILE))?, vault)
    }

    fn over(connection: Connection, vault: Vault) -> Result<Reader, StoreError> {
        migrate::check(&connection, &vault)?;
        Ok(Reader { connection: Arc::new(Mutex::new(connection)), vault })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic while reading leaves no half-done state behind: reads change nothing.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait_for_writer(looks: i32) -> bool {
    std::thread::sleep(BUSY_LOOK);
    looks < BUSY_LOOKS
}

/// Whether there is a database in `directory`.
pub fn exists(directory: &Path) -> bool {
    directory.join(FILE).exists()
}

/// Takes the lock of whoever serves the database in `directory`, until the file is closed.
fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK_FILE);
    let file_error = |source| StoreError::File { what: format!("cannot lock {}", path.display()), source };
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(file_error)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(directory.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(file_error(error)),
    }
}

/// A connection to an existing file that cannot write to it.
fn read_only(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    #[cfg(feature = "simulation")]
    let connection = executed::watched(connection)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.execute_batch("PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Disk(error.to_string())
            }
            _ => StoreError::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::MasterKey;

    #[test]
    fn commits_wait_for_the_disk_until_somebody_else_sees_to_it() {
        const NORMAL: i64 = 1;
        const FULL: i64 = 2;
        let directory = tempfile::tempdir().unwrap();
        let vault = Vault::new(&MasterKey::from_bytes([7; 32]));
        let mut writer = Writer::open(directory.path(), vault, Durability::Full).unwrap();
        writer.start_serving(Time::from_secs(1_795_000_000), Duration::from_secs(600)).unwrap();
        let synchronous = |writer: &Writer| -> i64 {
            writer.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap()
        };
        assert_eq!(synchronous(&writer), FULL);
        let log = writer.log().unwrap();
        assert_eq!(synchronous(&writer), NORMAL);
        log.flush().unwrap();
    }
}
