//! A PostgreSQL for the tests: a throw-away cluster on a free port, stopped and removed when the tests end, however they
//! end. Where each test is a process of its own, those of one run share a cluster. Each test gets its own database.

#[path = "port.rs"]
#[allow(dead_code)] // Tests over HTTP use all of it.
pub(crate) mod port;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// The user that owns everything.
const USER: &str = "chappe";
/// A user that has to give a password.
pub(crate) const CAREFUL: &str = "careful";
pub(crate) const PASSWORD: &str = "s3cret-of-careful";

/// A running cluster.
pub(crate) struct Cluster {
    pub(crate) port: u16,
    directory: PathBuf,
    /// Whoever holds the other end of this pipe stops the server when it closes.
    _until: Option<ChildStdin>,
    _watch: Option<Child>,
}

/// A database of one test.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) port: u16,
    pub(crate) name: String,
}

/// The cluster of this process.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| match std::env::var("NEXTEST_RUN_ID") {
        Ok(run) => Cluster::shared(&run),
        Err(_) => {
            let directory = tempfile::Builder::new().prefix("chappe-postgres-").tempdir().unwrap().keep();
            Cluster::start(directory, None)
        }
    })
}

/// A new, empty database.
pub(crate) async fn database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    // The cluster starts on a thread that may wait.
    let port = tokio::task::spawn_blocking(|| cluster().port).await.unwrap();
    let home = Database { port, name: "postgres".to_owned() };
    home.run(&format!("CREATE DATABASE {name} STRATEGY file_copy")).await;
    Database { port, name }
}

impl Database {
    pub(crate) fn url(&self) -> String {
        self.url_by(self.port)
    }

    /// The URL by way of another port: a proxy's.
    pub(crate) fn url_by(&self, port: u16) -> String {
        format!("postgres://{USER}@127.0.0.1:{port}/{}", self.name)
    }

    /// A connection that knows nothing of stores.
    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Runs statements.
    pub(crate) async fn run(&self, statements: &str) {
        self.client()
            .await
            .batch_execute(statements)
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Waits until somebody waits for a lock in this database, or `over` says that there is nothing to wait for.
    pub(crate) async fn until_somebody_waits(&self, over: impl Fn() -> bool) {
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let client = self.client().await;
        for _ in 0..2_000 {
            if over() || client.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("nobody waits");
    }

    /// The only value of the only row.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        self.client()
            .await
            .query_one(query, &[])
            .await
            .unwrap_or_else(|error| panic!("{query}: {error:?}"))
            .get(0)
    }
}

impl Cluster {
    /// The cluster of a run of many processes: the first one starts it, and it ends with the process that started them.
    fn shared(run: &str) -> Cluster {
        let directory = std::env::temp_dir().join(format!("chappe-postgres-{run}"));
        let lock = fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres.lock")).unwrap();
        lock.lock().unwrap();
        if let Ok(port) = fs::read_to_string(directory.join("port")) {
            return Cluster { port: port.parse().unwrap(), directory, _until: None, _watch: None };
        }
        fs::create_dir(&directory).unwrap();
        let cluster = Cluster::start(directory, Some(std::os::unix::process::parent_id()));
        fs::write(cluster.directory.join("port"), cluster.port.to_string()).unwrap();
        cluster
    }

    /// Starts a cluster that lives as long as this process, or as another one.
    #[allow(clippy::zombie_processes)] // Whoever watches over it outlives this process.
    fn start(directory: PathBuf, as_long_as: Option<u32>) -> Cluster {
        let binaries = binaries();
        let owner = owner();
        let mine = |path: &Path| {
            if let Some((uid, gid)) = owner {
                chown(path, Some(uid), Some(gid)).unwrap();
            }
        };
        mine(&directory);
        let run = |program: &Path| {
            let mut command = Command::new(program);
            if let Some((uid, gid)) = owner {
                command.gid(gid).uid(uid);
            }
            command.current_dir(&directory).env("LC_ALL", "C").env("TZ", "UTC");
            command
        };
        let data = directory.join("data");
        let made = run(&binaries.join("initdb"))
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "--username", USER])
            .arg("--pgdata")
            .arg(&data)
            .output();
        succeed("initdb", made);
        certificate(&data, &mine);
        let hba = format!("host all {CAREFUL} all scram-sha-256\nhost all all 127.0.0.1/32 trust\n");
        fs::write(data.join("pg_hba.conf"), hba).unwrap();
        let port = port::free_port();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nssl = on\n\
             max_connections = 200\nshared_buffers = 32MB\nfsync = on\nautovacuum_naptime = 5s\n\
             log_min_messages = warning\nlog_line_prefix = '%m [%p] %d '\n"
        );
        fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        // The shell ends the server when its own input ends, which is when this process does; or when another one does.
        let until = match as_long_as {
            None => "read -r _".to_owned(),
            Some(process) => format!("while [ -d /proc/{process} ]; do sleep 0.2; done"),
        };
        let script = format!(
            r#""$1" -D "$2" >"$3/log" 2>&1 & server=$!
            {until}; kill -INT $server 2>/dev/null; wait $server; cd /; rm -rf "$3""#
        );
        let mut watch = run(Path::new("/bin/sh"))
            .args(["-c", &script, "sh"])
            .args([&binaries.join("postgres"), &data, &directory])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let until = watch.stdin.take();
        let cluster = Cluster { port, directory: directory.clone(), _until: until, _watch: Some(watch) };
        cluster.first_words(&format!("CREATE ROLE {CAREFUL} LOGIN PASSWORD '{PASSWORD}'"));
        cluster
    }

    /// Waits until the server answers, and tells it something.
    fn first_words(&self, words: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port);
        runtime.block_on(async {
            for _ in 0..600 {
                if let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
                    tokio::spawn(connection);
                    return client.batch_execute(words).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            panic!("PostgreSQL does not start:\n{log}");
        });
    }

    /// What the server has said so far, of all databases.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap()
    }

    /// The certificate that the server shows, for `localhost` and 127.0.0.1; signed by itself.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("data/server.crt")
    }
}

fn certificate(data: &Path, mine: &dyn Fn(&Path)) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let files = [("server.crt", made.cert.pem()), ("server.key", made.signing_key.serialize_pem())];
    for (name, text) in files {
        let path = data.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        mine(&path);
    }
}

/// Panics if a program did not end well.
pub(crate) fn succeed(what: &str, output: std::io::Result<Output>) {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One of PostgreSQL's programs.
#[allow(dead_code)] // The benchmark uses it.
pub(crate) fn tool(name: &str) -> PathBuf {
    binaries().join(name)
}

/// Where the programs of PostgreSQL are: the newest ones of the system, or those in the path.
fn binaries() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    versions.sort();
    let newest = versions.pop().map(|(_, path)| path);
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|directory| directory.join("initdb").exists())
    };
    newest
        .or_else(in_path)
        .unwrap_or_else(|| panic!("these tests need PostgreSQL 15 or newer: apt-get install postgresql"))
}

/// Whom the server runs as: PostgreSQL refuses root, so then as `postgres`, or `nobody`.
pub(crate) fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
        Some((ids.next()?, ids.next()?))
    };
    Some(ids("postgres").or(ids("nobody")).unwrap())
}
