//! A gateway that answers every call with the same bytes, and keeps what it was asked.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

use chappe_client::Client;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const TOKEN: &str = "AAAA-token";

pub struct Fake {
    pub base_url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Answers with this JSON and HTTP status 200.
    pub async fn answering(json: &str) -> Fake {
        Fake::with_status("200 OK", json).await
    }

    /// Answers with this status line and body.
    pub async fn with_status(status: &str, body: &str) -> Fake {
        let length = body.len();
        Fake::raw(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")).await
    }

    /// Answers with these bytes, then closes; with none, keeps the caller waiting for ever.
    pub async fn raw(answer: String) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                kept.lock().unwrap().push(request);
                if answer.is_empty() {
                    silent.push(stream);
                } else {
                    // The client may hang up before the end of an answer that is too large.
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        });
        Fake { base_url, requests }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.base_url, TOKEN).unwrap()
    }

    /// What was asked so far, to the byte.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request's first line, its headers in alphabetical order, and its body.
    pub fn request(&self) -> (String, Vec<String>, String) {
        let [request] = self.requests().try_into().unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n").map(str::to_owned);
        let first = lines.next().unwrap();
        let mut headers: Vec<String> = lines.collect();
        headers.sort();
        (first, headers, body.to_owned())
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text.into_owned();
            }
        }
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request ends early");
    }
}
