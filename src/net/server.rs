//! The HTTP server: listens, over TLS or not, bounds slow clients, and stops gracefully.

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// How long a client may take to send its first request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long a connection may idle between two requests, and how long a later request's head may take. Longer than the
/// minute for which proxies keep connections to servers open, so that it is they who close them.
const IDLE_MAX: Duration = Duration::from_secs(75);

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
                // HTTP/1.1 is all that is spoken, so it is all that is offered.
                let mut config = (*tls.get_inner()).clone();
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                tls.reload_from_config(Arc::new(config));
                let server = axum_server::from_tcp_rustls(self.listener, tls)?.handle(handle).http1_only();
                let mut server = server.first_request_timeout(HEAD_MAX);
                server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(IDLE_MAX);
                server.serve(service).await
            }
            None => {
                let server = axum_server::from_tcp(self.listener)?.handle(handle).http1_only();
                let mut server = server.first_request_timeout(HEAD_MAX);
                server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(IDLE_MAX);
                server.serve(service).await
            }
        }
    }
}
