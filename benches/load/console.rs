//! The console with a million requests in the account: how long each page takes.
//!
//! Pages are found as a person finds them: from the overview on, by their links. Two links that differ in nothing but an
//! id or a value are the same page.

use crate::TOKEN;
use crate::database::{Database, database};
use crate::server::Process;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// How many pages are measured at most; more are a fault of this benchmark.
const PAGES_MAX: usize = 300;
/// Other customers, for the operator's list.
const CUSTOMERS: &str = "500";
/// Where people begin.
const BEGIN: [&str; 8] =
    ["/overview", "/operator", "/operator/channels", "/profile", "/sessions", "/log", "/reference", "/"];
/// What no link leads to, but a form: each filter of each list.
const FILTERS: [&str; 22] = [
    "/requests?status=message",
    "/requests?status=sent",
    "/requests?status=delivered",
    "/requests?status=read",
    "/requests?status=verified",
    "/requests?status=expired",
    "/requests?status=revoked",
    "/requests?status=refunded",
    "/requests?status=checked",
    "/requests?country=IT",
    "/requests?country=AQ",
    "/requests?channel=voice",
    "/requests?q=%2B393331234567",
    "/reports?state=acknowledged",
    "/reports?q=example.com",
    "/reports?q=nowhere.example&state=lost",
    "/budget?kind=charge",
    "/budget?kind=refund",
    "/budget?kind=deposit",
    "/budget?kind=adjustment",
    "/log?what=report.&q=nobody",
    "/operator?q=neighbour+7",
];
/// What a page must have been, or this benchmark went astray.
const KNOWN: [&str; 24] = [
    "/overview?days=1",
    "/overview?days=90",
    "/requests",
    "/requests/*",
    "/reports",
    "/tokens",
    "/tokens/*",
    "/senders",
    "/budget",
    "/budget/add",
    "/team",
    "/profile",
    "/sessions",
    "/log",
    "/reference",
    "/sandbox",
    "/operator",
    "/operator/accounts/*",
    "/operator/senders",
    "/operator/channels",
    "/operator/prices",
    "/operator/log",
    "/",
    "/tokens/new",
];
/// What is no page, but written for as long as there is something to write.
const FILES: [&str; 2] = ["/requests.csv", "/budget.csv"];
/// How often a file is fetched.
const DOWNLOADS: usize = 3;
/// What every page should keep to, in milliseconds.
const AIM_MS: f64 = 100.0;

/// Fills a fresh database, and asks for every page again and again.
pub fn bench(chappe: &Path, postgres: bool) {
    let number = |name: &str, usual: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let (requests, rounds) = (number("CHAPPE_BENCH_REQUESTS", 1_000_000), number("CHAPPE_BENCH_LOOKS", 100));
    let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-console");
    let _ = std::fs::remove_dir_all(&data);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let database = postgres.then(|| runtime.block_on(database()));
    let house = House { chappe, data: &data, database: database.as_ref() };
    house.serve().end();
    let begin = Instant::now();
    house.run(&["seed", "--requests", &requests.to_string(), "--customers", CUSTOMERS]);
    println!("{requests} requests were seeded in {:.0} s", begin.elapsed().as_secs_f64());

    let server = house.serve();
    let person = Person::log_in(server.target.address);
    let pages = person.pages();
    let shapes: BTreeSet<String> = pages.iter().flat_map(|page| [shape(page), path_of(page)]).collect();
    let missing: Vec<_> = KNOWN.iter().filter(|page| !shapes.contains(**page)).collect();
    assert!(
        missing.is_empty() && pages.len() < PAGES_MAX,
        "{missing:?} of {} pages: {pages:#?}",
        pages.len()
    );
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores; each page {rounds} times, one after the other\n");
    println!("{:<72} {:>7} {:>9} {:>9}", "page", "KiB", "p50 ms", "p95 ms");
    let mut slow = 0;
    for page in &pages {
        let (mut took, mut bytes) = (Vec::new(), 0);
        for _ in 0..rounds {
            let begin = Instant::now();
            let answer = person.get(page);
            took.push(begin.elapsed().as_secs_f64() * 1000.0);
            assert_eq!(answer.status, 200, "{page}");
            bytes = answer.body.len();
        }
        took.sort_by(f64::total_cmp);
        let (p50, p95) = (took[rounds / 2], took[rounds * 95 / 100]);
        slow += usize::from(p95 > AIM_MS);
        let name: String = page.chars().take(72).collect();
        println!("{name:<72} {:>7.1} {p50:>9.1} {p95:>9.1}", bytes as f64 / 1024.0);
    }
    println!("\n{} pages, {slow} of them above {AIM_MS} ms at p95\n", pages.len());
    println!("{:<72} {:>7} {:>9}", "file, which is written as it is read", "MiB", "s");
    for file in FILES {
        let (mut took, mut bytes) = (Vec::new(), 0);
        for _ in 0..DOWNLOADS {
            let begin = Instant::now();
            let answer = person.get(file);
            took.push(begin.elapsed().as_secs_f64());
            assert_eq!(answer.status, 200, "{file}");
            bytes = answer.body.len();
        }
        took.sort_by(f64::total_cmp);
        println!("{file:<72} {:>7.1} {:>9.2}", bytes as f64 / 1024.0 / 1024.0, took[DOWNLOADS / 2]);
    }
    server.end();
    assert!(house.run(&["audit"]).contains("all invariants hold"), "the books are right after it");
    let _ = std::fs::remove_dir_all(&data);
}

