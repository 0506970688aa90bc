//! Names a plugin wants resolved, and their answers.

use std::net::SocketAddr;

use crate::callouts::Delivered;
use crate::error::Error;
use crate::sync::lock_vm;
use crate::vm::Vm;

/// A name that a plugin wants resolved with `envoy_resolve_dns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuery {
    /// The token the plugin got; answers name it. They are counted apart from those of calls, and may be
    /// equal to one.
    pub token: u32,
    /// The name.
    pub name: String,
    /// The root context the answer goes to.
    pub(crate) root: u32,
}

impl Vm {
    /// Names that wait for an answer, oldest first.
    pub fn pending_dns_queries(&self) -> Vec<DnsQuery> {
        lock_vm(&self.shared.core).instance.state().callouts.dns.values().cloned().collect()
    }

    /// Answers a query with addresses and how many seconds each is good for. As in Envoy the plugin gets them as
    /// buffer 8 of `envoy_on_resolve_dns`, with port 0 unless the query was for an address with a port.
    pub fn answer_dns_query(&self, token: u32, addresses: &[(SocketAddr, u32)]) -> Result<(), Error> {
        self.end_dns_query(token, answer(addresses))
    }

    /// Ends a query without an answer: `envoy_on_resolve_dns` with no bytes.
    pub fn fail_dns_query(&self, token: u32) -> Result<(), Error> {
        self.end_dns_query(token, Vec::new())
    }

    fn end_dns_query(&self, token: u32, data: Vec<u8>) -> Result<(), Error> {
        let mut core = lock_vm(&self.shared.core);
        let query = core.instance.state_mut().callouts.dns.remove(&token);
        let root = query.ok_or(Error::UnknownToken(token))?.root;
        let len = data.len() as u32;
        core.deliver_data(root, "envoy_on_resolve_dns", &[root, token, len], Delivered::Data(data))
    }
}

/// The number of addresses, the seconds of each, and the text of each with a NUL byte behind it.
fn answer(addresses: &[(SocketAddr, u32)]) -> Vec<u8> {
    let mut bytes = (addresses.len() as u32).to_le_bytes().to_vec();
    bytes.extend(addresses.iter().flat_map(|(_, seconds)| seconds.to_le_bytes()));
    for (address, _) in addresses {
        bytes.extend(format!("{address}\0").into_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_number_the_seconds_and_the_texts() {
        let addresses = [("127.0.0.1:0".parse().unwrap(), 60), ("[::1]:0".parse().unwrap(), 5)];
        assert_eq!(answer(&addresses), b"\x02\0\0\0\x3c\0\0\0\x05\0\0\x00127.0.0.1:0\0[::1]:0\0");
        assert_eq!(answer(&[]), [0; 4]);
    }
}
