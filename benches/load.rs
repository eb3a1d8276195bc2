//! The load benchmark: what a durable call costs beside a bare echo of the same bytes on the same HTTP stack, in the
//! same run, on the same machine. Ratios are what counts: the times alone say more about the machine.
//!
//! `./bench` builds and runs it. One thread generates the load over keep-alive connections; the server and the echo are
//! processes of their own.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]
#![allow(clippy::float_arithmetic, clippy::indexing_slicing)]

#[path = "load/channels.rs"]
mod channels;
#[path = "load/client.rs"]
mod client;
#[path = "load/console.rs"]
mod console;
#[path = "../tests/support/postgres.rs"]
#[allow(dead_code, clippy::disallowed_methods)] // The tests use all of it.
mod database;
#[path = "load/postgres.rs"]
mod postgres;
#[path = "load/server.rs"]
mod server;
#[path = "../tests/channels/smpp/smsc.rs"]
#[allow(dead_code)] // The tests use all of it.
mod smsc;

use client::{DIGITS, Load, run};
use server::{Process, Target};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const CONNECTIONS: [usize; 2] = [64, 256];
const TOKEN: &str = "chappe_live_benchmark";
const CODE: &str = "123456";

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        Some("echo") => server::echo(),
        Some(binary) => {
            let binary = PathBuf::from(binary);
            match args.next().as_deref() {
                None => bench(&binary),
                Some("postgres") => postgres::bench(&binary),
                Some("channels") => channels::bench(&binary),
                Some("console") => console::bench(&binary, args.next().as_deref() == Some("postgres")),
                Some(other) => {
                    panic!("there is no benchmark {other:?}: give none, postgres, channels or console")
                }
            }
        }
        None => panic!("give the path of the chappe program; `./bench` does"),
    }
}

fn bench(chappe: &std::path::Path) {
    let (span, rounds) = (span(), rounds());
    let seconds = span.as_secs();
    let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-data");
    let _ = std::fs::remove_dir_all(&data);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores; {rounds} rounds of {seconds} s each; medians\n");

    let mut numbers = 393_000_000_000u64;
    println!(
        "{:<38} {:>6} {:>12} {:>12} {:>8}",
        "durable calls beside a bare echo", "conns", "echo/s", "calls/s", "ratio"
    );
    for connections in CONNECTIONS {
        let mut results: [Vec<(f64, f64)>; 2] = Default::default();
        for _ in 0..rounds {
            let echo = Process::echo();
            let bytes = send(&echo.target, numbers);
            let echoed = run(&echo.target, connections, span, Load::Repeat(bytes)).per_second();
            drop(echo);

            let server = Process::chappe(chappe, &data);
            let sent =
                run(&server.target, connections, span, sends(&server.target, &mut numbers, usize::MAX));
            results[0].push((echoed, sent.per_second()));
            numbers += 10_000_000;
            drop(server);

            let server = Process::chappe(chappe, &data);
            let wanted = (sent.per_second() * seconds as f64 * 4.0) as usize;
            let prepared = run(
                &server.target,
                256,
                Duration::from_secs(600),
                sends(&server.target, &mut numbers, wanted),
            );
            numbers += 10_000_000;
            server.settle();
            let checks = prepared.request_ids.iter().map(|id| check(&server.target, id)).collect();
            let checked = run(&server.target, connections, span, Load::Each(checks));
            assert!(checked.answered < wanted, "not enough requests were prepared");
            results[1].push((echoed, checked.per_second()));
            if connections == 256 && results[1].len() == rounds {
                println!(
                    "{:<38} {:>6} {:>34}",
                    "resident memory, highest",
                    connections,
                    format!("{} MB", server.peak_mb())
                );
            }
        }
        for (name, pairs) in
            ["sendVerificationMessage", "checkVerificationStatus with a code"].iter().zip(&results)
        {
            let ratio = median(pairs.iter().map(|(echo, calls)| calls / echo).collect());
            let echo = median(pairs.iter().map(|(echo, _)| *echo).collect());
            let calls = median(pairs.iter().map(|(_, calls)| *calls).collect());
            println!("{name:<38} {connections:>6} {echo:>12.0} {calls:>12.0} {ratio:>8.2}");
        }
    }
    one_connection(chappe, &data, numbers, rounds);
    let _ = std::fs::remove_dir_all(&data);
}

/// How long each load lasts.
fn span() -> Duration {
    let seconds = std::env::var("CHAPPE_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(4))
}

fn rounds() -> usize {
    std::env::var("CHAPPE_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// One caller alone: how much is added to what the disk itself takes.
fn one_connection(chappe: &std::path::Path, data: &std::path::Path, mut numbers: u64, rounds: usize) {
    println!("\n{:<38} {:>12} {:>12} {:>12}", "one connection, p50 in ms", "fdatasync", "send", "added");
    let mut rows = Vec::new();
    for _ in 0..rounds {
        let disk = disk_p50(data);
        let server = Process::chappe(chappe, data);
        let sent =
            run(&server.target, 1, Duration::from_secs(600), sends(&server.target, &mut numbers, 2_000));
        numbers += 10_000_000;
        rows.push((disk, sent.p50_ms()));
    }
    let disk = median(rows.iter().map(|(disk, _)| *disk).collect());
    let send = median(rows.iter().map(|(_, send)| *send).collect());
    let added = median(rows.iter().map(|(disk, send)| send - disk).collect());
    println!("{:<38} {disk:>12.3} {send:>12.3} {added:>12.3}", "sendVerificationMessage");
}

/// What it takes to make 16 KiB durable at the end of a file, as a commit does.
fn disk_p50(directory: &std::path::Path) -> f64 {
    use std::io::Write;
    std::fs::create_dir_all(directory).unwrap();
    let path = directory.join("fdatasync");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut took = Vec::new();
    for _ in 0..500 {
        let begin = Instant::now();
        file.write_all(&[7; 16 * 1024]).unwrap();
        file.sync_data().unwrap();
        took.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(&path).unwrap();
    median(took)
}

fn sends(target: &Target, first: &mut u64, most: usize) -> Load {
    let bytes = send(target, *first);
    let number = first.to_string();
    assert_eq!(number.len(), DIGITS);
    let at = bytes.windows(DIGITS).position(|window| window == number.as_bytes()).unwrap();
    Load::Numbered { bytes, at, first: *first, most }
}

fn send(target: &Target, number: u64) -> Vec<u8> {
    post(
        target,
        "sendVerificationMessage",
        &format!("{{\"phone_number\":\"+{number}\",\"code\":\"{CODE}\",\"ttl\":60}}"),
    )
}

fn check(target: &Target, request: &str) -> Vec<u8> {
    post(target, "checkVerificationStatus", &format!("{{\"request_id\":\"{request}\",\"code\":\"{CODE}\"}}"))
}

fn post(target: &Target, method: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /{method} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        target.address,
        target.token.as_deref().unwrap_or(TOKEN),
        body.len()
    )
    .into_bytes()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
