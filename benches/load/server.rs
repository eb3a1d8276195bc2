//! The two servers under load: Chappe, and a bare echo on the same HTTP stack.

use crate::TOKEN;
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum_server::Handle;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Where to call.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// The token to call with; the echo takes none.
    pub token: Option<String>,
}

/// A server as a process of its own; ended when dropped.
pub struct Process {
    child: Child,
    pub target: Target,
}

/// Serves an echo of bodies until the process is ended.
pub fn echo() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bound = chappe::net::server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        println!("ready http://{}", bound.address());
        let router =
            Router::new().fallback(|body: Bytes| async { ([(CONTENT_TYPE, "application/json")], body) });
        bound.serve(router, None, Handle::new()).await.unwrap();
    });
}

impl Process {
    pub fn echo() -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("echo");
        Process::start(command, "")
    }

    /// A fresh database on the disk.
    pub fn chappe(binary: &Path, data: &Path) -> Process {
        let _ = std::fs::remove_dir_all(data);
        let mut command = Command::new(binary);
        command
            .args(["dev", "--listen", "127.0.0.1:0", "--balance", "100000000", "--token", TOKEN, "--data"])
            .arg(data);
        Process::start(command, TOKEN)
    }

    /// Starts a server that says when it is ready.
    pub fn start(mut command: Command, token: &str) -> Process {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ready http://").map(str::to_owned));
        let address = ready.expect("the server starts").parse().unwrap();
        let token = (!token.is_empty()).then(|| token.to_owned());
        Process { child, target: Target { address, token } }
    }

    /// Stops it as its operator would, so that it leaves the database in order.
    pub fn end(mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }

    /// Waits until every message was delivered, so that what follows is measured alone.
    pub fn settle(&self) {
        let mut last = 0;
        loop {
            std::thread::sleep(std::time::Duration::from_millis(500));
            let now = self.cpu_ticks();
            if now - last < 5 {
                return;
            }
            last = now;
        }
    }

    /// The most memory that was resident, in MB.
    pub fn peak_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
