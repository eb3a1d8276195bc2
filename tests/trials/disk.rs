//! Disks that are full or fail: nothing is said that is not so, and nothing is half done.

use crate::gateway::{Finished, Gateway, Home, STOP_PATIENCE, TOKEN};
use crate::http::{Connection, Reply};
use crate::known::{PRICE, micros};
use crate::ledger::Ledger;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;

const CLIENTS: usize = 4;
/// How many messages of each client are kept unchecked.
const KEPT: usize = 3;
/// More calls than any of these gateways answers before its disk fails.
const CALLS_MAX: usize = 100_000;

/// What clients were told, all together.
#[derive(Default, Debug)]
struct Told {
    /// Requests that were acknowledged.
    ids: Vec<String>,
    charged: i64,
    /// Right codes that were answered as right.
    verified: Vec<String>,
    /// Sends that were refused as a fault of ours, or not answered.
    failed: i64,
    /// Code checks that were refused so.
    failed_checks: i64,
}

/// The disk takes no byte beyond a limit, for good: what SQLite cannot tell from a broken disk.
#[test]
fn a_write_that_fails_is_never_acknowledged() {
    let home = Home::new();
    Gateway::start(home.dev("100")).stop();
    // 1 or 2 MiB, as the shell counts. The signal that would end the process is ignored, so that the write itself fails.
    let limited = wrapped(&home, "sh", &["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$@\"", "sh"]);
    let (told, ended) = until_it_ends(Gateway::start(limited));
    assert_stopped_loudly(&ended);
    assert!(told.failed + told.failed_checks > 0 && !told.ids.is_empty(), "{told:?}");
    // What could not be written was not done.
    assert_books(&home, &told, 0);
    println!("failed writes: {} sends acknowledged, then {} refused", told.ids.len(), told.failed);
}

/// The disk does not confirm that it has written: what it holds is unknown from then on.
#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let Some(home) = home_with_strace("after_a_failed_sync_nothing_is_acknowledged") else { return };
    let wal = home.data().join("chappe.db-wal");
    let wal = wal.to_str().unwrap();
    // SQLite calls one or the other, as it was built.
    let inject = "inject=fsync,fdatasync:error=EIO:when=60+";
    let strace = ["-D", "-f", "-o", "/dev/null", "-P", wal, "-e", "trace=fsync,fdatasync", "-e", inject];
    let (told, ended) = until_it_ends(Gateway::start(wrapped(&home, "strace", &strace)));
    assert_stopped_loudly(&ended);
    assert!(told.failed + told.failed_checks > 0 && !told.ids.is_empty(), "{told:?}");
    // The batch whose sync failed may be on the disk all the same: its callers were told that nobody knows.
    assert_books(&home, &told, told.failed);
    println!("failed sync: {} sends acknowledged, then {} refused", told.ids.len(), told.failed);
}

/// The disk is full for a while: calls are refused, code checks fail closed, and then everything goes on.
#[test]
fn a_full_disk_refuses_and_recovers() {
    let Some(home) = home_with_strace("a_full_disk_refuses_and_recovers") else { return };
    let wal = home.data().join("chappe.db-wal");
    let wal = wal.to_str().unwrap();
    let inject = "inject=write,pwrite64:error=ENOSPC:when=600..700";
    let strace = ["-D", "-f", "-o", "/dev/null", "-P", wal, "-e", "trace=write,pwrite64", "-e", inject];
    let gateway = Gateway::start(wrapped(&home, "strace", &strace));
    let told = call_all(&gateway, |told, last| told.failed + told.failed_checks == 0 || last.in_a_row < 50);
    let ended = gateway.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("the disk is full"), "{}", ended.stderr);
    assert!(told.failed > 0 && told.failed_checks > 0, "{told:?}");
    assert_books(&home, &told, 0);
    println!(
        "full disk: {} sends acknowledged before and after, {} sends and {} code checks refused meanwhile",
        told.ids.len(),
        told.failed,
        told.failed_checks
    );
}

/// A home whose database exists, if this machine can make system calls fail.
fn home_with_strace(test: &str) -> Option<Home> {
    let probe = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!(
            "SKIPPED {test}: there is no strace here, or it may not trace; install it to run this trial"
        );
        return None;
    }
    let home = Home::new();
    Gateway::start(home.dev("100")).stop();
    Some(home)
}

/// `chappe dev` run by another program, which becomes it: the process that is started is the gateway itself.
fn wrapped(home: &Home, program: &str, args: &[&str]) -> Command {
    let dev = home.dev("100");
    let mut command = Command::new(program);
    home.settle(&mut command);
    command.args(args).arg(dev.get_program()).args(dev.get_args());
    command
}

/// Calls until the gateway has ended by itself. Once a call was refused as a fault, nothing more may be acknowledged.
fn until_it_ends(gateway: Gateway) -> (Told, Finished) {
    let told = call_all(&gateway, |told, last| {
        assert!(!(last.acknowledged && last.failed_before), "acknowledged after a fault: {told:?}");
        true
    });
    (told, gateway.finish(STOP_PATIENCE))
}

