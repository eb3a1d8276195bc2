//! Who calls: the true client address behind listed proxies, and behind no others.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// The proxies whose word is believed. Empty: none, and forwarding headers are ignored.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

/// The most hops that are followed back.
const HOPS_MAX: usize = 32;

impl TrustedProxies {
    /// The caller's address: the socket's peer, unless that is a listed proxy; then the right-most address of
    /// `X-Forwarded-For` that is not a listed proxy. What stands further left was written by the caller, and means
    /// nothing. Where the header cannot be read, the last address that could is the answer.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.lists(client) {
            return client;
        }
        let lines = headers.get_all("x-forwarded-for").iter();
        let hops: Vec<&[u8]> = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).collect();
        for hop in hops.into_iter().rev().take(HOPS_MAX) {
            let Some(address) = std::str::from_utf8(hop).ok().and_then(|hop| address(hop.trim())) else {
                break;
            };
            client = address;
            if !self.lists(client) {
                break;
            }
        }
        client
    }

    /// Whether this is one of the proxies.
    pub fn lists(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }
}

/// An address as proxies write it: bare, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare =
        text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(address, _)| address);
    let parsed = bare.parse().or_else(|_| bare.parse::<std::net::SocketAddr>().map(|socket| socket.ip()));
    parsed.ok().map(|address: IpAddr| address.to_canonical())
}

/// Whether a list of ranges lets an address pass; an empty list lets everybody pass.
pub fn is_allowed(ranges: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    ranges.is_empty() || ranges.iter().any(|range| range.contains(&address))
}

/// Reads an address or a CIDR range; a bare address is the range of itself. A range of IPv4 addresses that is written
/// within IPv6 is the one that is meant: addresses are compared as they are, not as a socket shows them.
pub fn parse_range(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse::<IpNet>().ok().map(|range| canonical(range.trunc())).or_else(|| {
        let address: IpAddr = text.parse().ok()?;
        Some(IpNet::from(address.to_canonical()))
    })
}

fn canonical(range: IpNet) -> IpNet {
    let prefix = range.prefix_len().checked_sub(128 - 32);
    match (range.network().to_canonical(), prefix) {
        (IpAddr::V4(network), Some(prefix)) if range.network().is_ipv6() => {
            IpNet::new(network.into(), prefix).unwrap_or(range)
        }
        _ => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let proxies = TrustedProxies(proxies.iter().map(|range| parse_range(range).unwrap()).collect());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_is_never_believed() {
        assert_eq!(client(&[], "203.0.113.9", &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["10.0.0.1"]), "203.0.113.9");
    }

    #[test]
    fn the_right_most_stranger_is_the_client() {
        let proxies = ["127.0.0.1", "10.0.0.0/8"];
        assert_eq!(client(&proxies, "127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&proxies, "127.0.0.1", &["1.1.1.1, 198.51.100.7, 10.1.2.3"]), "198.51.100.7");
        assert_eq!(client(&proxies, "127.0.0.1", &["1.1.1.1", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&proxies, "127.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client(&proxies, "127.0.0.1", &["[2001:db8::1]:443, 198.51.100.7:9"]), "198.51.100.7");
        assert_eq!(client(&proxies, "::ffff:127.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn what_cannot_be_read_ends_the_search() {
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["198.51.100.7, unknown"]), "127.0.0.1");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn bytes_that_are_no_text_do_not_hide_who_calls() {
        let proxies = TrustedProxies(vec![parse_range("10.0.0.5").unwrap()]);
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_bytes(b"\xff, 203.0.113.9").unwrap());
        assert_eq!(proxies.client("10.0.0.5".parse().unwrap(), &headers).to_string(), "203.0.113.9");
    }

    #[test]
    fn ranges_are_addresses_or_cidr() {
        let list: Vec<_> = ["192.0.2.7", "198.51.100.0/24", "::ffff:203.0.113.128/121", "2001:db8::/32"]
            .iter()
            .map(|text| parse_range(text).unwrap())
            .collect();
        for (address, allowed) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.2.8", false),
            ("198.51.100.255", true),
            ("203.0.113.130", true),
            ("203.0.113.1", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(is_allowed(&list, address.parse().unwrap()), allowed, "{address}");
        }
        assert!(is_allowed(&[], "192.0.2.8".parse().unwrap()));
        assert!(
            ["", "192.0.2", "192.0.2.0/33", "example.org"].iter().all(|text| parse_range(text).is_none())
        );
    }
}
