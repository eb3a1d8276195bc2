//! Reports from several nodes to a receiver that answers, while nodes are killed. These are `chappe dev` over one database:
//! `chappe serve` sends reports to the public internet alone.
//!
//! `CHAPPE_TRIAL_REPORT_KILLS=100` is the long form.

use crate::gateway::{Gateway, Home, TOKEN};
use crate::house::take_turn;
use crate::http::Connection;
use crate::seeded::{Seeded, number, seed};
use crate::server::Postgres;
use chappe_client::report::{DEFAULT_TOLERANCE, verify_report};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

const NODES: usize = 3;
/// How often a node is killed in every run.
const KILLS: u64 = 6;
/// Between two messages. Each makes two reports: that it was delivered, and a second later that it was read.
const PACE: Duration = Duration::from_millis(40);
/// How long the receiver takes to answer, so that a kill finds attempts under way.
const ANSWERS_AFTER: Duration = Duration::from_millis(150);
/// A lease of 30 seconds that a killed node held, the pause after an attempt that failed, and time to work.
const THROUGH_WITHIN: Duration = Duration::from_secs(120);

/// What the receiver does with a report that it hears for the first time. The next time it says yes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Yes,
    No,
    /// The connection is closed without a word.
    Nothing,
}

/// A report as it was heard.
#[derive(Debug)]
struct Heard {
    request: String,
    seq: u8,
    status: String,
    answer: Answer,
}

/// All that a receiver has heard.
#[derive(Default)]
struct Told {
    reports: Vec<Heard>,
    /// What was wrong with others.
    wrong: Vec<String>,
}

/// Hears reports, each with a signature that must be right. Ends with the process.
struct Receiver {
    address: SocketAddr,
    told: Arc<Mutex<Told>>,
}

impl Receiver {
    fn new() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Receiver { address, told: Arc::default() };
        let told = receiver.told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let told = told.clone();
                // A sender that was killed ends its connections as well.
                std::thread::spawn(move || while hear(&stream, &told).is_ok_and(|goes_on| goes_on) {});
            }
        });
        receiver
    }
}

impl Told {
    /// Notes a report, or what is wrong with it; what to answer.
    fn note(&mut self, report: std::result::Result<(String, u8, String), String>) -> Answer {
        let (request, seq, status) = match report {
            Ok(report) => report,
            Err(why) => {
                self.wrong.push(why);
                return Answer::No;
            }
        };
        let first = !self.reports.iter().any(|heard| heard.request == request && heard.seq == seq);
        let fate = request.bytes().map(u64::from).sum::<u64>() + u64::from(seq);
        let answer = match fate % 9 {
            0 if first => Answer::No,
            1 if first => Answer::Nothing,
            _ => Answer::Yes,
        };
        self.reports.push(Heard { request, seq, status, answer });
        answer
    }
}

/// Hears one report and answers it; says whether another may come over the same connection.
fn hear(mut stream: &TcpStream, told: &Mutex<Told>) -> Result<bool> {
    let mut reader = BufReader::new(stream);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None if line.trim_end().is_empty() => break,
            None => None, // The request line.
        };
    }
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let answer = told.lock().unwrap_or_else(PoisonError::into_inner).note(read(&header, &body));
    std::thread::sleep(ANSWERS_AFTER);
    let status = match answer {
        Answer::Yes => "200 OK",
        Answer::No => "503 Service Unavailable",
        Answer::Nothing => return Ok(false),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
    Ok(true)
}

/// A report's request, its number and what it tells, if it is signed as it should be.
fn read<'a>(
    header: &impl Fn(&str) -> &'a str,
    body: &[u8],
) -> std::result::Result<(String, u8, String), String> {
    let signature = header("x-request-signature");
    let now = SystemTime::now();
    let told = verify_report(TOKEN, header("x-request-timestamp"), signature, body, now, DEFAULT_TOLERANCE);
    told.map_err(|error| format!("{error}: {}", String::from_utf8_lossy(body)))?;
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let id = header("webhook-id");
    let (request, seq) = id.split_once('-').ok_or_else(|| format!("the id {id:?}"))?;
    let status = body["delivery_status"]["status"].as_str().unwrap_or_default().to_owned();
    if body["request_id"] != request {
        return Err(format!("{id} is about {body}"));
    }
    Ok((request.to_owned(), seq.parse().map_err(|_| format!("the id {id:?}"))?, status))
}

/// Nodes that are started again when they were killed.
struct Nodes {
    home: Home,
    database: String,
    running: Vec<Mutex<Option<Gateway>>>,
}

impl Nodes {
    fn new(database: &Postgres) -> Nodes {
        let running = (0..NODES).map(|_| Mutex::default()).collect();
        let nodes = Nodes { home: Home::new(), database: database.url(), running };
        (0..NODES).for_each(|at| nodes.start(at));
        nodes
    }

