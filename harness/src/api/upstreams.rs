//! The upstreams of a VM's calls, played by the test: responses, failures, messages, timeouts, and resolved names.
//!
//! As in Envoy, every callback goes to the root context of the plugin that made the call.

use std::net::SocketAddr;

use crate::api::vm::Vm;
use crate::proxy::callouts::{
    CallKind, Callouts, Delivered, DnsQuery, GrpcCall, GrpcStream, HttpCall, HttpCallResponse, TIMEOUT_TEXT,
    grpc_text,
};
use crate::proxy::headers::HeaderMap;
use crate::vm::error::Error;
use crate::vm::lifecycle::VmCore;
use crate::vm::shared::lock_vm;

/// Envoy's status for a failed HTTP call, from `proxy_get_status`.
const BROKEN_CONNECTION: u32 = 11;

/// The response code details of an upstream's response.
const VIA_UPSTREAM: &str = "via_upstream";

/// Envoy's gRPC status for a call that timed out.
const GRPC_UNAVAILABLE: u32 = 14;

impl Vm {
    /// The pending HTTP calls, oldest first.
    pub fn pending_http_calls(&self) -> Vec<HttpCall> {
        self.calls(|calls| calls.http.values().cloned().collect())
    }

    /// Responds to an HTTP call.
    pub fn answer_http_call(&self, token: u32, response: HttpCallResponse) -> Result<(), Error> {
        answer_http(&mut lock_vm(&self.shared.core), token, response)
    }

    /// Ends an HTTP call without a response, as a reset connection does.
    pub fn fail_http_call(&self, token: u32) -> Result<(), Error> {
        let mut core = lock_vm(&self.shared.core);
        let root = take(&mut core, token, |calls| calls.http.remove(&token).map(|call| call.root))?;
        let status = Some((BROKEN_CONNECTION, "reset"));
        core.deliver_call(root, "proxy_on_http_call_response", &[root, token, 0, 0, 0], None, status)
    }

    /// The pending unary gRPC calls, oldest first.
    pub fn pending_grpc_calls(&self) -> Vec<GrpcCall> {
        self.calls(|calls| calls.grpc.values().cloned().collect())
    }

    /// Responds to a unary gRPC call with a message and status OK. As in Envoy, `proxy_on_grpc_receive` is called and
    /// `proxy_on_grpc_close` is not.
    pub fn answer_grpc_call(&self, token: u32, message: impl Into<Vec<u8>>) -> Result<(), Error> {
        let mut core = lock_vm(&self.shared.core);
        let root = waiting(&core, token)?;
        receive(&mut core, root, token, message.into())
    }

    /// The upstream ends a unary gRPC call with a status other than OK: `proxy_on_grpc_close`. `message` is the
    /// `grpc-message` as sent; as in Envoy the plugin gets it undecoded, followed by `{via_upstream}`.
    pub fn fail_grpc_call(&self, token: u32, status: u32, message: &str) -> Result<(), Error> {
        let text = grpc_text(message, VIA_UPSTREAM);
        fail_grpc(&mut lock_vm(&self.shared.core), token, status, &text)
    }

    /// The open gRPC streams of all plugins, oldest first.
    pub fn grpc_streams(&self) -> Vec<GrpcStream> {
        self.calls(|calls| calls.streams.values().cloned().collect())
    }

    /// The upstream sends the initial metadata of a gRPC stream.
    pub fn send_grpc_initial_metadata(
        &self,
        token: u32,
        metadata: impl Into<HeaderMap>,
    ) -> Result<(), Error> {
        let (callback, metadata) = ("proxy_on_grpc_receive_initial_metadata", metadata.into());
        let mut core = lock_vm(&self.shared.core);
        let (root, count) = (open_stream(&mut core, token)?, metadata.len() as u32);
        let delivered = Some(Delivered::GrpcInitialMetadata(metadata));
        core.deliver_call(root, callback, &[root, token, count], delivered, None)
    }

    /// The upstream sends a message on a gRPC stream.
    pub fn send_grpc_message(&self, token: u32, message: impl Into<Vec<u8>>) -> Result<(), Error> {
        let mut core = lock_vm(&self.shared.core);
        let root = open_stream(&mut core, token)?;
        receive(&mut core, root, token, message.into())
    }

    /// The upstream sends the trailing metadata of a gRPC stream; [`Vm::close_grpc_stream`] follows.
    pub fn send_grpc_trailing_metadata(
        &self,
        token: u32,
        metadata: impl Into<HeaderMap>,
    ) -> Result<(), Error> {
        let (callback, metadata) = ("proxy_on_grpc_receive_trailing_metadata", metadata.into());
        let mut core = lock_vm(&self.shared.core);
        let (root, count) = (open_stream(&mut core, token)?, metadata.len() as u32);
        let delivered = Some(Delivered::GrpcTrailingMetadata(metadata));
        core.deliver_call(root, callback, &[root, token, count], delivered, None)
    }

