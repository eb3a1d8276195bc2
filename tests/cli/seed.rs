//! `chappe seed`: a past that the audit believes.

use crate::database::database;
use crate::gateway::{Finished, Gateway, Home, finish};
use std::process::Command;

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

fn seed(mut command: Command, requests: &str) -> Finished {
    command.args(["--days", "10", "--requests", requests]);
    finish(command)
}

fn audited(command: Command) {
    let audit = finish(command);
    assert_eq!((audit.code, audit.stdout.contains("all invariants hold")), (Some(0), true), "{audit:?}");
}

#[test]
fn a_development_database_gets_a_past_once() {
    let home = Home::new();
    let none = seed(home.command(["seed"]), "10");
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("there is no database"), "{none:?}");

    let gateway = Gateway::start(home.command(["dev", "--listen", "127.0.0.1:0"]));
    let beside = seed(home.command(["seed"]), "10");
    assert_eq!(beside.code, Some(1));
    assert!(beside.stderr.contains("is in use by another chappe server"), "{beside:?}");
    gateway.stop();

    let seeded = seed(home.command(["seed"]), "3000");
    assert_eq!((seeded.code, seeded.stdout.as_str()), (Some(0), "3000 requests over 10 days, for dev\n"));
    audited(home.command(["audit"]));
    let again = seed(home.command(["seed"]), "10");
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("has requests already"), "{again:?}");
    let none = seed(home.command(["seed"]), "0");
    assert!(none.stderr.contains("--requests must be 1 to 10,000,000"), "{none:?}");
}

#[test]
fn and_so_does_one_on_postgresql() {
    let (home, database) = (Home::new(), wait(database()));
    let url = database.url();
    let command = |args: &[&str]| {
        let mut command = home.command(args.iter().copied());
        command.env("CHAPPE_DATABASE", &url);
        command
    };
    Gateway::start(command(&["dev", "--listen", "127.0.0.1:0"])).stop();
    let seeded = seed(command(&["seed"]), "3000");
    assert_eq!(seeded.code, Some(0), "{seeded:?}");
    audited(command(&["audit"]));
}
