//! Stripe's API on loopback, as far as a checkout needs it, and faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub(super) const KEY: &str = "sk_test_of_a_double";

/// What goes wrong with one call.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// It is answered with this status and this body.
    Answer(u16, String),
    /// It is done, and then the connection is closed instead of an answer.
    Deaf,
}

/// A call as it came.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) idempotency_key: String,
    pub(super) form: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct World {
    calls: Vec<Call>,
    faults: VecDeque<Fault>,
    /// The sessions by their idempotency keys.
    sessions: BTreeMap<String, String>,
}

/// Stripe. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Stripe {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    task: JoinHandle<()>,
}

impl Stripe {
    pub(super) async fn start() -> Stripe {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let world = Arc::new(Mutex::new(World::default()));
        let task = tokio::spawn(accept(listener, world.clone()));
        Stripe { address, world, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// Lets the next calls meet faults.
    pub(super) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.world().faults.extend(faults);
    }

    /// Lets the next calls meet no fault.
    pub(super) fn mend(&self) {
        self.world().faults.clear();
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, world: Arc<Mutex<World>>) {
    // Ends its connections with it.
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        open.spawn(serve(stream, world.clone()));
    }
}

async fn serve(mut stream: TcpStream, world: Arc<Mutex<World>>) -> Option<()> {
    loop {
        let (head, body) = read(&mut stream).await?;
        let (status, answer) = {
            let mut world = world.lock().unwrap();
            match (world.answer(&head, &body), world.faults.pop_front()) {
                (_, Some(Fault::Answer(status, answer))) => (status, answer),
                (_, Some(Fault::Deaf)) => return None,
                (answer, None) => answer,
            }
        };
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {status} Some\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{answer}").as_bytes()).await.ok()?;
    }
}

fn header<'h>(head: &'h str, name: &str) -> &'h str {
    let named = |line: &'h str| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    head.lines().find_map(named).unwrap_or_default()
}

/// Reads a request: its head and its body.
async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut buffer, mut chunk) = (Vec::new(), [0; 4_096]);
    loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..at].to_vec()).ok()?;
            let length: usize = header(&head, "content-length").parse().unwrap_or(0);
            if buffer.len() >= at + 4 + length {
                return Some((head, buffer[at + 4..at + 4 + length].to_vec()));
            }
        }
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        buffer.extend_from_slice(&chunk[..count]);
    }
}

impl World {
    fn answer(&mut self, head: &str, body: &[u8]) -> (u16, String) {
        let known = head.starts_with("POST /v1/checkout/sessions HTTP/1.1")
            && header(head, "authorization") == format!("Bearer {KEY}")
            && header(head, "content-type") == "application/x-www-form-urlencoded";
        if !known {
            return (400, format!("{{\"error\":{{\"message\":{head:?}}}}}"));
        }
        let form = url::form_urlencoded::parse(body).into_owned().collect();
        let idempotency_key = header(head, "idempotency-key").to_owned();
        self.calls.push(Call { idempotency_key: idempotency_key.clone(), form });
        let next = self.sessions.len() + 1;
        let session = self.sessions.entry(idempotency_key).or_insert_with(|| format!("cs_{next}"));
        (200, format!("{{\"id\":{session:?},\"url\":\"https://checkout.stripe.example/c/{session}\"}}"))
    }
}
