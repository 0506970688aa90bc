//! Who sends a request: a tenant whose purse bounds what it spends, or the client's address.
//!
//! Session ids are free, so budgets per session bound nothing by themselves: what a caller may begin is counted
//! ([`crate::ledger::callers`]), and its sessions share what it may take of the tables ([`crate::ledger::sessions`]).
//! Envoy says where a connection came from (`source.address`): the peer, or what a trusted proxy wrote into
//! `x-forwarded-for`. A client with IPv6 has 2⁶⁴ addresses, so an IPv6 address counts by its /64. All requests whose
//! address is not known are one caller.

use std::net::{IpAddr, SocketAddr};

use crate::request::session_id::SessionId;

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A tenant with a budget of its own, by the hash of its name.
    Tenant(SessionId),
    /// A client, by its address.
    Address(Network),
}

/// As much of an address as one client has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// It is not known.
    #[default]
    Unknown,
    /// An IPv4 address.
    V4([u8; 4]),
    /// The /64 of an IPv6 address.
    V6([u8; 8]),
    /// Another kind of address, such as the path of a socket.
    Other(Vec<u8>),
}

impl Default for Caller {
    fn default() -> Self {
        Caller::Address(Network::default())
    }
}

impl Caller {
    /// Its salted hash. Computed only when it is needed, which is for new sessions.
    #[must_use]
    pub fn id(&self, salt: &[u8]) -> SessionId {
        let of = |kind: &[u8], bytes: &[u8]| SessionId::new(salt, b"address", &[kind, bytes].concat());
        match self {
            Caller::Tenant(id) => *id,
            Caller::Address(Network::Unknown) => of(b"unknown", b""),
            Caller::Address(Network::V4(bytes)) => of(b"4:", bytes),
            Caller::Address(Network::V6(bytes)) => of(b"6:", bytes),
            Caller::Address(Network::Other(text)) => of(b"other:", text),
        }
    }
}

impl Network {
    /// Reads an address as Envoy writes it: `10.0.0.1:5000`, `[2001:db8::1]:443`, or a path.
    #[must_use]
    pub fn of(source: Option<&[u8]>) -> Network {
        let Some(source) = source.filter(|source| !source.is_empty()) else { return Network::Unknown };
        match std::str::from_utf8(source).ok().and_then(ip_of) {
            Some(IpAddr::V4(address)) => Network::V4(address.octets()),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Network::V6([a, b, c, d, e, f, g, h])
            }
            None => Network::Other(without_port(source).to_vec()),
        }
    }
}

/// The address in a text, without its port and its zone; an IPv4 address that is written as IPv6 is itself.
fn ip_of(text: &str) -> Option<IpAddr> {
    let address = text.parse::<SocketAddr>().map(|address| address.ip());
    let address = address.ok().or_else(|| {
        let bare = text.strip_prefix('[').map_or(text, |text| text.split(']').next().unwrap_or(text));
        bare.split('%').next()?.parse().ok()
    });
    address.map(|address| address.to_canonical())
}

/// A text without the port at its end: a client has many ports.
fn without_port(text: &[u8]) -> &[u8] {
    let colon = text.iter().rposition(|byte| *byte == b':');
    let split = colon.and_then(|at| text.split_at_checked(at));
    match split {
        Some((address, [_, port @ ..])) if port.iter().all(u8::is_ascii_digit) => address,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        Network::of(Some(text.as_bytes()))
    }

    #[test]
    fn an_address_counts_without_its_port() {
        assert_eq!(network("10.0.0.1:5000"), Network::V4([10, 0, 0, 1]));
        assert_eq!(network("10.0.0.1"), network("10.0.0.1:443"));
        assert_eq!(network("[::ffff:10.0.0.1]:80"), network("10.0.0.1:1"));
        assert_ne!(network("10.0.0.1:5000"), network("10.0.0.2:5000"));
        assert_eq!(network("localhost:80"), network("localhost:81"));
        assert_eq!(network("/run/envoy.sock"), Network::Other(b"/run/envoy.sock".to_vec()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_caller() {
        assert_eq!(network("[2001:db8:1:2::1]:443"), network("[2001:db8:1:2:ffff::9]:444"));
        assert_ne!(network("[2001:db8:1:2::1]:443"), network("[2001:db8:1:3::1]:443"));
        assert_eq!(network("2001:db8:1:2::7"), network("[2001:db8:1:2::1]:443"));
        assert_eq!(network("[fe80::1%eth0]:443"), network("[fe80::2]:80"));
    }

    #[test]
    fn kinds_of_callers_have_different_hashes() {
        let addresses = [
            Network::Unknown,
            Network::V4([1, 2, 3, 4]),
            network("[102:304::1]:1"),
            Network::Other(vec![1, 2, 3, 4]),
            Network::Other(Vec::new()),
        ];
        let ids: Vec<_> = addresses.map(|network| Caller::Address(network).id(b"salt")).to_vec();
        for (k, id) in ids.iter().enumerate() {
            assert!(!ids[..k].contains(id), "{k}");
        }
        assert!(!ids.contains(&SessionId::new(b"salt", b"address", b"")), "a tenant of that name");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_address(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let known = Network::of(Some(&bytes)) != Network::Unknown;
            prop_assert_eq!(known, !bytes.is_empty());
        }

        #[test]
        fn no_port_makes_another_caller(address in any::<IpAddr>(), ports in any::<[u16; 2]>()) {
            let [a, b] = ports.map(|port| network(&SocketAddr::new(address, port).to_string()));
            prop_assert_eq!(a, b);
        }
    }
}
