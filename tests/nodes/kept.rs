//! A process that ends when the test does, however that ends.

use crate::database::owner;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// The shell tells the process's id, and ends it when the shell's own input ends.
const WATCH: &str = r#"signal=$1; shift; "$@" >&2 & child=$!; echo $child; read -r _
    kill -s "$signal" $child 2>/dev/null; wait $child"#;

/// A running process.
pub(crate) struct Kept {
    pid: Pid,
    watch: Child,
    until: Option<ChildStdin>,
}

impl Kept {
    /// Starts a program in a directory, to be ended with this signal. What it says is added to a file there. Root runs
    /// it as somebody else: it needs no more rights.
    pub(crate) fn start(directory: &Path, line: &[OsString], signal: &str) -> Kept {
        let log = File::options().create(true).append(true).open(directory.join("log")).unwrap();
        let mut watch = unprivileged(Path::new("/bin/sh"), directory)
            .args(["-c", WATCH, "sh", signal])
            .args(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let until = watch.stdin.take();
        let mut said = String::new();
        BufReader::new(watch.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let pid = Pid::from_raw(said.trim().parse().unwrap()).unwrap();
        Kept { pid, watch, until }
    }

    /// Sends it a signal and waits until it is gone.
    pub(crate) fn end(mut self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
        self.wait();
    }

    /// Kills it and all that it has started, as a crash of its machine would.
    pub(crate) fn crash(mut self) {
        let id = self.pid.as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?));
        for pid in std::iter::once(self.pid).chain(children) {
            // Fails only if it has ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
        self.wait();
    }

    fn wait(&mut self) {
        self.until = None;
        let _ = self.watch.wait();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.wait();
    }
}

/// A program that is run in a directory with no more rights than it needs.
pub(crate) fn unprivileged(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = owner() {
        command.gid(gid).uid(uid);
    }
    command.current_dir(directory).env("LC_ALL", "C").env("TZ", "UTC");
    command
}

/// Gives a file to those who run [`unprivileged`] programs.
pub(crate) fn give(path: &Path) {
    if let Some((uid, gid)) = owner() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}
