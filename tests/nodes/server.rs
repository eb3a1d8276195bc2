//! A PostgreSQL of one test's own, that it may stop, crash, and promote.

use crate::database::port::free_port;
use crate::database::{succeed, tool};
use crate::kept::{Kept, give, unprivileged};
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// The user that owns everything.
const USER: &str = "chappe";

/// A server, running or not.
pub(crate) struct Postgres {
    pub(crate) port: u16,
    process: Option<Kept>,
    directory: TempDir,
}

impl Postgres {
    /// A new server with an empty database.
    pub(crate) fn new() -> Postgres {
        Postgres::made_with(&[])
    }

    /// A new server, made by `initdb` with further arguments.
    pub(crate) fn made_with(args: &[OsString]) -> Postgres {
        let mut server = Postgres::unmade();
        let made = unprivileged(&tool("initdb"), server.directory.path())
            .args([
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--auth=trust",
                "--username",
                USER,
                "--pgdata",
            ])
            .arg(server.data())
            .args(args)
            .output();
        succeed("initdb", made);
        let hba = "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n";
        fs::write(server.data().join("pg_hba.conf"), hba).unwrap();
        server.start();
        server
    }

    /// A standby of a server, by this name.
    pub(crate) fn standby_of(primary: &Postgres, name: &str) -> Postgres {
        let mut server = Postgres::unmade();
        let source = format!("host=127.0.0.1 port={} user={USER} application_name={name}", primary.port);
        let made = unprivileged(&tool("pg_basebackup"), server.directory.path())
            .args([
                "--no-sync",
                "--checkpoint=fast",
                "--write-recovery-conf",
                "--dbname",
                &source,
                "--pgdata",
            ])
            .arg(server.data())
            .output();
        succeed("pg_basebackup", made);
        server.start();
        server
    }

    fn unmade() -> Postgres {
        let directory = tempfile::Builder::new().prefix("chappe-postgres-").tempdir().unwrap();
        give(directory.path());
        Postgres { port: free_port(), process: None, directory }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(&mut self) {
        let mut line = vec![tool("postgres").into(), "-D".into(), self.data().into()];
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "shared_buffers=32MB",
            "max_connections=100",
            "log_min_messages=warning",
            // Nothing else needs a standby to notice that its primary is back.
            "wal_retrieve_retry_interval=200ms",
        ] {
            line.extend(["-c".into(), setting.into()]);
        }
        line.extend(["-p".into(), self.port.to_string().into()]);
        self.process = Some(Kept::start(self.directory.path(), &line, "INT"));
        for _ in 0..600 {
            if self.try_query("SELECT 1").is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL does not start: {}", self.log());
    }

    /// Stops it and starts it again: as `pg_ctl restart` does, or with `-m immediate`.
    pub(crate) fn restart(&mut self, immediate: bool) {
        self.process.take().unwrap().end(if immediate { Signal::QUIT } else { Signal::INT });
        self.start();
    }

    /// Kills every process of it at once.
    pub(crate) fn crash(&mut self) {
        self.process.take().unwrap().crash();
        assert!(self.try_query("SELECT 1").is_err(), "it lives on");
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        url(&[self.port])
    }

    /// Asks something; panics if that fails.
    pub(crate) fn query(&self, query: &str) -> Vec<Vec<String>> {
        self.try_query(query).unwrap_or_else(|error| panic!("{query}: {error}; {}", self.log()))
    }

    /// The only value of the only row.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.query(query)[0][0].parse().unwrap()
    }

    /// Waits until a query gives this.
    pub(crate) fn wait_for(&self, query: &str, wanted: &str, patience: Duration) {
        let until = std::time::Instant::now() + patience;
        loop {
            let found = self.query(query);
            if found.first().and_then(|row| row.first()).is_some_and(|value| value == wanted) {
                return;
            }
            assert!(std::time::Instant::now() < until, "{query}: {found:?} instead of {wanted}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_query(&self, query: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
            tokio::spawn(connection);
            let messages = client.simple_query(query).await?;
            let rows = messages.into_iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|at| row.get(at).unwrap_or("").to_owned()).collect())
                }
                _ => None,
            });
            Ok(rows.collect())
        })
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// The URL of a database on these ports of this machine.
pub(crate) fn url(ports: &[u16]) -> String {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let several = if ports.len() > 1 { "?target_session_attrs=read-write" } else { "" };
    format!("postgres://{USER}@{}/postgres{several}", hosts.join(","))
}