/// How a client's last call went.
struct Last {
    acknowledged: bool,
    /// Whether any client had met a fault before the call was made.
    failed_before: bool,
    /// How many calls of this client were acknowledged since its last fault.
    in_a_row: usize,
}

/// Lets clients call, each until its connection breaks or `go_on`, which hears what it was told, says no.
fn call_all(gateway: &Gateway, go_on: impl Fn(&Told, Last) -> bool + Sync) -> Told {
    let (address, go_on, failed) = (gateway.address(), &go_on, &AtomicBool::new(false));
    scope(|scope| {
        let call = |client| scope.spawn(move || call(address, client, failed, go_on));
        let clients: Vec<_> = (0..CLIENTS).map(call).collect();
        clients.into_iter().fold(Told::default(), |all, client| all.and(client.join().unwrap()))
    })
}

/// One client: sends and enters the right code, turn by turn. Some messages are kept unchecked for when sending fails:
/// then there is still a code to enter.
fn call(
    address: &str,
    client: usize,
    failed: &AtomicBool,
    go_on: &(impl Fn(&Told, Last) -> bool + Sync),
) -> Told {
    let (mut told, mut in_a_row) = (Told::default(), 0);
    let mut unchecked = Vec::new();
    // Of the last call, if it was refused: whether it was a check.
    let mut refused: Option<bool> = None;
    let Ok(mut connection) = Connection::open(address, TOKEN) else { return told };
    for serial in 0..CALLS_MAX {
        let failed_before = failed.load(Ordering::SeqCst);
        let checks = match refused {
            None => unchecked.len() > KEPT,
            Some(checked) => !checked && !unchecked.is_empty(),
        };
        let entered = if checks { Some(unchecked.remove(0)) } else { None };
        let (method, params) = match &entered {
            Some(id) => ("checkVerificationStatus", json!({ "request_id": id, "code": "123456" })),
            None => {
                let phone = format!("3934{client:02}{serial:06}");
                ("sendVerificationMessage", json!({ "phone_number": phone, "code": "123456" }))
            }
        };
        let reply = connection.call(method, &params);
        let lost = reply.is_err();
        let result = reply.ok().and_then(|reply| acknowledged(&reply, failed));
        in_a_row = if result.is_some() { in_a_row + 1 } else { 0 };
        refused = result.is_none().then_some(checks);
        match (&result, entered) {
            (Some(result), None) => {
                let id = result["request_id"].as_str().unwrap().to_owned();
                unchecked.push(id.clone());
                told.ids.push(id);
                told.charged += micros(&result["request_cost"]);
            }
            (Some(result), Some(id)) => {
                assert_eq!(result["verification_status"]["status"], "code_valid");
                told.verified.push(id);
            }
            (None, None) => told.failed += 1,
            (None, Some(id)) => {
                unchecked.push(id);
                told.failed_checks += 1;
            }
        }
        if lost || !go_on(&told, Last { acknowledged: result.is_some(), failed_before, in_a_row }) {
            return told;
        }
    }
    panic!("the disk has not failed within {CALLS_MAX} calls");
}

/// The result of a call that was acknowledged. One that was not says nothing but that it was a fault of ours.
fn acknowledged(reply: &Reply, failed: &AtomicBool) -> Option<Value> {
    if reply.status == 200 {
        return Some(reply.result());
    }
    let error = reply.error().unwrap_or_default();
    assert!(matches!((reply.status, error.as_str()), (500, "INTERNAL") | (503, "OVERLOADED")), "{reply:?}");
    failed.store(true, Ordering::SeqCst);
    None
}

/// The server has ended by itself, and says why.
fn assert_stopped_loudly(ended: &Finished) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("the database can no longer be trusted"), "{}", ended.stderr);
}

/// With a disk that works again: the books are right, and hold what was acknowledged and at most `doubtful` sends more.
fn assert_books(home: &Home, told: &Told, doubtful: i64) {
    home.audit();
    let gateway = Gateway::start(home.dev("0"));
    home.audit();
    let mut connection = Connection::open(gateway.address(), TOKEN).unwrap();
    let ledger = Ledger::read(&home.data());
    for id in &told.ids {
        assert!(ledger.requests.contains(id), "{id} is gone");
    }
    let most = told.charged + doubtful * PRICE;
    assert!((told.charged..=most).contains(&ledger.charges), "{} charged: {told:?}", ledger.charges);
    for id in &told.verified {
        let status = connection.call("checkVerificationStatus", &json!({ "request_id": id })).unwrap();
        assert_eq!(status.result()["verification_status"]["status"], "code_valid", "{id}");
    }
    let balance = connection.call("getBalance", &json!({})).unwrap().result();
    assert_eq!(micros(&balance["balance"]), ledger.balance);
    assert_eq!(gateway.stop().code, Some(0));
}

impl Told {
    fn and(mut self, other: Told) -> Told {
        self.ids.extend(other.ids);
        self.verified.extend(other.verified);
        self.charged += other.charged;
        self.failed += other.failed;
        self.failed_checks += other.failed_checks;
        self
    }
}
