//! A directory to work in, the `chappe` program run in it, and a gateway as a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The token of every gateway that is started by [`Home::dev`].
pub(crate) const TOKEN: &str = "trial-token";
/// How long a gateway may take to say that it is ready before a test gives up on it. What the project promises is
/// asserted where it is the thing tested.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// How long a gateway that was asked to stop may take.
pub(crate) const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// A directory that is gone when the test ends.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Home {
        Home(tempfile::Builder::new().prefix("chappe-trial-").tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// `chappe ARGS`, with the data directory named and nothing of the settings of whoever runs the tests.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let built = || env!("CARGO_BIN_EXE_chappe").into();
        let mut command = Command::new(std::env::var_os("CHAPPE_TRIAL_PROGRAM").unwrap_or_else(built));
        self.settle(&mut command);
        command.args(args);
        command
    }

    /// Lets a command run in this directory: with the data directory named, and no setting from outside.
    pub(crate) fn settle(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHAPPE_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.current_dir(self.path()).env("CHAPPE_DATA", self.data()).stdin(Stdio::null());
        // No balancer stands in front, so none has to learn that a server stops.
        command.env("CHAPPE_DRAIN_S", "0");
    }

    /// `chappe dev` on a free port, with `balance` credits at least.
    pub(crate) fn dev(&self, balance: &str) -> Command {
        self.command(["dev", "--listen", "127.0.0.1:0", "--token", TOKEN, "--balance", balance])
    }

    /// Runs `chappe ARGS` to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        finish(self.command(args))
    }

    /// Audits the data directory; panics with what is broken, if anything is.
    pub(crate) fn audit(&self) {
        let audit = self.run(["audit", "--json"]);
        assert_eq!(audit.code, Some(0), "the audit found something: {}{}", audit.stdout, audit.stderr);
    }
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> Finished {
    let output = command.output().unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running gateway. It is killed when it is dropped.
pub(crate) struct Gateway {
    child: Child,
    /// What it said on standard output up to its `ready` line.
    pub(crate) greeting: Vec<String>,
    /// From its start to its `ready` line.
    pub(crate) ready_after: Duration,
    lines: Receiver<String>,
    log: Option<JoinHandle<String>>,
}

impl Gateway {
    /// Starts a gateway and waits until it is ready.
    pub(crate) fn start(command: Command) -> Gateway {
        Gateway::try_start(command).unwrap_or_else(|ended| panic!("the gateway did not start: {ended:?}"))
    }

    /// Starts a gateway and waits until it is ready, or until it has ended.
    pub(crate) fn try_start(command: Command) -> Result<Gateway, Finished> {
        let mut gateway = Gateway::spawn(command);
        let since = Instant::now();
        loop {
            match gateway.lines.recv_timeout(READY_PATIENCE) {
                Ok(line) => {
                    let ready = line.starts_with("ready ");
                    gateway.greeting.push(line);
                    if ready {
                        gateway.ready_after = since.elapsed();
                        return Ok(gateway);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(gateway.finish(STOP_PATIENCE)),
                Err(RecvTimeoutError::Timeout) => panic!("neither ready nor ended after {READY_PATIENCE:?}"),
            }
        }
    }

    /// Starts a gateway and waits for nothing.
    pub(crate) fn spawn(mut command: Command) -> Gateway {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        // Ends by itself when the process does.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let log = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Gateway { child, greeting: Vec::new(), ready_after: Duration::ZERO, lines, log: Some(log) }
    }

    /// The base URL, as the `ready` line tells it.
    pub(crate) fn base_url(&self) -> &str {
        self.greeting.last().and_then(|line| line.strip_prefix("ready ")).unwrap()
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.base_url().split_once("://").unwrap().1
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) -> Finished {
        self.child.kill().unwrap();
        self.finish(STOP_PATIENCE)
    }

    /// Sends it a signal: TERM, INT.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let line = "kill -s \"$1\" \"$2\"";
        assert!(Command::new("sh").args(["-c", line, "sh", name, &id]).status().unwrap().success());
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(self) -> Finished {
        self.signal("TERM");
        self.finish(STOP_PATIENCE)
    }

    /// Waits until it has ended by itself.
    pub(crate) fn finish(mut self, patience: Duration) -> Finished {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < patience, "still running after {patience:?}");
            std::thread::sleep(Duration::from_millis(2));
        };
        let mut lines = std::mem::take(&mut self.greeting);
        lines.extend(self.lines.iter());
        let stderr = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        Finished { code: status.code(), stdout: lines.join("\n"), stderr }
    }
}

/// No test leaves a process behind, whether it passes or fails.
impl Drop for Gateway {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
