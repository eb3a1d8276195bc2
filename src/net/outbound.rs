//! Calls of ours to addresses that others chose: resolved, judged, and connected to at that very address, so that no
//! name can point inside. No redirects are followed and no proxy of the environment is used.

use super::innermost;
use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const IDLE_PER_HOST: usize = 2;
/// Answers with more headers than this are not read.
const HEADERS_MAX_BYTES: usize = 16 * 1024;

/// Where calls may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundPolicy {
    /// To public addresses, over https.
    PublicOnly,
    /// To this machine as well, and over plain http: for development.
    LoopbackToo,
}

/// A client for calls to addresses that others chose. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound {
    policy: OutboundPolicy,
    client: Client<HttpsConnector<Guard>, Full<Bytes>>,
}

/// A URL that may not be called, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// Not an absolute URL with a host.
    #[error("not an absolute URL")]
    Malformed,
    /// Not https.
    #[error("not https")]
    Scheme,
    /// A user name or password in it.
    #[error("it holds a user name or password")]
    Credentials,
    /// An address inside.
    #[error("a private address")]
    Private,
}

impl OutboundPolicy {
    /// Reads a URL that can be called, as far as its text tells. What a name resolves to is judged when it is connected
    /// to.
    pub fn parse_url(self, text: &str) -> Result<url::Url, Unacceptable> {
        // The parser would drop white space within, and so read another URL than people do.
        if text.contains(|char: char| char.is_whitespace() || char.is_control()) {
            return Err(Unacceptable::Malformed);
        }
        let url = url::Url::parse(text).map_err(|_| Unacceptable::Malformed)?;
        let loopback_too = self == OutboundPolicy::LoopbackToo;
        if url.scheme() != "https" && !(loopback_too && url.scheme() == "http") {
            return Err(Unacceptable::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Unacceptable::Credentials);
        }
        let address = match url.host() {
            Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
            Some(url::Host::Domain(name)) if !name.is_empty() => return Ok(url),
            Some(url::Host::Domain(_)) | None => return Err(Unacceptable::Malformed),
        };
        if self.permits(address) { Ok(url) } else { Err(Unacceptable::Private) }
    }

    /// Whether this address may be connected to.
    pub fn permits(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || (self == OutboundPolicy::LoopbackToo && address.is_loopback())
    }
}

impl Outbound {
    /// A client that keeps to `policy`.
    pub fn new(policy: OutboundPolicy) -> Outbound {
        let builder = HttpsConnectorBuilder::new().with_webpki_roots();
        let builder = match policy {
            OutboundPolicy::PublicOnly => builder.https_only(),
            OutboundPolicy::LoopbackToo => builder.https_or_http(),
        };
        let connector = builder.enable_http1().wrap_connector(Guard { policy });
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_max_buf_size(HEADERS_MAX_BYTES)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Outbound { policy, client }
    }

    /// Sends a request. Whoever calls bounds the time.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        // A literal address never reaches a resolver.
        self.policy.parse_url(&request.uri().to_string()).map_err(|error| error.to_string())?;
        self.client.request(request).await.map_err(|error| innermost(&error))
    }
}

/// Connects to what a name resolves to, unless that is inside.
#[derive(Clone, Copy, Debug)]
struct Guard {
    policy: OutboundPolicy,
}

impl Service<Uri> for Guard {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let policy = self.policy;
        Box::pin(async move {
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(policy, &uri)).await;
            connected
                .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long")))
        })
    }
}

async fn connect(policy: OutboundPolicy, uri: &Uri) -> io::Result<TokioIo<TcpStream>> {
    let host = uri.host().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    let permitted = resolved.iter().filter(|address| policy.permits(address.ip()));
    let mut last = io::Error::new(io::ErrorKind::PermissionDenied, "the name resolves to no public address");
    for address in permitted {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(TokioIo::new(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether an address is one of the public internet. Everything that is not known to be is refused.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// By the IANA special-purpose registry.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a == 10
        || a == 127
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 192 && b == 168)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113))
}

/// Only global unicast (2000::/3), and of that nothing that carries another address inside or serves documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let global = (a & 0xe000) == 0x2000;
    let assignments = a == 0x2001 && b < 0x0200; // Teredo, ORCHID, benchmarks: 2001::/23
    let documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    let six_to_four = a == 0x2002;
    global && !assignments && !documentation && !six_to_four
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_spellings_of_the_inside_are_refused() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "0",
            "0.0.0.0",
            "10.0.0.1",
            "10.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.168.257",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "１２７.0.0.1",
            "127。0。0。1",
        ] {
            let url = format!("https://{host}/hook");
            assert_eq!(OutboundPolicy::PublicOnly.parse_url(&url), Err(Unacceptable::Private), "{url}");
        }
    }

    #[test]
    fn the_public_internet_is_open() {
        for url in [
            "https://93.184.215.14/x",
            "https://[2606:4700::1]/",
            "https://example.org:8443/a?b=c",
            "https://1.1.1.1",
        ] {
            assert!(OutboundPolicy::PublicOnly.parse_url(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn only_https_without_credentials() {
        for (url, why) in [
            ("http://example.org/", Unacceptable::Scheme),
            ("ftp://example.org/", Unacceptable::Scheme),
            ("https://user@example.org/", Unacceptable::Credentials),
            ("https://user:secret@example.org/", Unacceptable::Credentials),
            ("example.org", Unacceptable::Malformed),
            ("https://", Unacceptable::Malformed),
            ("/hook", Unacceptable::Malformed),
            ("https://exa\nmple.org/", Unacceptable::Malformed),
            ("https://example.org/a b", Unacceptable::Malformed),
            ("", Unacceptable::Malformed),
        ] {
            assert_eq!(OutboundPolicy::PublicOnly.parse_url(url), Err(why), "{url:?}");
        }
    }

    #[test]
    fn development_reaches_this_machine_and_nothing_else_inside() {
        let dev = OutboundPolicy::LoopbackToo;
        assert!(dev.parse_url("http://127.0.0.1:9000/hook").is_ok());
        assert!(dev.parse_url("http://localhost:9000/hook").is_ok());
        assert_eq!(dev.parse_url("http://10.0.0.1/"), Err(Unacceptable::Private));
        assert_eq!(dev.parse_url("http://169.254.169.254/"), Err(Unacceptable::Private));
    }

    #[tokio::test]
    async fn a_name_that_resolves_inside_is_not_connected_to() {
        let uri: Uri = "https://localhost:1/".parse().unwrap();
        let error = connect(OutboundPolicy::PublicOnly, &uri).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
