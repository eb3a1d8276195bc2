//! Receivers of reports, good and bad, on sockets of this machine.

use super::must;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

/// What a receiver does with a report.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers with this status line (`200 OK`) and keeps the connection.
    Status(&'static str),
    /// Answers `302` to this address.
    Redirect(String),
    /// Says nothing, and keeps the connection open.
    Hang,
    /// Answers with one byte a second.
    Drip,
    /// Answers 200 with a body that never ends.
    Endless,
    /// Answers with what is no HTTP.
    Garbage,
    /// Resets the connection.
    Reset,
}

/// A report as it came.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Request line and headers, each line with its end.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    pub(crate) fn header(&self, name: &str) -> &str {
        let named = |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        let line = self.head.lines().skip(1).find(named);
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The delivery status that it tells.
    pub(crate) fn status(&self) -> String {
        self.json()["delivery_status"]["status"].as_str().unwrap().to_owned()
    }
}

/// A server that reports can be sent to. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    deliveries: UnboundedReceiver<Delivery>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Gives every report the same reply.
    pub(crate) async fn replying(reply: Reply) -> Receiver {
        Receiver::start(move |_| reply.clone()).await
    }

    /// Gives the n-th report, counted from 0, the reply of `reply(n)`.
    pub(crate) async fn start(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, deliveries) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, heard, connections.clone(), Arc::new(reply)));
        Receiver { address, deliveries, connections, task }
    }

    /// A callback URL of this receiver.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The next report.
    pub(crate) async fn next(&mut self) -> Delivery {
        must("a report", self.deliveries.recv()).await.unwrap()
    }

    /// A report that has come already, if there is one.
    pub(crate) fn waiting(&mut self) -> Option<Delivery> {
        self.deliveries.try_recv().ok()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Replies = Arc<dyn Fn(usize) -> Reply + Send + Sync>;

async fn accept(
    listener: TcpListener,
    heard: UnboundedSender<Delivery>,
    connections: Arc<AtomicUsize>,
    reply: Replies,
) {
    let count = Arc::new(AtomicUsize::new(0));
    // Ends its connections with it.
    let mut open = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        open.spawn(serve(stream, heard.clone(), count.clone(), reply.clone()));
    }
}

/// Serves one connection until either side has had enough.
async fn serve(
    mut stream: TcpStream,
    heard: UnboundedSender<Delivery>,
    count: Arc<AtomicUsize>,
    reply: Replies,
) {
    while let Some(delivery) = read(&mut stream).await {
        let reply = reply(count.fetch_add(1, Ordering::SeqCst));
        let _ = heard.send(delivery);
        let sent = match reply {
            Reply::Status(status) => {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                // A 204 has no body, whatever its headers say.
                let answer = if status.starts_with("204") { answer.trim_end_matches("ok") } else { &answer };
                stream.write_all(answer.as_bytes()).await
            }
            Reply::Redirect(to) => {
                let answer = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await
            }
            Reply::Hang => std::future::pending().await,
            Reply::Drip => drip(&mut stream).await,
            Reply::Endless => endless(&mut stream).await,
            Reply::Garbage => {
                let _ = stream.write_all(b"\x00\xff\x16\x03\x01 220 smtp ready\r\n\r\n").await;
                return;
            }
            Reply::Reset => {
                // Closing it now resets it.
                let _ = stream.set_zero_linger();
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".iter().cycle() {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(&[b'x'; 1024]).await?;
    }
}

/// One request with its body; `None` once there are no more.
async fn read(stream: &mut TcpStream) -> Option<Delivery> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8 * 1024];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = end {
            let delivery =
                Delivery { head: String::from_utf8(bytes[..end].to_vec()).unwrap(), body: Vec::new() };
            let length: usize = delivery.header("content-length").parse().unwrap_or(0);
            if bytes.len() >= end + length {
                return Some(Delivery { body: bytes[end..end + length].to_vec(), ..delivery });
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
