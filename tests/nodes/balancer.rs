//! A real load balancer: HAProxy, as one would set it up in front of several servers.

use crate::database::port::free_port;
use crate::kept::{Kept, give};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running balancer.
pub(crate) struct Balancer {
    pub(crate) port: u16,
    _process: Kept,
    directory: TempDir,
    servers: usize,
}

impl Balancer {
    /// Spreads calls over the servers on these ports, as the operators' page says.
    pub(crate) fn over(ports: &[u16]) -> Balancer {
        Balancer::start(ports, "retries 3\n  option redispatch 1\n  retry-on conn-failure")
    }

    /// Spreads calls over these servers, and gives a call up whose server is not there.
    pub(crate) fn without_retries(ports: &[u16]) -> Balancer {
        Balancer::start(ports, "retries 0")
    }

    fn start(ports: &[u16], retries: &str) -> Balancer {
        let directory = tempfile::Builder::new().prefix("chappe-balancer-").tempdir().unwrap();
        give(directory.path());
        let port = free_port();
        let mut config = format!(
            "global\n  maxconn 1000\n  stats socket {directory}/stats\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n  timeout server 30s\n  \
             {retries}\n  option forwardfor\n  \
             option httpchk GET /readyz\n\
             frontend calls\n  bind 127.0.0.1:{port}\n  default_backend nodes\n\
             backend nodes\n  balance roundrobin\n  default-server check inter 100ms fall 2 rise 1\n",
            directory = directory.path().display()
        );
        for (at, port) in ports.iter().enumerate() {
            writeln!(config, "  server node{at} 127.0.0.1:{port}").unwrap();
        }
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        give(&file);
        let line = [program().into(), "-db".into(), "-f".into(), file.into()];
        let process = Kept::start(directory.path(), &line, "TERM");
        Balancer { port, _process: process, directory, servers: ports.len() }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until exactly these servers are sent calls.
    pub(crate) fn wait_for(&self, wanted: &[bool]) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.up() != wanted {
            assert!(Instant::now() < until, "{:?} instead of {wanted:?}: {}", self.up(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until every server is sent calls.
    pub(crate) fn wait_for_all(&self) {
        self.wait_for(&vec![true; self.servers]);
    }

    fn up(&self) -> Vec<bool> {
        let Ok(mut socket) = UnixStream::connect(self.directory.path().join("stats")) else {
            return Vec::new();
        };
        let mut table = String::new();
        if socket.write_all(b"show stat\n").is_err() || socket.read_to_string(&mut table).is_err() {
            return Vec::new();
        }
        let server = |line: &str| {
            let mut fields = line.split(',');
            let is_server = fields.next()? == "nodes" && fields.next()?.starts_with("node");
            is_server.then(|| fields.any(|field| field == "UP"))
        };
        table.lines().filter_map(server).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// Debian keeps it where the path of ordinary users does not lead.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join("haproxy")).find(|program| program.exists());
    found.unwrap_or_else(|| panic!("these tests need HAProxy: apt-get install haproxy"))
}
