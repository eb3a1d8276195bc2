//! The load generator: one thread, keep-alive connections, the next call as soon as the last one was answered.

use crate::server::Target;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How many digits a numbered call's number has.
pub const DIGITS: usize = 12;

/// What to send.
pub enum Load {
    /// The same bytes again and again.
    Repeat(Vec<u8>),
    /// Each of these once.
    Each(Vec<Vec<u8>>),
    /// The same bytes, but with the twelve digits at `at` counted up from `first`, `most` times.
    Numbered { bytes: Vec<u8>, at: usize, first: u64, most: usize },
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    pub answered: usize,
    pub took: Duration,
    pub latencies: Vec<Duration>,
    pub request_ids: Vec<String>,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    pub fn p50_ms(&self) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        sorted[sorted.len() / 2].as_secs_f64() * 1000.0
    }
}

struct Shared {
    load: Load,
    next: usize,
    outcome: Outcome,
}

impl Shared {
    fn next(&mut self) -> Option<Vec<u8>> {
        let index = self.next;
        self.next += 1;
        match &mut self.load {
            Load::Repeat(bytes) => Some(bytes.clone()),
            Load::Each(list) => list.get_mut(index).map(std::mem::take),
            Load::Numbered { bytes, at, first, most } => (index < *most).then(|| {
                let mut call = bytes.clone();
                let mut number = *first + index as u64;
                for digit in call[*at..*at + DIGITS].iter_mut().rev() {
                    *digit = b'0' + (number % 10) as u8;
                    number /= 10;
                }
                call
            }),
        }
    }
}

/// Runs a load until it is used up or the time is over. Any answer that is not a success ends the benchmark: a refusal
/// is cheaper than a call, and would make the figures lie.
pub fn run(target: &Target, connections: usize, span: Duration, load: Load) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shared = Rc::new(RefCell::new(Shared { load, next: 0, outcome: Outcome::default() }));
    let begin = Instant::now();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let tasks: Vec<_> = (0..connections)
            .map(|_| tokio::task::spawn_local(connection(target.clone(), shared.clone(), begin + span)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let mut outcome = std::mem::take(&mut shared.borrow_mut().outcome);
    outcome.took = begin.elapsed();
    outcome
}

async fn connection(target: Target, shared: Rc<RefCell<Shared>>, end: Instant) {
    let mut stream = TcpStream::connect(target.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 16 * 1024];
    while Instant::now() < end {
        let Some(call) = shared.borrow_mut().next() else { return };
        let begin = Instant::now();
        stream.write_all(&call).await.unwrap();
        let mut filled = 0;
        let body = loop {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "the server hung up");
            filled += read;
            if let Some(body) = body(&buffer[..filled]) {
                break body;
            }
        };
        let mut shared = shared.borrow_mut();
        shared.outcome.answered += 1;
        shared.outcome.latencies.push(begin.elapsed());
        if target.token.is_some() {
            let text = std::str::from_utf8(body).unwrap();
            assert!(text.starts_with("{\"ok\":true"), "{text}");
            if !text.contains("verification_status") {
                let at = text.find("request_id\":\"").unwrap() + 13;
                shared.outcome.request_ids.push(text[at..at + 15].to_owned());
            }
        }
    }
}

/// The body of a whole answer, once it is there.
fn body(bytes: &[u8]) -> Option<&[u8]> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.expect("answers have a length");
    (bytes.len() >= head_end + length).then(|| &bytes[head_end..head_end + length])
}
