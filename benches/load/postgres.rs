//! One hot account over PostgreSQL: how many messages it takes, beside a transaction with a row lock for each.

use crate::client::run;
use crate::database::{Database, database, tool};
use crate::server::{Process, Target};
use crate::{median, rounds, sends, span};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const CONNECTIONS: usize = 256;

/// Sends over one node and over two, and what pgbench makes of the naive form, all on one fresh cluster.
pub fn bench(chappe: &Path) {
    let (span, rounds) = (span(), rounds());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let database = runtime.block_on(database());
    let house = House::new(chappe, &database);
    runtime.block_on(database.run(include_str!("../naive/schema.sql")));

    println!(
        "{rounds} rounds of {} s each, {CONNECTIONS} connections to each node; medians\n",
        span.as_secs()
    );
    let (mut naive, mut one, mut two) = (Vec::new(), Vec::new(), Vec::new());
    let mut numbers = 393_000_000_000u64;
    for _ in 0..rounds {
        naive.push(naive_per_second(&database, span));
        let first = house.serve();
        one.push(sent_per_second(&[&first.target], span, &mut numbers));
        let second = house.serve();
        two.push(sent_per_second(&[&first.target, &second.target], span, &mut numbers));
    }
    let (naive, one, two) = (median(naive), median(one), median(two));
    println!("{:<52} {:>10} {:>8}", "messages of one account, durable on PostgreSQL", "per second", "ratio");
    println!("{:<52} {naive:>10.0} {:>8.1}", "a transaction with a row lock each (pgbench)", 1.0);
    println!("{:<52} {one:>10.0} {:>8.1}", "Chappe over HTTP, one node", one / naive);
    println!("{:<52} {two:>10.0} {:>8.1}", "Chappe over HTTP, two nodes", two / naive);
    assert!(house.run(&["audit"]).contains("all invariants hold"), "the books are right after it");
}

fn naive_per_second(database: &Database, span: Duration) -> f64 {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/naive/send.sql");
    let output = Command::new(tool("pgbench"))
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--client=64", "--file", script])
        .args(["--time", &span.as_secs().to_string(), &database.url()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let line = line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// As many connections to each node, each with a load of its own.
fn sent_per_second(nodes: &[&Target], span: Duration, numbers: &mut u64) -> f64 {
    let mut starts = Vec::new();
    for _ in nodes {
        starts.push(*numbers);
        *numbers += 100_000_000;
    }
    std::thread::scope(|scope| {
        let loads: Vec<_> = nodes
            .iter()
            .zip(starts)
            .map(|(node, mut first)| {
                scope.spawn(move || {
                    run(node, CONNECTIONS, span, sends(node, &mut first, usize::MAX)).per_second()
                })
            })
            .collect();
        loads.into_iter().map(|load| load.join().unwrap()).sum()
    })
}

/// A furnished database, and what every node and command is told.
struct House<'a> {
    chappe: &'a Path,
    variables: Vec<(&'static str, String)>,
    token: String,
}

impl House<'_> {
    fn new<'a>(chappe: &'a Path, database: &Database) -> House<'a> {
        let mut house = House { chappe, variables: Vec::new(), token: String::new() };
        let key = house.run(&["key", "generate"]).trim().to_owned();
        let setting = |name, value: &str| (name, value.to_owned());
        house.variables = vec![
            ("CHAPPE_KEY", key),
            ("CHAPPE_DATABASE", database.url()),
            setting("CHAPPE_TRUSTED_PROXIES", "[\"127.0.0.1\"]"),
            setting("CHAPPE_ROUTES__LIVE", "sandbox"),
            setting("CHAPPE_LIMITS__ACCOUNT_PER_SECOND", "0"),
            setting("CHAPPE_LOG__FILTER", "warn"),
        ];
        house.run(&["account", "create", "hot"]);
        house.run(&["credit", "hot", "100000000"]);
        let token = house.run(&["token", "create", "hot", "--json"]);
        let token: serde_json::Value = serde_json::from_str(&token).unwrap();
        house.token = token["token"].as_str().unwrap().to_owned();
        house
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.chappe);
        // Settings of the benchmark are none of the program's.
        command.env_remove("CHAPPE_BENCH_ROUNDS").env_remove("CHAPPE_BENCH_SECONDS");
        command.args(arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn serve(&self) -> Process {
        Process::start(self.command(&["serve", "--listen", "127.0.0.1:0"]), &self.token)
    }
}
