//! How an SMPP session dials: TCP, or TLS over it.

use super::settings::{InvalidSmpp, SmppSettings};
use crate::net::roots::roots_of;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What carries a session.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Makes a connection, each time anew.
pub(super) type Dial = Box<dyn FnMut() -> Connecting + Send>;

/// How a connection is encrypted, and whose certificate is expected.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.name).finish()
    }
}

impl Tls {
    /// Believes the certificates in the file `roots`; where that is empty, the public ones.
    pub(super) fn new(host: &str, roots: &Path) -> Result<Tls, InvalidSmpp> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| InvalidSmpp::Address(host.to_owned()))?;
        let file = Some(roots).filter(|file| !file.as_os_str().is_empty());
        let believed =
            roots_of(file).map_err(|error| InvalidSmpp::Roots(roots.display().to_string(), error))?;
        let config = ClientConfig::builder().with_root_certificates(believed).with_no_client_auth();
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

/// Dials as the settings say. The operator chose the address: it may be a private one.
pub(super) fn dial(settings: &SmppSettings) -> Dial {
    let (host, port, tls) = (settings.host.clone(), settings.port, settings.tls.clone());
    Box::new(move || {
        let (host, tls) = (host.clone(), tls.clone());
        Box::pin(async move {
            let stream = TcpStream::connect((&*host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(match tls {
                Some(Tls { connector, name }) => {
                    Box::new(connector.connect(name, stream).await?) as Box<dyn Stream>
                }
                None => Box::new(stream),
            })
        })
    })
}
