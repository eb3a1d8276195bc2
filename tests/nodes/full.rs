//! The disk of the database is full: calls are refused and nothing of them is done, and it goes on once there is room.

use crate::books::{Books, CREDITS};
use crate::house::House;
use crate::kept::give;
use crate::seeded::seed;
use crate::server::Postgres;
use crate::starts::Operator;
use serde_json::json;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A file system that holds nothing but the tables, or nothing but the log.
const SIZE: &str = "24m";
/// How long the disk stays full under load.
const FULL_FOR: Duration = Duration::from_secs(2);
/// Once there is room, somebody is served within this time.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// A small disk. Gone when the test ends, however it ends.
struct Disk {
    directory: TempDir,
    /// Unmounts it when its input ends.
    watch: Child,
}

impl Disk {
    /// `None`, saying so, where this machine does not let us mount one.
    fn new(test: &str) -> Option<Disk> {
        let directory = tempfile::Builder::new().prefix("chappe-disk-").tempdir().unwrap();
        let script = r#"mount -t tmpfs -o size="$2",mode=700 chappe-disk "$1" && echo mounted && read -r _; umount -l "$1""#;
        let mut watch = Command::new("/bin/sh")
            .args(["-c", script, "sh"])
            .arg(directory.path())
            .arg(SIZE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = [0; 8];
        if watch.stdout.take().unwrap().read_exact(&mut said).is_err() {
            let _ = watch.wait();
            println!("SKIPPED {test}: no file system can be mounted here; it needs root");
            return None;
        }
        give(directory.path());
        Some(Disk { directory, watch })
    }

    /// A directory on it, for PostgreSQL.
    fn room(&self, name: &str) -> PathBuf {
        let room = self.directory.path().join(name);
        std::fs::create_dir(&room).unwrap();
        give(&room);
        room
    }

    /// Takes all the room there is, until [`Disk::make_room`].
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.filler()).unwrap();
        // What is smaller than a page finds no place in the end, either.
        let error = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.directory.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let _ = self.watch.wait();
    }
}

/// What calls past the balancer came to.
#[derive(Debug, Default)]
struct Probe {
    answered: u64,
    took: Duration,
}

/// Calls a node until a call that writes has this status.
fn until(house: &House, status: u16, patience: Duration) -> Probe {
    let (since, mut answered) = (Instant::now(), 0);
    for number in 0.. {
        let phone = json!({ "phone_number": format!("+3935{number:08}") });
        let found = house.call(0, "checkSendAbility", &phone).status;
        answered += u64::from(found == 200);
        if found == status {
            break;
        }
        assert!(since.elapsed() < patience, "{found} after {patience:?}");
    }
    Probe { answered, took: since.elapsed() }
}

#[test]
fn a_full_disk_under_the_tables_refuses_and_recovers() {
    let Some(disk) = Disk::new("a_full_disk_under_the_tables_refuses_and_recovers") else { return };
    let database = Postgres::new();
    database.query(&format!("CREATE TABLESPACE small LOCATION '{}'", disk.room("tables").display()));
    database.query("ALTER SYSTEM SET default_tablespace = 'small'");
    database.query("SELECT pg_reload_conf()");
    // Nothing begins where there is no room to begin.
    disk.fill();
    Operator::new().refused(&database.url(), "the disk is full: make room for the database");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.number(tables), 0, "nothing was half made");
    disk.make_room();

    let mut house = House::new(&vec![database.url(); 2], CREDITS, 0);
    let mut books = Books::new(&house, seed());
    let (refused, back) = books.work(|_| {
        std::thread::sleep(Duration::from_millis(500));
        disk.fill();
        let refused = until(&house, 500, Duration::from_secs(30));
        std::thread::sleep(FULL_FOR);
        assert_eq!((house.ready(0), house.ready(1)), (200, 200), "another node could do no better");
        disk.make_room();
        let back = until(&house, 200, BACK_WITHIN);
        std::thread::sleep(Duration::from_millis(500));
        (refused, back)
    });
    let failures = books.failures();
    assert!(!failures.is_empty(), "no client noticed");
    let is_ours = |failure: &&String| failure.contains(": 500 ") && failure.contains("INTERNAL");
    assert!(failures.iter().all(is_ours), "{failures:?}");
    let failed = failures.len();
    books.others = refused.answered + back.answered;
    assert_eq!(books.compare(&house, &database), 0, "a call that was refused was made all the same");
    house.run("audit");
    for node in 0..2 {
        let log = house.stop(node).stderr;
        let says = ["a batch failed; nothing of it was done", "the disk is full: make room for the database"];
        assert!(says.iter().all(|words| log.contains(words)), "{log}");
    }
    println!(
        "full tables: {} answers, {failed} calls refused, served again {:?} after there was room",
        books.answers(),
        back.took
    );
}

/// Without room for its log, PostgreSQL stops at once, whatever it was doing.
#[test]
fn a_full_disk_under_the_log_loses_nothing() {
    let Some(disk) = Disk::new("a_full_disk_under_the_log_loses_nothing") else { return };
    let mut waldir = std::ffi::OsString::from("--waldir=");
    waldir.push(disk.room("log"));
    let mut database = Postgres::made_with(&["--wal-segsize=1".into(), waldir]);
    for setting in ["min_wal_size = '2MB'", "max_wal_size = '8MB'"] {
        database.query(&format!("ALTER SYSTEM SET {setting}"));
    }
    database.query("SELECT pg_reload_conf()");
    let mut house = House::new(&vec![database.url(); 2], CREDITS, 0);
    let mut books = Books::new(&house, seed());
    let (refused, back) = books.work(|_| {
        std::thread::sleep(Duration::from_millis(500));
        disk.fill();
        let refused = until(&house, 500, Duration::from_secs(60));
        let log = database.log();
        assert!(log.contains("PANIC") && log.contains("No space left on device"), "{log}");
        disk.make_room();
        // It may have given up, or be trying to come back.
        database.restart(true);
        let back = until(&house, 200, BACK_WITHIN);
        std::thread::sleep(Duration::from_millis(500));
        (refused, back)
    });
    let failed = books.failures().len();
    books.others = refused.answered + back.answered;
    let untold = books.compare(&house, &database);
    house.run("audit");
    for node in 0..2 {
        house.stop(node);
    }
    println!(
        "full log: {} answers, {failed} calls refused, {untold} done and not told; refused {:?} after there was no \
         room, served again {:?} after the restart",
        books.answers(),
        refused.took,
        back.took
    );
}
