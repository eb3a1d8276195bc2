//! The command line, as its users run it: every subcommand, on real files and against real servers.

// These are tests, helpers included, on threads of their own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::disallowed_methods)]

mod accounts;
mod backup;
mod calls;
mod channels;
mod copy;
#[path = "../support/postgres.rs"]
#[allow(dead_code)] // The tests of the store use all of it.
mod database;
mod dev;
mod doctor;
#[path = "../trials/gateway.rs"]
#[allow(dead_code)] // The trials use all of it.
mod gateway;
mod help;
#[path = "../trials/http.rs"]
#[allow(dead_code)] // The trials use all of it.
mod http;
mod migrate;
mod people;
mod postgres;
mod route;
mod seed;
mod serve;
mod tokens;

use gateway::{Finished, Home, finish};
use serde_json::Value;

/// What is typed, the exit code, and what is then said: on standard output after a success, else on standard error.
type Row = (&'static str, i32, &'static str);

/// A home with a master key, with which commands can make a database, and what a command needs to use it.
struct Operator {
    home: Home,
    variables: Vec<(&'static str, String)>,
}

impl Operator {
    fn new() -> Operator {
        let home = Home::new();
        let key = home.run(["key", "generate"]).stdout;
        Operator { home, variables: vec![("CHAPPE_KEY", key)] }
    }

    /// Runs `chappe LINE`, whose words have no spaces in them.
    fn run(&self, line: &str) -> Finished {
        let mut command = self.home.command(line.split_whitespace());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        finish(command)
    }

    /// Runs `chappe LINE --json`, which must succeed, and reads what it prints.
    #[track_caller]
    fn json(&self, line: &str) -> Value {
        let ended = self.run(&format!("{line} --json"));
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        assert_eq!(ended.stderr, "", "{line}");
        serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{line}: no JSON: {}", ended.stdout))
    }

    /// Runs one line after the other, and compares what each says.
    #[track_caller]
    fn table(&self, rows: &[Row]) {
        for (line, code, said) in rows {
            let ended = self.run(line);
            assert_eq!(ended.code, Some(*code), "{line}: {ended:?}");
            let (spoken, silent) =
                if *code == 0 { (&ended.stdout, "") } else { (&ended.stderr, ended.stdout.as_str()) };
            assert!(spoken.contains(said), "{line}: {said:?} is not in {spoken:?}");
            assert_eq!(silent, "", "{line}: a command that fails says why on standard error alone");
            assert!(!ended.stderr.contains("panicked"), "{line}: {}", ended.stderr);
        }
    }
}
