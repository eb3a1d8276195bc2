//! As much of HTTP as a client of the gateway needs, with nothing between a test and its socket: a call that was cut
//! off is known to have been cut off, and nothing is ever sent twice behind a test's back.

use serde_json::Value;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any answer takes, so that a gateway that hangs fails a test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that is kept over many calls.
pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    host: String,
    token: String,
    received: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Connection {
    /// Connects to `address`, to call with `token`.
    pub(crate) fn open(address: &str, token: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection::over(stream, address, token))
    }
}

impl<S: Read + Write> Connection<S> {
    /// Speaks over a stream that is connected already.
    pub(crate) fn over(stream: S, host: &str, token: &str) -> Connection<S> {
        Connection { stream, host: host.to_owned(), token: token.to_owned(), received: Vec::new() }
    }

    /// Calls a method of the API. An error means that no whole answer came.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Reply> {
        self.call_with(method, params, "")
    }

    /// Calls a method of the API with an idempotency key.
    pub(crate) fn call_keyed(&mut self, method: &str, params: &Value, key: &str) -> Result<Reply> {
        self.call_with(method, params, &format!("Idempotency-Key: {key}\r\n"))
    }

    /// Calls a method of the API with further headers, each ended by a line break.
    pub(crate) fn call_with(&mut self, method: &str, params: &Value, headers: &str) -> Result<Reply> {
        let Connection { host, token, .. } = self;
        let body = params.to_string();
        let length = body.len();
        let request = format!(
            "POST /{method} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.exchange(&request)
    }

    /// Sends a whole request as it stands, and reads the answer.
    pub(crate) fn exchange(&mut self, request: &str) -> Result<Reply> {
        self.stream.write_all(request.as_bytes())?;
        self.stream.flush()?;
        let head_end = loop {
            match find(&self.received, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.receive()?,
            }
        };
        let head = String::from_utf8_lossy(self.received.get(..head_end).unwrap_or(&[])).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(garbled)?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let end = head_end + length.ok_or_else(garbled)?;
        while self.received.len() < end {
            self.receive()?;
        }
        let rest = self.received.split_off(end);
        let body = std::mem::replace(&mut self.received, rest).split_off(head_end);
        Ok(Reply { status, text: String::from_utf8(body).map_err(|_| garbled())? })
    }

    fn receive(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        let count = loop {
            match self.stream.read(&mut chunk) {
                // With a time limit on the socket, the system may give up early for no reason of the gateway's.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.received.extend_from_slice(chunk.get(..count).unwrap_or(&[]));
        Ok(())
    }
}

impl Reply {
    /// The answer as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// What was asked for; panics if the call was refused.
    pub(crate) fn result(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        let mut json = self.json();
        assert_eq!(json["ok"], true, "{self:?}");
        json["result"].take()
    }

    /// The error's name; `None` if the call was not refused.
    pub(crate) fn error(&self) -> Option<String> {
        self.json()["error"].as_str().map(str::to_owned)
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

fn garbled() -> Error {
    ErrorKind::InvalidData.into()
}
