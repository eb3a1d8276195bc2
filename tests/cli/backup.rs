//! `chappe backup`: a whole, checked copy while the server writes.

use crate::Operator;
use crate::gateway::{Gateway, TOKEN};
use crate::http::Connection;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Lets the callers end, however a test does.
struct AtLast<'flag>(&'flag AtomicBool);

impl Drop for AtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The operator of a running gateway.
fn running() -> (Operator, Gateway) {
    let operator = Operator::new();
    let mut command = operator.home.dev("1000");
    command.envs(operator.variables.iter().cloned());
    let gateway = Gateway::start(command);
    (operator, gateway)
}

/// Puts a backup where a server would look for it, and opens it.
fn restored(operator: &Operator, backup: &Path, directory: &str) -> rusqlite::Connection {
    let directory = operator.home.path().join(directory);
    std::fs::create_dir(&directory).unwrap();
    std::fs::copy(backup, directory.join("chappe.db")).unwrap();
    rusqlite::Connection::open(directory.join("chappe.db")).unwrap()
}

#[test]
fn it_holds_every_message_that_was_acknowledged_before_it() {
    const BACKUPS: usize = 4;
    let (operator, gateway) = running();
    let (acknowledged, stop) = (Mutex::new(Vec::<String>::new()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for lane in 0..3 {
            let (acknowledged, stop, address) = (&acknowledged, &stop, gateway.address().to_owned());
            scope.spawn(move || {
                let mut connection = Connection::open(&address, TOKEN).unwrap();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let phone = format!("+1415{lane}{number:06}");
                    let sent = connection
                        .call("sendVerificationMessage", &json!({ "phone_number": phone, "code": "4711" }));
                    let id = sent.unwrap().result()["request_id"].as_str().unwrap().to_owned();
                    acknowledged.lock().unwrap().push(id);
                }
            });
        }
        let at_last = AtLast(&stop);
        for round in 0..BACKUPS {
            let (ahead, since) = (acknowledged.lock().unwrap().len() + 50, Instant::now());
            while acknowledged.lock().unwrap().len() < ahead {
                assert!(since.elapsed() < Duration::from_secs(30), "no call is answered any more");
                std::thread::sleep(Duration::from_millis(5));
            }
            let before = acknowledged.lock().unwrap().clone();
            let name = format!("backup-{round}.db");
            let made = operator.json(&format!("backup --to {name}"));
            let file = operator.home.path().join(&name);
            assert_eq!(made["bytes"], file.metadata().unwrap().len());
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let directory = format!("restored-{round}");
            let copy = restored(&operator, &file, &directory);
            for id in before {
                let find = "SELECT count(*) FROM request WHERE id = ?1";
                let found: i64 =
                    copy.query_row(find, [id.parse::<i64>().unwrap()], |row| row.get(0)).unwrap();
                assert_eq!(found, 1, "{id} was acknowledged before the backup, and is not in it");
            }
            operator.table(&[(format!("audit --data {directory}").leak(), 0, "all invariants hold")]);
        }
        drop(at_last);
    });
    assert_eq!(gateway.stop().code, Some(0));
    let left: Vec<_> = std::fs::read_dir(operator.home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("backup") && !name.ends_with(".db"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn it_is_written_nowhere_where_it_could_do_harm() {
    let operator = Operator::new();
    operator.table(&[("backup --to copy.db", 1, "there is no database in")]);
    operator.run("account create acme");
    let file = operator.home.path().join("copy.db");
    std::fs::write(&file, "precious").unwrap();
    operator.table(&[
        ("backup --to copy.db", 1, "copy.db exists already; --force replaces it"),
        ("backup --to data/copy.db", 1, "does not belong in the data directory"),
        ("backup --to data/chappe.db --force", 1, "does not belong in the data directory"),
        ("backup --to data --force", 1, "is a directory"),
        ("backup --to nowhere/copy.db", 1, "cannot find nowhere"),
    ]);
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    // What an interrupted backup left is written over.
    std::fs::write(operator.home.path().join("copy.db.unfinished"), vec![7; 1 << 20]).unwrap();
    operator.table(&[("backup --to copy.db --force", 0, "all invariants hold")]);
    restored(&operator, &file, "restored");
    operator.table(&[("account list --data restored", 0, "acme")]);
}

#[test]
fn a_backup_says_how_far_it_is_and_needs_the_key() {
    let (mut operator, other) = (Operator::new(), Operator::new());
    operator.run("account create acme");
    let made = operator.run("backup --to first.db");
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stderr.contains("copying: pages") && made.stderr.contains("(100 %)"), "{made:?}");
    assert!(made.stderr.contains("checking the copy: "), "{made:?}");
    operator.variables = other.variables;
    operator.table(&[("backup --to second.db", 1, "the master key does not belong to this database")]);
    assert!(!operator.home.path().join("second.db").exists());
    operator.variables.push(("CHAPPE_DATABASE", "postgres://chappe@127.0.0.1:1/chappe".to_owned()));
    operator.table(&[("backup --to third.db", 2, "pg_dump or pg_basebackup")]);
}

/// A database whose books do not add up is copied, and the copy does not pass for a good one.
#[test]
fn a_copy_that_fails_its_audit_gets_no_name() {
    let operator = Operator::new();
    operator.table(&[("account create acme", 0, "acme"), ("credit acme 1", 0, "now has 1")]);
    let database = rusqlite::Connection::open(operator.home.data().join("chappe.db")).unwrap();
    database.execute("UPDATE account SET balance = 7 WHERE balance > 0", []).unwrap();
    operator.table(&[(
        "backup --to copy.db",
        1,
        "the copy does not pass its audit, and is left as copy.db.unfinished",
    )]);
    assert!(!operator.home.path().join("copy.db").exists());
}