    /// The upstream ends a gRPC stream with a status; 0 is OK. The plugin gets `message` as in
    /// [`Vm::fail_grpc_call`], or `via_upstream` if it is empty.
    pub fn close_grpc_stream(&self, token: u32, status: u32, message: &str) -> Result<(), Error> {
        let mut core = lock_vm(&self.shared.core);
        let root = open_stream(&mut core, token)?;
        if let Some(stream) = core.instance.state_mut().callouts.streams.get_mut(&token) {
            stream.remote_closed = true;
        }
        let arguments = [root, token, status];
        let text = grpc_text(message, VIA_UPSTREAM);
        core.deliver_call(root, "proxy_on_grpc_close", &arguments, None, Some((status, &text)))
    }

    /// Ends the calls that have timed out by the host's clock, earliest first, and returns their number. As in Envoy,
    /// an HTTP call gets a 504 response and a unary gRPC call ends with status 14 (unavailable); gRPC streams have no
    /// timeout.
    pub fn run_timeouts(&self) -> Result<usize, Error> {
        let mut core = lock_vm(&self.shared.core);
        let mut ended = 0;
        while core.failure.is_none() {
            let now_ns = core.host.clock.monotonic_ns();
            let Some(token) = core.instance.state().callouts.next_due(now_ns) else {
                break;
            };
            match CallKind::of(token) {
                Some(CallKind::Http) => answer_http(&mut core, token, HttpCallResponse::timeout())?,
                _ => {
                    let text = grpc_text(TIMEOUT_TEXT, "response_timeout");
                    fail_grpc(&mut core, token, GRPC_UNAVAILABLE, &text)?;
                }
            }
            ended += 1;
        }
        Ok(ended)
    }

    /// The pending DNS queries, oldest first.
    pub fn pending_dns_queries(&self) -> Vec<DnsQuery> {
        lock_vm(&self.shared.core).instance.state().callouts.dns.values().cloned().collect()
    }

    /// Answers a query with addresses and the time to live of each, in seconds. As in Envoy, the plugin reads them from
    /// buffer 8 in `envoy_on_resolve_dns`, with port 0 unless the query was for an address with a port.
    pub fn answer_dns_query(&self, token: u32, addresses: &[(SocketAddr, u32)]) -> Result<(), Error> {
        self.end_dns_query(token, answer(addresses))
    }

    /// Fails a query: `envoy_on_resolve_dns` without bytes.
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

    fn calls<R>(&self, look: impl FnOnce(&Callouts) -> R) -> R {
        look(&lock_vm(&self.shared.core).instance.state().callouts)
    }
}

/// Removes a call from the table and returns its root context.
fn take(
    core: &mut VmCore,
    token: u32,
    remove: impl FnOnce(&mut Callouts) -> Option<u32>,
) -> Result<u32, Error> {
    remove(&mut core.instance.state_mut().callouts).ok_or(Error::UnknownToken(token))
}

/// The root context of a pending unary gRPC call.
fn waiting(core: &VmCore, token: u32) -> Result<u32, Error> {
    let call = core.instance.state().callouts.grpc.get(&token);
    call.map(|call| call.root).ok_or(Error::UnknownToken(token))
}

/// The root context of a gRPC stream that the upstream has not closed.
fn open_stream(core: &mut VmCore, token: u32) -> Result<u32, Error> {
    let stream = core.instance.state().callouts.streams.get(&token).ok_or(Error::UnknownToken(token))?;
    if stream.remote_closed {
        return Err(Error::Misuse("the upstream has closed this gRPC stream already"));
    }
    Ok(stream.root)
}

fn answer_http(core: &mut VmCore, token: u32, response: HttpCallResponse) -> Result<(), Error> {
    let root = take(core, token, |calls| calls.http.remove(&token).map(|call| call.root))?;
    let sizes = [response.headers.len(), response.body.len(), response.trailers.len()];
    let [headers, body, trailers] = sizes.map(|size| size as u32);
    let arguments = [root, token, headers, body, trailers];
    let delivered = Some(Delivered::HttpAnswer(response));
    core.deliver_call(root, "proxy_on_http_call_response", &arguments, delivered, None)
}

fn fail_grpc(core: &mut VmCore, token: u32, status: u32, message: &str) -> Result<(), Error> {
    let root = waiting(core, token)?;
    core.deliver_call(root, "proxy_on_grpc_close", &[root, token, status], None, Some((status, message)))
}

fn receive(core: &mut VmCore, root: u32, token: u32, message: Vec<u8>) -> Result<(), Error> {
    let arguments = [root, token, message.len() as u32];
    let delivered = Some(Delivered::GrpcMessage(message));
    core.deliver_call(root, "proxy_on_grpc_receive", &arguments, delivered, None)
}

/// Serialises addresses as Envoy does: their number, the time to live of each, and the text of each with a NUL byte.
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
    fn an_answer_is_the_number_of_addresses_their_times_to_live_and_their_texts() {
        let addresses = [("127.0.0.1:0".parse().unwrap(), 60), ("[::1]:0".parse().unwrap(), 5)];
        assert_eq!(answer(&addresses), b"\x02\0\0\0\x3c\0\0\0\x05\0\0\x00127.0.0.1:0\0[::1]:0\0");
        assert_eq!(answer(&[]), [0; 4]);
    }
}
