//! An HTTP/1.1 client that sends exactly the bytes it is given, and shows exactly what came back.

use super::must;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request as it will stand on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    pub(crate) fn post(target: &str) -> Request {
        Request::new("POST", target)
    }

    /// Adds a header; what is said of `host` and `content-length` here is not overruled.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Request {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Request {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: impl ToString) -> Request {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn form(self, body: impl AsRef<[u8]>) -> Request {
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Request {
        self.body = body.as_ref().to_owned();
        self
    }

    /// The bytes on the wire: a `host` and a fitting `content-length` are added where they are missing.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let has = |name: &str| self.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
        let mut headers = self.headers.clone();
        if !has("host") {
            headers.insert(0, ("host".to_owned(), b"localhost".to_vec()));
        }
        let bodiless = self.body.is_empty() && self.method != "POST";
        if !has("content-length") && !has("transfer-encoding") && !bodiless {
            headers.push(("content-length".to_owned(), self.body.len().to_string().into_bytes()));
        }
        for (name, value) in headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(&value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn expects_body(&self) -> bool {
        self.method != "HEAD"
    }
}

/// An answer as it stood on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers, each line with its end.
    pub(crate) head: String,
    /// The body, freed from the chunks it may have come in.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().skip(1).find(named)?.split_once(':').map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}{:?}", self.head, self.body))
    }

    /// The result of a call that must have succeeded.
    pub(crate) fn result(&self) -> Value {
        let mut answer = self.json();
        assert_eq!((self.status, &answer["ok"]), (200, &Value::Bool(true)), "{answer}");
        answer["result"].take()
    }

    /// The error's name of a call that must have been refused; empty if it was not.
    pub(crate) fn error(&self) -> String {
        let answer = self.json();
        let refused = answer["ok"] == Value::Bool(false) && answer.get("result").is_none();
        if refused { answer["error"].as_str().unwrap_or_default().to_owned() } else { String::new() }
    }

    /// Status and error name, as tables of refusals hold them.
    pub(crate) fn verdict(&self) -> (u16, String) {
        (self.status, self.error())
    }
}

/// A connection that stays open from call to call.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// What came and was not looked at yet.
    unread: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream, unread: Vec::new() }
    }

    /// Sends bytes. A server that has said no already may not take them all: then its answer tells.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = must("bytes to be taken", self.stream.write_all(bytes)).await;
    }

    /// What comes, whatever it is; `None` once the connection is closed.
    pub(crate) async fn next_byte(&mut self) -> Option<u8> {
        self.take(1).await?.pop()
    }

    pub(crate) async fn exchange(&mut self, request: &Request) -> Answer {
        self.try_exchange(request).await.expect("the server closed the connection without an answer")
    }

    /// `None` if the connection was closed without an answer.
    pub(crate) async fn try_exchange(&mut self, request: &Request) -> Option<Answer> {
        self.send(&request.bytes()).await;
        self.read(request.expects_body()).await
    }

    /// The next answer; `None` if the connection was closed before it.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.read(true).await
    }

    async fn read(&mut self, with_body: bool) -> Option<Answer> {
        let mut answer = self.head().await?;
        while (100..200).contains(&answer.status) {
            answer = self.head().await?;
        }
        let chunked = answer.header("transfer-encoding").is_some_and(|coding| coding == "chunked");
        let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
        match length {
            _ if !with_body => {}
            _ if chunked => {
                while let Some(chunk) = self.chunk().await {
                    answer.body.extend(chunk);
                }
            }
            Some(length) => answer.body = self.take(length).await.expect("a body cut short"),
            None => {
                while self.more().await {}
                answer.body = std::mem::take(&mut self.unread);
            }
        }
        Some(answer)
    }

    /// Status line and headers.
    async fn head(&mut self) -> Option<Answer> {
        let end = self.find(b"\r\n\r\n").await?;
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        assert!(head.starts_with("HTTP/1."), "no status line: {head:?}");
        let status = head.get(9..12).unwrap().parse().unwrap();
        Some(Answer { status, head, body: Vec::new() })
    }

    /// The next chunk of a chunked body; `None` at its end.
    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = self.find(b"\r\n").await?;
        let line = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = self.take(length + 2).await?;
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }

    /// Waits for a mark; the position after it. `None` if the connection ends before.
    async fn find(&mut self, mark: &[u8]) -> Option<usize> {
        loop {
            let found = self.unread.windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                return Some(at + mark.len());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            if !self.more().await {
                return None;
            }
        }
        Some(self.unread.drain(..length).collect())
    }

    /// Reads what comes next. A connection that was reset has ended as well.
    async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let read = must("the server to say something", self.stream.read(&mut buffer)).await.unwrap_or(0);
        self.unread.extend_from_slice(buffer.get(..read).unwrap());
        read > 0
    }
}

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Events {
    connection: Connection,
    pub(crate) head: Answer,
    text: String,
}

impl Events {
    /// Listens; returns once the server has said that it does.
    pub(crate) async fn listen(mut connection: Connection, request: &Request) -> Events {
        connection.send(&request.bytes()).await;
        let head = connection.head().await.expect("an answer");
        assert_eq!(head.header("content-type"), Some("text/event-stream"), "{}", head.head);
        let mut events = Events { connection, head, text: String::new() };
        let hello = events.block().await.unwrap();
        assert!(hello.starts_with(": live"), "{hello:?}");
        events
    }

    /// The next event and its data; `None` once the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                block.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
            };
            if let (Some(event), Some(data)) = (field("event"), field("data")) {
                return Some((event, serde_json::from_str(&data).unwrap()));
            }
        }
    }

    /// The next event, which must be a message.
    pub(crate) async fn message(&mut self) -> Value {
        let (event, data) = self.next().await.expect("the stream has ended");
        assert_eq!(event, "message", "{data}");
        data
    }

    /// Waits until the message of this request has this delivery status.
    pub(crate) async fn until(&mut self, request: &str, status: &str) -> Value {
        loop {
            let message = self.message().await;
            if message["request_id"] == request && message["delivery_status"] == status {
                return message;
            }
        }
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                return Some(self.text.drain(..end + 2).collect());
            }
            self.text.push_str(std::str::from_utf8(&self.connection.chunk().await?).unwrap());
        }
    }
}
