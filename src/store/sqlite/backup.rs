//! A copy of the database file while a server writes: one consistent view, page by page.

use super::{FILE, Reader, StoreError, read_only};
use crate::store::records::{BackedUp, Progress};
use crate::vault::Vault;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How many pages are copied between two words of progress: 8 MiB.
const PAGES_A_STEP: i32 = 2_048;

/// What has to be encoded in the path of a URI: all that is not plainly part of a name.
const IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Copies the database in `directory` to the file `to`, and checks the copy. The file gets its name once it is whole, on
/// the disk and checked; one that is there already is replaced only with `replace`.
pub fn back_up(
    directory: &Path,
    vault: &Vault,
    to: &Path,
    replace: bool,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<BackedUp, StoreError> {
    let beside = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |what: &str, path: &Path| {
        let what = format!("cannot {what} {}", path.display());
        move |source: io::Error| StoreError::File { what, source }
    };
    let folder = beside.canonicalize().map_err(failed("find", beside))?;
    if folder == directory.canonicalize().map_err(failed("find", directory))? {
        let what = "a backup does not belong in the data directory: what befalls the one befalls the other";
        return Err(StoreError::NotDone(what.to_owned()));
    }
    if to.is_dir() {
        return Err(StoreError::NotDone(format!("{} is a directory; name a file in it", to.display())));
    }
    if !replace && to.symlink_metadata().is_ok() {
        return Err(exists(to));
    }
    let unfinished = to.with_added_extension("unfinished");
    let mut options = OpenOptions::new();
    // Whatever an interrupted backup has left is written over.
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&unfinished).map_err(failed("write", &unfinished))?;
    // Held open to the end: two backups under one name must not write into one file.
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::NotDone(format!("another backup is writing {}", unfinished.display())));
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock", &unfinished)(error)),
    }
    file.set_len(0).map_err(failed("write", &unfinished))?;
    copy_pages(directory, vault, &unfinished, &mut progress)?;
    file.sync_all().map_err(failed("write", &unfinished))?;
    let checks = check(&unfinished, vault, &mut progress)?;
    let bytes = file.metadata().map_err(failed("read", &unfinished))?.len();
    name(&unfinished, to, replace)?;
    File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed("write", &folder))?;
    Ok(BackedUp { bytes, checks })
}

fn exists(to: &Path) -> StoreError {
    StoreError::NotDone(format!("{} exists already; --force replaces it", to.display()))
}

fn copy_pages(
    directory: &Path,
    vault: &Vault,
    to: &Path,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<(), StoreError> {
    let mut source = read_only(&directory.join(FILE))?;
    super::migrate::check(&source, vault)?;
    // One view from the first page to the last. Without it every write of the server would begin the copy anew; with it
    // the server only finds that its log cannot be folded back as long as this lasts.
    let view = source.transaction()?;
    view.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
    let mut copy = Connection::open(to)?;
    // Half a copy is worth nothing, so nothing protects it; the whole one is synced before it gets its name.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    let backup = Backup::new(&view, &mut copy)?;
    loop {
        let step = backup.step(PAGES_A_STEP)?;
        let pages = backup.progress();
        let (total, left) = (pages.pagecount.unsigned_abs(), pages.remaining.unsigned_abs());
        let done = total.saturating_sub(left);
        progress(Progress { doing: "copying", to: "pages", done: done.into(), total: total.into() });
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // The view is held and nobody else knows the copy: neither has anything to wait for.
            _ => return Err(StoreError::Busy),
        }
    }
}

/// Audits the copy with the same key, as it stands on the disk.
fn check(copy: &Path, vault: &Vault, progress: &mut impl FnMut(Progress<'_>)) -> Result<usize, StoreError> {
    // Immutable: nothing is made beside it, neither a log nor an index of one.
    let uri = format!("file:{}?immutable=1", percent_encode(copy.as_os_str().as_bytes(), IN_PATHS));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let reader = Reader::over(Connection::open_with_flags(PathBuf::from(uri), flags)?, vault.clone())?;
    let mut checks = 0;
    let findings = reader.audit(|check| {
        checks += 1;
        progress(Progress::step("checking the copy", check));
    })?;
    match findings.first() {
        None => Ok(checks),
        Some(first) => Err(StoreError::NotDone(format!(
            "the copy does not pass its audit, and is left as {}: {}: {}; `chappe audit` says whether the database \
             itself does",
            copy.display(),
            first.check,
            first.detail
        ))),
    }
}

/// Gives the finished copy its name, in one step.
fn name(unfinished: &Path, to: &Path, replace: bool) -> Result<(), StoreError> {
    let failed = |source| StoreError::File { what: format!("cannot write {}", to.display()), source };
    if replace {
        return std::fs::rename(unfinished, to).map_err(failed);
    }
    match renameat_with(CWD, unfinished, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(exists(to)),
        // Some file systems cannot do it in one step: then somebody may come between, which nobody does.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if to.symlink_metadata().is_err() => {
            std::fs::rename(unfinished, to).map_err(failed)
        }
        Err(error) => Err(failed(error.into())),
    }
}