    fn on(&self, mut command: Command) -> Command {
        command.env("CHAPPE_DATABASE", &self.database);
        command
    }

    fn start(&self, at: usize) {
        *self.running[at].lock().unwrap() = Some(Gateway::start(self.on(self.home.dev("100"))));
    }

    fn kill(&self, at: usize) {
        let gateway = self.running[at].lock().unwrap().take();
        gateway.unwrap().kill();
    }

    fn address(&self, at: usize) -> Option<String> {
        self.running[at].lock().unwrap().as_ref().map(|gateway| gateway.address().to_owned())
    }
}

/// Sends messages through one node after the other until told to stop; the requests that were acknowledged.
fn send(nodes: &Nodes, url: &str, stop: &AtomicBool) -> Vec<String> {
    let (mut acknowledged, mut connections) = (Vec::new(), HashMap::new());
    for serial in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(PACE);
        let Some(address) = nodes.address(serial % NODES) else { continue };
        let open = || Connection::open(&address, TOKEN).ok();
        let Some(connection) = connections.remove(&address).or_else(open) else { continue };
        let mut connection: Connection = connection;
        // Read a second after it was delivered.
        let phone = format!("999661{:04}", serial % 10_000);
        let message = json!({ "phone_number": phone, "code": "4711", "callback_url": url });
        if let Ok(reply) = connection.call("sendVerificationMessage", &message) {
            if reply.status == 200 {
                acknowledged.push(reply.result()["request_id"].as_str().unwrap().to_owned());
            }
            connections.insert(address, connection);
        }
    }
    acknowledged
}

#[test]
fn reports_come_at_least_once_and_in_order_whoever_is_killed() {
    let _turn = take_turn();
    let begun = Instant::now();
    let (database, receiver) = (Postgres::new(), Receiver::new());
    let nodes = Nodes::new(&database);
    let url = format!("http://{}/hook", receiver.address);
    let kills = number("CHAPPE_TRIAL_REPORT_KILLS").unwrap_or(KILLS);
    let mut random = Seeded(seed());
    let stop = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(&nodes, &url, &stop));
        for _ in 0..kills {
            std::thread::sleep(Duration::from_millis(1_000 + random.below(1_000)));
            let node = random.place(NODES);
            nodes.kill(node);
            nodes.start(node);
        }
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    database.wait_for("SELECT count(*) FROM request WHERE delivery <> 'read'", "0", THROUGH_WITHIN);
    database.wait_for("SELECT count(*) FROM report WHERE state = 'pending'", "0", THROUGH_WITHIN);
    for at in 0..NODES {
        let gateway = nodes.running[at].lock().unwrap().take().unwrap();
        assert_eq!(gateway.stop().code, Some(0));
    }
    let audit = crate::gateway::finish(nodes.on(nodes.home.command(["audit"])));
    assert_eq!(audit.code, Some(0), "{audit:?}");

    let told = receiver.told.lock().unwrap();
    assert!(told.wrong.is_empty(), "{:?}", told.wrong);
    let mut said_yes = HashSet::new();
    let mut last = HashMap::new();
    let (mut again, mut first) = (0, HashSet::new());
    for report in &told.reports {
        let Heard { request, seq, status, answer } = report;
        assert_eq!(status, ["delivered", "read"][usize::from(*seq) - 1], "{report:?}");
        assert!(
            *seq == 1 || said_yes.contains(&(request, *seq - 1)),
            "before the one before it was taken: {report:?}"
        );
        let before = last.insert(request, *seq).unwrap_or(1);
        assert!(before <= *seq, "after the one behind it: {report:?}");
        if said_yes.contains(&(request, *seq)) {
            again += 1;
        }
        if *answer == Answer::Yes {
            said_yes.insert((request, *seq));
        }
        first.insert((request, *seq));
    }
    let stored: Vec<_> =
        database.query("SELECT id FROM request").into_iter().map(|mut row| row.remove(0)).collect();
    for id in &acknowledged {
        assert!(stored.contains(id), "an acknowledged request is gone");
    }
    for id in &stored {
        for seq in [1, 2] {
            assert!(said_yes.contains(&(id, seq)), "report {seq} of {id} never came through");
        }
    }
    assert_eq!(first.len(), stored.len() * 2, "a report of nothing");
    // What was sent, and not noted when its node died. Were there none, the kills have met nothing.
    assert!(again > 0, "no kill came between an answer and its note");
    println!(
        "reports: {kills} kills of {NODES} nodes, {} requests, {} reports heard for {} to be told, {again} of them again \
         after a yes, none lost, all in order, in {:?}",
        stored.len(),
        told.reports.len(),
        first.len(),
        begun.elapsed()
    );
}
