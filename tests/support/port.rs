//! Ports: tests run beside each other, each in a process of its own, and must not take what another one counts on.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::TcpSocket;

/// Ports that the system gives to nobody by itself, on Linux as it is delivered.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

/// A port for a process that is going to be started: nobody listens at it, and nobody who lets the system choose gets it.
pub(crate) fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Each process begins elsewhere.
        let step = std::process::id().wrapping_mul(101).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + step % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// An address at which nobody listens, nor can anybody else: until somebody moves in.
pub(crate) struct Vacancy(TcpSocket);

impl Vacancy {
    pub(crate) fn new() -> Vacancy {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Vacancy(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn move_in(self) -> tokio::net::TcpListener {
        self.0.listen(64).unwrap()
    }
}
