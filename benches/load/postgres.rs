//! One hot account over PostgreSQL: how many messages it takes, beside a transaction with a row lock for each.

use crate::client::run;
use crate::database::{Database, database, tool};
use crate::server::{Process, Target};
use crate::{median, rounds, sends, span};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const CONNECTIONS: usize = 256;

/// How many nodes work on the database, and whether all send for one account or each for its own.
const FORMS: [(usize, bool, &str); 5] = [
    (1, true, "Chappe over HTTP, one node"),
    (2, true, "two nodes, one account"),
    (4, true, "four nodes, one account"),
    (2, false, "two nodes, an account each"),
    (4, false, "four nodes, an account each"),
];

/// Sends over several nodes, and what pgbench makes of the naive form, all on one fresh cluster.
pub fn bench(chappe: &Path) {
    let (span, rounds) = (span(), rounds());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let database = runtime.block_on(database());
    let house = House::new(chappe, &database);
    runtime.block_on(database.run(include_str!("../naive/schema.sql")));

    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{cores} cores; {rounds} rounds of {} s each, {CONNECTIONS} connections to each node; medians\n",
        span.as_secs()
    );
    let mut naive = Vec::new();
    let mut sent = vec![Vec::new(); FORMS.len()];
    let mut numbers = 393_000_000_000u64;
    for _ in 0..rounds {
        naive.push(naive_per_second(&database, span));
        for ((nodes, one_account, _), results) in FORMS.iter().zip(&mut sent) {
            let nodes: Vec<Process> =
                (0..*nodes).map(|node| house.serve(if *one_account { 0 } else { node })).collect();
            let targets: Vec<&Target> = nodes.iter().map(|node| &node.target).collect();
            results.push(sent_per_second(&targets, span, &mut numbers));
            nodes.into_iter().for_each(Process::end);
        }
    }
    let naive = median(naive);
    println!("{:<52} {:>10} {:>8}", "messages, durable on PostgreSQL", "per second", "ratio");
    println!("{:<52} {naive:>10.0} {:>8.1}", "one account, a transaction each (pgbench)", 1.0);
    for ((_, _, name), results) in FORMS.iter().zip(sent) {
        let per_second = median(results);
        println!("{name:<52} {per_second:>10.0} {:>8.1}", per_second / naive);
    }
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
    /// A token of each account.
    tokens: Vec<String>,
}

impl House<'_> {
    fn new<'a>(chappe: &'a Path, database: &Database) -> House<'a> {
        let mut house = House { chappe, variables: Vec::new(), tokens: Vec::new() };
        let key = house.run(&["key", "generate"]).trim().to_owned();
        let setting = |name, value: &str| (name, value.to_owned());
        house.variables = vec![
            ("CHAPPE_KEY", key),
            ("CHAPPE_DATABASE", database.url()),
            setting("CHAPPE_TRUSTED_PROXIES", "[\"127.0.0.1\"]"),
            setting("CHAPPE_ROUTES__LIVE", "sandbox"),
            setting("CHAPPE_LIMITS__ACCOUNT_PER_SECOND", "0"),
            setting("CHAPPE_LOG__FILTER", "warn"),
            setting("CHAPPE_DRAIN_S", "0"),
        ];
        for number in 0..4 {
            let name = format!("customer{number}");
            house.run(&["account", "create", &name]);
            house.run(&["credit", &name, "100000000"]);
            let token = house.run(&["token", "create", &name, "--json"]);
            let token: serde_json::Value = serde_json::from_str(&token).unwrap();
            house.tokens.push(token["token"].as_str().unwrap().to_owned());
        }
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

    /// A node, to be called with the token of one account.
    fn serve(&self, account: usize) -> Process {
        Process::start(self.command(&["serve", "--listen", "127.0.0.1:0"]), &self.tokens[account])
    }
}
