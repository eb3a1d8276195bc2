//! An upstream that misbehaves: it answers by a script, or stands in front of a real one and loses what it says.

use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};

/// What is done with a call.
#[derive(Clone, Debug)]
pub(super) enum Play {
    /// Answers with this status line and body.
    Answer(&'static str, String),
    /// Answers with these bytes, whatever they are, and closes.
    Raw(&'static str),
    /// Closes the connection without a word.
    Cut,
    /// Says nothing.
    Hang,
    /// Passes it on to a real one, and its answer back.
    Pass(SocketAddr),
    /// Passes it on, and closes once the answer is there.
    LoseAnswer(SocketAddr),
    /// Passes it on, and keeps the answer.
    KeepAnswer(SocketAddr),
}

/// A call as it came.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) head: String,
    pub(super) body: Value,
    bytes: Vec<u8>,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> &str {
        let named = |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head
            .lines()
            .find(named)
            .and_then(|line| line.split_once(':'))
            .map_or("", |(_, value)| value.trim())
    }

    /// The body to the byte.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap().split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

/// A running double. Ends when it is dropped.
pub(super) struct Double {
    pub(super) address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    /// Tells that one came.
    came: Arc<Notify>,
    /// Where it says that a real one has answered.
    passed: UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

type Script = Arc<dyn Fn(usize, &Call) -> Play + Send + Sync>;

impl Double {
    /// Plays `script` for each call; it is told how many came before.
    pub(super) async fn playing(script: impl Fn(usize, &Call) -> Play + Send + Sync + 'static) -> Double {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let (pass, passed) = unbounded_channel();
        let came = Arc::new(Notify::new());
        let (kept, script): (_, Script) =
            (Kept { calls: calls.clone(), came: came.clone() }, Arc::new(script));
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, kept.clone(), script.clone(), pass.clone()));
            }
        });
        Double { address, calls, came, passed, task }
    }

    /// Does the same with every call.
    pub(super) async fn always(play: Play) -> Double {
        Double::playing(move |_, _| play.clone()).await
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls of a method, or below a path, so far.
    pub(super) fn calls(&self, method: &str) -> Vec<Call> {
        let calls = self.calls.lock().unwrap().clone();
        calls.into_iter().filter(|call| call.method.starts_with(method)).collect()
    }

    /// Waits for the call of this number below a path, counted from 0.
    pub(super) async fn call(&self, path: &str, number: usize) -> Call {
        let came = async {
            loop {
                let came = self.came.notified();
                if let Some(call) = self.calls(path).get(number) {
                    return call.clone();
                }
                came.await;
            }
        };
        crate::support::must("a call", came).await
    }

    /// Waits until a real one has answered.
    pub(super) async fn until_passed(&mut self) {
        crate::support::must("a call to be passed on", self.passed.recv()).await.unwrap();
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where calls are kept.
#[derive(Clone)]
struct Kept {
    calls: Arc<Mutex<Vec<Call>>>,
    came: Arc<Notify>,
}

async fn serve(mut stream: TcpStream, kept: Kept, script: Script, pass: UnboundedSender<()>) {
    while let Some(call) = read(&mut stream).await {
        let count = {
            let mut calls = kept.calls.lock().unwrap();
            calls.push(call.clone());
            calls.len() - 1
        };
        kept.came.notify_waiters();
        match script(count, &call) {
            Play::Answer(status, body) => {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Play::Raw(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                return;
            }
            Play::Cut => return,
            Play::Hang => std::future::pending().await,
            Play::Pass(to) => {
                let answer = ask(to, &call.bytes).await;
                let _ = pass.send(());
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            Play::LoseAnswer(to) => {
                ask(to, &call.bytes).await;
                let _ = pass.send(());
                return;
            }
            Play::KeepAnswer(to) => {
                ask(to, &call.bytes).await;
                let _ = pass.send(());
                std::future::pending().await
            }
        }
    }
}

/// What a real one answers, to the byte.
async fn ask(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    message(&mut stream).await.unwrap()
}

async fn read(stream: &mut TcpStream) -> Option<Call> {
    let bytes = message(stream).await?;
    let text = String::from_utf8(bytes.clone()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let method = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let body = serde_json::from_str(body).unwrap_or_default();
    Some(Call { method, head: head.to_owned(), body, bytes })
}

/// One request or answer; `None` once there are no more.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(bytes);
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
