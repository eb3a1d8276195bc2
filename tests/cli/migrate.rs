//! `chappe migrate`: says what it did, and what it would do.

use crate::Operator;
use crate::database::{Database, database};
use serde_json::Value;

fn empty() -> Database {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(database())
}

fn run(database: &Database, statements: &str) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(database.run(statements));
}

/// A database at version 0 is brought to what this program knows, once.
fn up_to_date(operator: &Operator, missing: &'static str, set_version: impl Fn(usize)) {
    let check = operator.run("migrate --check --json");
    assert_eq!(check.code, Some(1), "{check:?}");
    let check: Value = serde_json::from_str(&check.stdout).unwrap();
    let known = check["to"].as_u64().unwrap();
    assert_eq!((check["from"].as_u64(), check["pending"].as_bool()), (Some(0), Some(true)), "{check}");
    let check = operator.run("migrate --check");
    assert_eq!(check.code, Some(1), "{check:?}");
    assert!(
        check.stdout.contains("is at version 0: `chappe migrate` would bring it to version"),
        "{check:?}"
    );
    operator.table(&[("audit", 1, missing)]);
    let done = operator.json("migrate");
    assert_eq!((done["from"].as_u64(), done["to"].as_u64()), (Some(0), Some(known)), "{done}");
    assert_eq!((&done["migrated"], &done["pending"]), (&true.into(), &false.into()));
    operator.table(&[
        ("migrate", 0, "nothing is to be done"),
        ("migrate --check", 0, "nothing is to be done"),
        ("audit", 0, "all invariants hold"),
    ]);
    set_version(99);
    operator.table(&[
        ("migrate", 1, "the database is at version 99, this program knows"),
        ("migrate --check", 1, "use a newer chappe"),
    ]);
}

#[test]
fn a_sqlite_database_is_brought_up_to_date() {
    let operator = Operator::new();
    operator.table(&[
        ("migrate", 1, "there is no database in"),
        ("migrate --check", 1, "there is no database in"),
    ]);
    assert!(!operator.home.data().exists());
    std::fs::create_dir(operator.home.data()).unwrap();
    let file = operator.home.data().join("chappe.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    let missing = "`chappe migrate`, or a start of the server, brings it up to date";
    up_to_date(&operator, missing, |version| database.pragma_update(None, "user_version", version).unwrap());
}

#[test]
fn a_postgresql_database_is_brought_up_to_date() {
    let database = empty();
    let mut operator = Operator::new();
    operator.variables.push(("CHAPPE_DATABASE", database.url()));
    up_to_date(&operator, "there is nothing of chappe in this database", |version| {
        run(&database, &format!("UPDATE meta SET value = '{version}' WHERE name = 'version'"));
    });
}

#[test]
fn another_key_migrates_nothing() {
    let (mut operator, other) = (Operator::new(), Operator::new());
    operator.run("account create acme");
    operator.variables = other.variables;
    operator.table(&[("migrate", 1, "the master key does not belong"), ("migrate --check", 1, "master key")]);
}
