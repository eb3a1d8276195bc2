//! Databases that cannot be used: each command says why in one line and ends, and no half of a server stays behind.

use crate::gateway::{Home, TOKEN, finish};
use crate::server::{Postgres, url};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// An operator with a master key.
pub(crate) struct Operator {
    home: Home,
    key: String,
}

impl Operator {
    pub(crate) fn new() -> Operator {
        let home = Home::new();
        let key = home.run(["key", "generate"]).stdout;
        Operator { home, key }
    }

    /// Runs a command on a database; its exit code and what it says.
    pub(crate) fn run(&self, url: &str, line: &str) -> (Option<i32>, String) {
        let mut command = self.home.command(line.split_whitespace());
        command.env("CHAPPE_KEY", &self.key).env("CHAPPE_DATABASE", url);
        command.env("CHAPPE_TRUSTED_PROXIES", "[\"127.0.0.1\"]").env("CHAPPE_ROUTES__LIVE", "sandbox");
        let ended = finish(command);
        (ended.code, ended.stdout + &ended.stderr)
    }

    /// Everything that opens a database to write is refused with these words, on one line and with nothing else.
    pub(crate) fn refused(&self, url: &str, words: &str) {
        let lines = [
            "serve --listen 127.0.0.1:0".to_owned(),
            format!("dev --listen 127.0.0.1:0 --token {TOKEN}"),
            "account create alice".to_owned(),
            "migrate".to_owned(),
        ];
        for line in lines {
            let (code, said) = self.run(url, &line);
            assert_eq!(code, Some(1), "{line}: {said}");
            assert!(
                said.starts_with("chappe: ") && said.contains(words),
                "{line}: {words:?} not in {said:?}"
            );
            assert_eq!(said.lines().count(), 1, "{line}: {said}");
        }
    }
}

/// A way to a PostgreSQL that says that it is of another version. Of all that a server says, this alone is changed.
fn pretending(server: &Postgres, version: i32) -> u16 {
    let real = server.number("SHOW server_version_num");
    // A column of four bytes, as it comes in a row.
    let column = |version: i32| [4_i32.to_be_bytes(), version.to_be_bytes()].concat();
    let (real, shown) = (column(real.try_into().unwrap()), column(version));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, server) = (listener.local_addr().unwrap().port(), server.port);
    // All of it ends with the process.
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || carry(client, server, |_| ()));
            let (real, shown) = (real.clone(), shown.clone());
            std::thread::spawn(move || {
                carry(back.0, back.1, |said| {
                    if let Some(at) = said.windows(real.len()).position(|found| found == real) {
                        said[at..at + shown.len()].copy_from_slice(&shown);
                    }
                });
            });
        }
    });
    port
}

fn carry(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut [u8])) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        change(&mut bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_server_that_is_too_old_is_refused() {
    let (database, operator) = (Postgres::new(), Operator::new());
    for (version, words) in [
        (140_022, "it is PostgreSQL 14; version 15 or newer is needed"),
        (90_624, "it is PostgreSQL 9; version 15 or newer is needed"),
    ] {
        operator.refused(&url(&[pretending(&database, version)]), words);
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.number(tables), 0, "nothing was made there");
    // The same way with the truth in it is good.
    let new = url(&[pretending(&database, 150_000)]);
    assert_eq!(operator.run(&new, "account create alice").0, Some(0));
    assert_eq!(operator.run(&new, "audit").0, Some(0));
}

#[test]
fn a_standby_is_read_and_not_written_to() {
    let (primary, operator) = (Postgres::new(), Operator::new());
    assert_eq!(operator.run(&primary.url(), "account create alice").0, Some(0));
    let standby = Postgres::standby_of(&primary, "second");
    assert_eq!(standby.query("SELECT pg_is_in_recovery()"), [["t"]]);
    operator.refused(
        &standby.url(),
        "this server is read-only (a standby?); name the primary in the database URL",
    );

    // A copy of everything can be looked at without troubling the primary.
    assert_eq!(operator.run(&primary.url(), "credit alice 1").0, Some(0));
    let arrived = "SELECT count(*) FROM transfer WHERE kind = 'deposit' AND amount > 0";
    let at_primary = primary.query(arrived).remove(0).remove(0);
    standby.wait_for(arrived, &at_primary, Duration::from_secs(20));
    let (code, said) = operator.run(&standby.url(), "audit");
    assert!(code == Some(0) && said.contains("all invariants hold"), "{said}");
    let (code, said) = operator.run(&standby.url(), "account show alice --json");
    assert!(code == Some(0) && said.contains("\"balance\": \"1\""), "{said}");
}
