//! The HTTP server: listens, over TLS or not, bounds slow clients, and stops gracefully.

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// How long a client may take over the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// A socket that is bound, and not yet served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Binds a socket.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

impl Bound {
    /// The address, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `handle` says to stop; then connections have the time that the handle gives them to finish.
    pub async fn serve(
        self,
        router: Router,
        tls: Option<RustlsConfig>,
        handle: Handle<SocketAddr>,
    ) -> io::Result<()> {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        match tls {
            Some(tls) => {
                let mut server = axum_server::from_tcp_rustls(self.listener, tls)?.handle(handle);
                server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
                server.serve(service).await
            }
            None => {
                let mut server = axum_server::from_tcp(self.listener)?.handle(handle);
                server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
                server.serve(service).await
            }
        }
    }
}