/// A database of `chappe dev`.
struct House<'a> {
    chappe: &'a Path,
    data: &'a Path,
    database: Option<&'a Database>,
}

impl House<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.chappe);
        // What is said to the benchmark is no setting of the program's.
        command.env_remove("CHAPPE_BENCH_REQUESTS").env_remove("CHAPPE_BENCH_LOOKS");
        command.env("CHAPPE_DATA", self.data);
        if let Some(database) = self.database {
            command.env("CHAPPE_DATABASE", database.url());
        }
        command
    }

    fn serve(&self) -> Process {
        let mut command = self.command();
        command.args(["dev", "--listen", "127.0.0.1:0", "--token", TOKEN]);
        Process::start(command, TOKEN)
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.command().args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Somebody who looks at pages.
struct Person {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
}

impl Person {
    /// Logs in as the developer, with the code that the sandbox shows.
    fn log_in(address: SocketAddr) -> Person {
        let mut person = Person { address, cookies: BTreeMap::new() };
        person.post("/login", "phone_number=%2B9996600001");
        let message = person.get("/sandbox/messages/latest").body;
        let code = message.split_once("\"code\":\"").expect("a code").1.split('"').next().unwrap().to_owned();
        person.post("/login/code", &format!("code={code}"));
        assert_eq!(person.get("/overview").status, 200, "logged in");
        person
    }

    fn exchange(&self, method: &str, path: &str, form: &str) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut connection = TcpStream::connect(self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: text/html\r\nCookie: {}\r\n\
             Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.address,
            cookies.join("; "),
            form.len()
        );
        connection.write_all(head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Answer {
        self.exchange("GET", path, "")
    }

    fn post(&mut self, path: &str, form: &str) {
        let answer = self.exchange("POST", path, form);
        assert_eq!(answer.status, 303, "{path}: {}", answer.body);
        for line in answer.head.lines() {
            let Some(pair) = line.strip_prefix("set-cookie: ").and_then(|line| line.split(';').next()) else {
                continue;
            };
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Every page that links lead to.
    fn pages(&self) -> Vec<String> {
        let (mut known, mut pages, mut missing) = (BTreeSet::new(), Vec::new(), Vec::new());
        let mut ahead: VecDeque<String> =
            BEGIN.iter().chain(&FILTERS).map(|page| (*page).to_owned()).collect();
        while let Some(page) = ahead.pop_front().filter(|_| pages.len() < PAGES_MAX) {
            if !known.insert(shape(&page)) {
                continue;
            }
            let answer = self.get(&page);
            if answer.status != 200 {
                missing.push(format!("{page} ({})", answer.status));
                continue;
            }
            if !answer.head.contains("text/html") {
                continue;
            }
            let links = answer.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
            let links = links.map(|link| link.replace("&#38;", "&").replace("&amp;", "&"));
            let ours = |link: &String| {
                link.starts_with('/') && !link.starts_with("/assets/") && !link.contains(".csv")
            };
            let bare = |link: String| link.split('#').next().unwrap_or("").to_owned();
            ahead.extend(links.filter(ours).map(bare));
            pages.push(page);
        }
        if !missing.is_empty() {
            println!("links that lead to no page: {}", missing.join(", "));
        }
        pages
    }
}

/// A page without its ids.
fn path_of(page: &str) -> String {
    let path = page.split('?').next().unwrap_or_default();
    let segment = |segment: &str| match segment.bytes().any(|byte| byte.is_ascii_digit()) {
        true => "*".to_owned(),
        false => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// What tells a page from others, without its ids and values.
fn shape(page: &str) -> String {
    let query = page.split_once('?').map_or("", |(_, query)| query);
    // The few values of a status or a period may each make another plan; a number or a moment does not.
    let name = |pair: &str| match pair.split_once('=') {
        Some((name @ ("status" | "days" | "state" | "kind" | "what"), value)) => format!("{name}={value}"),
        Some((name @ "country", value @ "AQ")) => format!("{name}={value}"),
        Some((_, "")) => String::new(),
        Some((name, _)) => name.to_owned(),
        None => pair.to_owned(),
    };
    let mut names: Vec<String> = query.split('&').map(name).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let path = path_of(page);
    if names.is_empty() { path } else { format!("{path}?{}", names.join("&")) }
}
