//! Starts that must not be: refused with exit code 1 and a sentence that says what to do, and nothing changed by them.

use crate::gateway::{Finished, Gateway, Home, TOKEN};
use crate::http::Connection;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::Command;

/// Another good master key.
const OTHER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Starts what must be refused, and gives back what it said.
#[track_caller]
fn refused(command: Command, sentence: &str) -> Finished {
    let Err(ended) = Gateway::try_start(command) else { panic!("it started") };
    assert_refused(&ended, sentence);
    ended
}

/// It ended with 1, on one line that holds `sentence`, and without a panic.
#[track_caller]
fn assert_refused(ended: &Finished, sentence: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "", "nothing is said on standard output");
    let said: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("chappe: ")).collect();
    assert!(said.len() == 1 && said.concat().contains(sentence), "{sentence:?} is not in {:?}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// A home whose database was used before.
fn used_home() -> Home {
    let home = Home::new();
    assert_eq!(Gateway::start(home.dev("100")).stop().code, Some(0));
    home
}

#[test]
fn a_second_server_on_one_data_directory_is_refused() {
    let home = Home::new();
    let first = Gateway::start(home.dev("100"));
    let accounts = home.run(["account", "list", "--json"]).stdout;
    let tokens = home.run(["token", "list", "--json"]).stdout;

    let other = [
        "dev",
        "--listen",
        "127.0.0.1:0",
        "--token",
        "other",
        "--balance",
        "500",
        "--own-number",
        "+391234567",
    ];
    refused(home.command(other), "is in use by another chappe server");

    let mut serve = home.command(["serve", "--listen", "127.0.0.1:0"]);
    serve.env("CHAPPE_KEY", std::fs::read_to_string(home.data().join("master.key")).unwrap());
    serve.env("CHAPPE_TRUSTED_PROXIES", "[\"127.0.0.1\"]");
    refused(serve, "is in use by another chappe server");

    // The first one goes on, and finds everything as it was.
    let mut connection = Connection::open(first.address(), TOKEN).unwrap();
    assert_eq!(connection.call("getBalance", &json!({})).unwrap().result(), json!({ "balance": 100 }));
    assert_eq!(home.run(["account", "list", "--json"]).stdout, accounts, "a refused start changed accounts");
    let without_use = |text: &str| -> Value {
        let mut tokens: Value = serde_json::from_str(text).unwrap();
        for token in tokens.as_array_mut().unwrap() {
            token["last_used_at"].take();
            token["last_used_from"].take();
        }
        tokens
    };
    let now = home.run(["token", "list", "--json"]).stdout;
    assert_eq!(without_use(&now), without_use(&tokens), "a refused start changed tokens");
    assert_eq!(first.stop().code, Some(0));
    // Whoever comes after it is let in.
    Gateway::start(home.dev("100"));
}

#[test]
fn a_lock_does_not_outlive_its_process() {
    let home = Home::new();
    Gateway::start(home.dev("100")).kill();
    Gateway::start(home.dev("100"));
}

#[test]
fn another_key_is_refused() {
    let home = used_home();
    let sentence = "the master key does not belong to this database";
    let mut dev = home.dev("100");
    dev.env("CHAPPE_KEY", OTHER_KEY);
    refused(dev, sentence);
    for args in
        [&["audit"][..], &["account", "list"], &["account", "create", "acme"], &["token", "list", "--show"]]
    {
        let mut command = home.command(args);
        command.env("CHAPPE_KEY", OTHER_KEY);
        assert_refused(&crate::gateway::finish(command), sentence);
    }
    // The same key, in a file that holds another one by now.
    std::fs::write(home.data().join("master.key"), OTHER_KEY).unwrap();
    refused(home.dev("100"), sentence);
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let home = used_home();
    let connection = rusqlite::Connection::open(home.data().join("chappe.db")).unwrap();
    connection.pragma_update(None, "user_version", 1_000).unwrap();
    drop(connection);
    let sentence = "the database is at version 1000, this program knows";
    refused(home.dev("100"), sentence);
    assert_refused(&home.run(["account", "create", "acme"]), sentence);
    // What only reads must not guess at rows that it does not know, either.
    assert_refused(&home.run(["audit"]), sentence);
}

#[test]
fn a_port_in_use_is_refused() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = refused(home.command(["dev", "--listen", &address]), "is it in use?");
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("--listen"), "{}", ended.stderr);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let home = used_home();
    for name in ["chappe.db-wal", "chappe.db-shm"] {
        let _ = std::fs::remove_file(home.data().join(name));
    }
    std::fs::write(home.data().join("chappe.db"), "not a database, whatever its name says. ".repeat(200))
        .unwrap();
    refused(home.dev("100"), "not a database");
    assert_refused(&home.run(["audit"]), "not a database");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let home = Home::new();
    std::fs::write(home.data(), "a file stands where the data directory would be").unwrap();
    refused(home.dev("100"), "cannot create the data directory");
}
