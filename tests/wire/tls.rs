//! HTTPS, as far as it differs: what is offered must be spoken.

use crate::support::{ALICE, Request, Server, must};
use axum_server::tls_rustls::RustlsConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

async fn start() -> (Server, CertificateDer<'static>) {
    // Fails only where an earlier server of this process has done it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
    let tls = RustlsConfig::from_pem(certificate, key).await.unwrap();
    (Server::start(|setup| setup.tls = Some(tls)).await, made.cert.der().clone())
}

/// One call by a client that offers these protocols, as most do: what was agreed on, and the answer.
fn call(
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    offered: &[&str],
) -> (Option<String>, String) {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(address).unwrap());
    let request = Request::get("/getBalance").bearer(ALICE).header("connection", "close");
    stream.write_all(&request.bytes()).unwrap();
    let mut answer = Vec::new();
    // A server may close without saying goodbye.
    let _ = stream.read_to_end(&mut answer);
    let agreed = stream.conn.alpn_protocol().map(|protocol| String::from_utf8(protocol.to_vec()).unwrap());
    (agreed, String::from_utf8_lossy(&answer).into_owned())
}

/// Clients that could speak HTTP/2 offer it; a server that takes the offer and does not speak it answers nobody.
#[tokio::test]
async fn what_is_agreed_on_is_spoken() {
    let (server, certificate) = start().await;
    for offered in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
        let (address, certificate) = (server.address, certificate.clone());
        let called = tokio::task::spawn_blocking(move || call(address, certificate, offered));
        let (agreed, answer) = must("an answer over TLS", called).await.unwrap();
        assert_ne!(agreed.as_deref(), Some("h2"), "this server speaks HTTP/1.1");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{offered:?}: {answer}");
        assert!(answer.ends_with(r#"{"ok":true,"result":{"balance":100}}"#), "{offered:?}: {answer}");
    }
}

/// Ten seconds of real time.
#[tokio::test]
async fn who_never_shakes_hands_is_let_go() {
    let (server, _) = start().await;
    let mut silent = server.connect().await;
    let mut plain = server.connect().await;
    plain.send(&Request::get("/getBalance").bearer(ALICE).bytes()).await;
    let (silent, plain) = tokio::join!(silent.next_byte(), plain.next_byte());
    assert_eq!(silent, None);
    assert!(plain.is_none_or(|byte| byte == 0x15), "a TLS alert at most");
}
