//! How an SMPP session dials: TCP, or TLS over it.

use super::settings::{InvalidSmpp, SmppSettings};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
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
        let mut store = RootCertStore::empty();
        if roots.as_os_str().is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        } else {
            let unusable = |why: &dyn std::fmt::Display| {
                InvalidSmpp::Roots(roots.display().to_string(), why.to_string())
            };
            for certificate in CertificateDer::pem_file_iter(roots).map_err(|error| unusable(&error))? {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                store.add(certificate).map_err(|error| unusable(&error))?;
            }
            if store.is_empty() {
                return Err(unusable(&"there is no certificate in it"));
            }
        }
        let config = ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
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
