//! A wire between a store and its database that can be cut at the worst moment.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens at the next COMMIT that comes along, if nothing else is said; once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Both ends are cut before the server hears of it.
    Before,
    /// The server has done it, and its answer is lost.
    After,
    /// The client is cut; the server keeps waiting in the middle of the transaction.
    Hanging,
    /// From now on the server hears nothing. At the COMMIT the client is cut; what it said comes through all the same, at
    /// [`Proxy::let_through`].
    Late,
    /// The server has done it, its answer is lost, and nobody gets through any more.
    AfterForGood,
    /// At a ROLLBACK instead: the server never hears of it, nor the client that it did not.
    Rollback,
    /// Not at anything, but at once: everything is taken in, nothing gets through and nobody is told, until
    /// [`Proxy::open`].
    Silent,
}

#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    cut: Option<Cut>,
    closed: bool,
}

/// The wire.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    plan: Arc<Mutex<Plan>>,
    late: Arc<Notify>,
}

impl Proxy {
    /// A wire to the server on this port.
    pub(crate) async fn to(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan: Arc<Mutex<Plan>> = Arc::default();
        let late = Arc::new(Notify::new());
        let proxy = Proxy { port, plan: plan.clone(), late: late.clone() };
        tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let Plan { cut, closed } = *plan.lock().unwrap();
                if closed {
                    continue;
                }
                if cut == Some(Cut::Silent) {
                    silent.push(client);
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(carry(client, server, plan.clone(), late.clone()));
            }
        });
        proxy
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.plan.lock().unwrap().cut = Some(cut);
    }

    /// Whether the cut was made.
    pub(crate) fn was_cut(&self) -> bool {
        self.plan.lock().unwrap().cut.is_none()
    }

    /// Lets the COMMIT through that is late.
    pub(crate) fn let_through(&self) {
        self.late.notify_one();
    }

    pub(crate) fn open(&self) {
        *self.plan.lock().unwrap() = Plan::default();
    }
}

async fn carry(client: TcpStream, server: TcpStream, plan: Arc<Mutex<Plan>>, late: Arc<Notify>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut held = Vec::new();
    let cut = {
        let forward = requests(&mut from_client, &mut to_server, &plan, &mut held);
        let back = async {
            let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        };
        tokio::select! {
            cut = forward => cut,
            () = back => None,
        }
    };
    match cut {
        Some(Cut::After | Cut::AfterForGood) => {
            // Until the server says that it is done; nobody hears it.
            let _ = to_server.write_all(&message(b'Q', b"COMMIT\0")).await;
            let mut heard = Vec::new();
            while !heard.windows(7).any(|part| part == b"COMMIT\0") {
                if from_server.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            if cut == Some(Cut::AfterForGood) {
                plan.lock().unwrap().closed = true;
            }
        }
        Some(Cut::Hanging) => {
            drop((from_client, to_client));
            // Until the server has had enough of it.
            let mut rest = Vec::new();
            let _ = from_server.read_to_end(&mut rest).await;
        }
        Some(Cut::Late) => {
            drop((from_client, to_client));
            late.notified().await;
            held.extend(message(b'Q', b"COMMIT\0"));
            let _ = to_server.write_all(&held).await;
            let mut rest = Vec::new();
            drop(to_server);
            let _ = from_server.read_to_end(&mut rest).await;
        }
        Some(Cut::Rollback) => {
            // Until the server has had enough of it, and the client notices.
            let mut rest = Vec::new();
            let _ = from_server.read_to_end(&mut rest).await;
        }
        Some(Cut::Before | Cut::Silent) | None => {}
    }
}

/// Carries what the client says, message by message, up to the COMMIT at which the wire is to be cut.
async fn requests(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    plan: &Mutex<Plan>,
    held: &mut Vec<u8>,
) -> Option<Cut> {
    // The first message has no kind.
    let length = from.read_u32().await.ok()?;
    let mut body = vec![0; length as usize - 4];
    from.read_exact(&mut body).await.ok()?;
    to.write_all(&[&length.to_be_bytes()[..], &body].concat()).await.ok()?;
    loop {
        let kind = from.read_u8().await.ok()?;
        let length = from.read_u32().await.ok()?;
        let mut body = vec![0; length as usize - 4];
        from.read_exact(&mut body).await.ok()?;
        let planned = plan.lock().unwrap().cut;
        let at = match planned {
            Some(Cut::Silent) => return std::future::pending().await,
            Some(Cut::Rollback) => &b"ROLLBACK"[..],
            _ => b"COMMIT",
        };
        if kind == b'Q' && body.starts_with(at) {
            let cut = plan.lock().unwrap().cut.take();
            if cut.is_some() {
                return cut;
            }
        }
        if plan.lock().unwrap().cut == Some(Cut::Late) {
            held.extend(message(kind, &body));
        } else {
            to.write_all(&message(kind, &body)).await.ok()?;
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind], &length[..], body].concat()
}
