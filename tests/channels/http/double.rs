//! A provider of SMS on this machine: it takes messages over a small HTTP API, records them, and misbehaves as it is told.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chappe::channels::ChannelSettings;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// How a provider answers a message.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// With this status and body, and a header if there is one.
    Json(u16, Value, Option<(&'static str, String)>),
    /// Takes the request in, and says yes once it is told to.
    Held(Arc<Notify>),
}

/// A message as the provider got it.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Taken {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The path of the address that it is to call back.
    pub(crate) fn callback(&self) -> String {
        let url = self.json()["callback"].as_str().unwrap().to_owned();
        url.strip_prefix(PUBLIC_URL).unwrap().to_owned()
    }

    /// The code in it.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

/// Where the provider is told to call back; it calls the server itself.
pub(crate) const PUBLIC_URL: &str = "https://codes.example";

/// A provider. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    taken: UnboundedReceiver<Taken>,
    task: JoinHandle<()>,
}

type Replies = Arc<dyn Fn(usize, &Taken) -> Reply + Send + Sync>;

struct Counter {
    taken: UnboundedSender<Taken>,
    count: std::sync::atomic::AtomicUsize,
    reply: Replies,
}

impl Provider {
    /// One that takes every message and calls the n-th one `m-n`.
    pub(crate) async fn accepting() -> Provider {
        Provider::replying(|at, _| accepted(at)).await
    }

    /// One that answers the n-th message, from 0, by `reply`.
    pub(crate) async fn replying(reply: impl Fn(usize, &Taken) -> Reply + Send + Sync + 'static) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Provider::at(listener, reply)
    }

    pub(crate) fn at(
        listener: TcpListener,
        reply: impl Fn(usize, &Taken) -> Reply + Send + Sync + 'static,
    ) -> Provider {
        let address = listener.local_addr().unwrap();
        let (heard, taken) = unbounded_channel();
        let counter = Counter { taken: heard, count: Default::default(), reply: Arc::new(reply) };
        let router = Router::new().fallback(take).with_state(Arc::new(counter));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Provider { address, taken, task }
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Taken {
        crate::support::must("a message", self.taken.recv()).await.unwrap()
    }

    /// How many messages have come that nobody has looked at.
    pub(crate) fn waiting(&self) -> usize {
        self.taken.len()
    }

    /// The settings of a channel that goes here, as an operator would write them, with what `more` changes.
    pub(crate) fn channel(&self, more: Value) -> ChannelSettings {
        channel(self.address, more)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The settings of a channel to a provider at this address.
pub(crate) fn channel(address: SocketAddr, more: Value) -> ChannelSettings {
    let mut settings = json!({
        "kind": "http",
        "url": format!("http://{address}/messages"),
        "from": "Example",
        "body": {
            "to": "{to}", "from": "{from}", "text": "{text}", "code": "{code}", "id": "{id}",
            "callback": "{callback_url}", "ttl": "{ttl_s}",
        },
        "reference": "/id",
        "reason": ["/error"],
        "callback": {
            "status": "/status", "reference": "/id", "reason": ["/error"],
            "delivered": ["delivered"], "read": ["read"], "failed": ["failed"],
        },
    });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    serde_json::from_value(settings).unwrap()
}

/// The usual yes.
pub(crate) fn accepted(at: usize) -> Reply {
    Reply::Json(201, json!({"id": format!("m-{at}"), "status": "queued"}), None)
}

/// Somebody who reads a request, tells of its body, and hangs up.
pub(crate) async fn hanging_up() -> (SocketAddr, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        // Ends with the last one who wants to hear of it.
        while let Ok((mut stream, _)) = listener.accept().await
            && !tell.is_closed()
        {
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the request ended early");
                request.extend_from_slice(&buffer[..read]);
            }
            let _ = tell.send(String::from_utf8(request).unwrap());
        }
    });
    (address, told)
}

async fn take(State(counter): State<Arc<Counter>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let taken = Taken {
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let at = counter.count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let reply = (counter.reply)(at, &taken);
    let _ = counter.taken.send(taken);
    match reply {
        Reply::Json(status, body, header) => {
            let status = StatusCode::from_u16(status).unwrap();
            let mut response = (status, body.to_string()).into_response();
            if let Some((name, value)) = header {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Reply::Held(held) => {
            held.notified().await;
            (StatusCode::CREATED, json!({"id": format!("m-{at}")}).to_string()).into_response()
        }
    }
}
