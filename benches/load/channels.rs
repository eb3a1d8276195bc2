//! How many messages a second are delivered through a channel with a wire, beside the sandbox: from the first call to the
//! last receipt that is durable.

use crate::client::run;
use crate::server::Process;
use crate::smsc::{Act, Smsc};
use crate::{median, rounds, sends};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 64;
const MESSAGES: usize = 20_000;
/// Far longer than it takes.
const SPAN: Duration = Duration::from_secs(600);

/// Messages to the sandbox, and over one SMPP session to an SMSC that takes and confirms everything at once.
pub fn bench(chappe: &Path) {
    let rounds = rounds();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{cores} cores; {rounds} rounds of {MESSAGES} messages over {CONNECTIONS} connections each; medians\n"
    );
    let (mut sandbox, mut smpp) = (Vec::new(), Vec::new());
    let mut numbers = 393_000_000_000u64;
    for _ in 0..rounds {
        let server = serve(chappe, &[("CHAPPE_ROUTES__LIVE", "sandbox")]);
        let begin = Instant::now();
        run(&server.target, CONNECTIONS, SPAN, sends(&server.target, &mut numbers, MESSAGES));
        sandbox.push(per_second(begin.elapsed()));
        numbers += MESSAGES as u64;
        server.end();

        let smsc = runtime.block_on(Smsc::start(|_| Act::TakeAndReport(vec!["DELIVRD"])));
        let address = smsc.address.to_string();
        let server = serve(
            chappe,
            &[
                ("CHAPPE_ROUTES__LIVE", "sms"),
                ("CHAPPE_CHANNELS__SMS__KIND", "smpp"),
                ("CHAPPE_CHANNELS__SMS__ADDRESS", &address),
                ("CHAPPE_CHANNELS__SMS__SYSTEM_ID", "chappe"),
                ("CHAPPE_CHANNELS__SMS__PASSWORD", "secret"),
                ("CHAPPE_CHANNELS__SMS__WINDOW", "100"),
            ],
        );
        while smsc.binds() == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let begin = Instant::now();
        run(&server.target, CONNECTIONS, SPAN, sends(&server.target, &mut numbers, MESSAGES));
        runtime.block_on(async {
            for _ in 0..MESSAGES {
                smsc.verdict().await;
            }
        });
        smpp.push(per_second(begin.elapsed()));
        numbers += MESSAGES as u64;
        server.end();
    }
    let (sandbox, smpp) = (median(sandbox), median(smpp));
    println!("{:<40} {:>14} {:>8}", "messages delivered, durable", "per second", "ratio");
    println!("{:<40} {sandbox:>14.0} {:>8.2}", "the sandbox", 1.0);
    println!("{:<40} {smpp:>14.0} {:>8.2}", "SMPP, one session, a window of 100", smpp / sandbox);
}

fn per_second(took: Duration) -> f64 {
    MESSAGES as f64 / took.as_secs_f64()
}

/// A server over a fresh database, with a funded account.
fn serve(chappe: &Path, more: &[(&str, &str)]) -> Process {
    let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-channels");
    let _ = std::fs::remove_dir_all(&data);
    let command = |arguments: &[&str], key: &str| {
        let mut command = Command::new(chappe);
        // Settings of the benchmark are none of the program's.
        command.env_remove("CHAPPE_BENCH_ROUNDS").env_remove("CHAPPE_BENCH_SECONDS").args(arguments);
        command.env("CHAPPE_KEY", key).env("CHAPPE_DATA", &data);
        command
            .env("CHAPPE_TRUSTED_PROXIES", "[\"127.0.0.1\"]")
            .env("CHAPPE_LIMITS__ACCOUNT_PER_SECOND", "0");
        command.env("CHAPPE_LOG__FILTER", "error").env("CHAPPE_DRAIN_S", "0").envs(more.iter().copied());
        command
    };
    let output = |arguments: &[&str], key: &str| {
        let output = command(arguments, key).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let key = output(&["key", "generate"], "");
    let key = key.trim();
    output(&["account", "create", "customer"], key);
    output(&["credit", "customer", "100000000"], key);
    let token = output(&["token", "create", "customer", "--json"], key);
    let token: serde_json::Value = serde_json::from_str(&token).unwrap();
    Process::start(command(&["serve", "--listen", "127.0.0.1:0"], key), token["token"].as_str().unwrap())
}
