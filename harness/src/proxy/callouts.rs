//! Calls of a plugin to upstreams, which wait for the test to answer them.
//!
//! What always holds: within a VM a token is used for one call only. As in proxy-wasm-cpp-host its two low bits encode
//! the kind: HTTP calls are 4, 8, 12, ..., unary gRPC calls 5, 9, 13, ..., gRPC streams 6, 10, 14, ...

use std::collections::BTreeMap;

use crate::proxy::headers::HeaderMap;

const KIND_MASK: u32 = 3;
const TOKEN_STEP: u32 = 4;
const NANOS_PER_MS: u64 = 1_000_000;

/// An HTTP call of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// The token the plugin got; the answer needs it.
    pub token: u32,
    /// The cluster that was called.
    pub upstream: String,
    /// The headers of the request: those of the plugin, and `content-length` if there is a body.
    pub headers: HeaderMap,
    /// The body of the request.
    pub body: Vec<u8>,
    /// The trailers of the request.
    pub trailers: HeaderMap,
    /// The timeout in milliseconds, enforced by [`crate::Vm::run_timeouts`]; 0 means no timeout.
    pub timeout_ms: u32,
    /// The root context that gets the answer.
    pub(crate) root: u32,
    /// When it times out, in nanoseconds of the monotonic clock.
    pub(crate) due_ns: Option<u64>,
}

/// The response to an HTTP call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCallResponse {
    /// Headers, with `:status`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// Trailers; empty for a response without trailers.
    pub trailers: HeaderMap,
}

impl HttpCallResponse {
    /// A response with a status and a body.
    pub fn new(status: u32, body: impl Into<Vec<u8>>) -> Self {
        let headers = HeaderMap::from(&[(":status", status.to_string())]);
        HttpCallResponse { headers, body: body.into(), trailers: HeaderMap::new() }
    }

    /// Envoy's response to a call that times out.
    pub(crate) fn timeout() -> Self {
        let mut answer = HttpCallResponse::new(504, TIMEOUT_TEXT);
        answer.headers.add("content-length", TIMEOUT_TEXT.len().to_string());
        answer.headers.add("content-type", "text/plain");
        answer
    }
}

/// Envoy's text for a call that times out.
pub(crate) const TIMEOUT_TEXT: &str = "upstream request timeout";

/// The text of a gRPC status as a plugin gets it from Envoy 1.40: the undecoded `grpc-message`, then the response code
/// details of the call.
pub(crate) fn grpc_text(message: &str, details: &str) -> String {
    if message.is_empty() { details.to_owned() } else { format!("{message}{{{details}}}") }
}

/// A unary gRPC call of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    /// The token the plugin got; the answer needs it.
    pub token: u32,
    /// The cluster that was called, or the target if the plugin passed a `GrpcService` message with one.
    pub upstream: String,
    /// The full name of the gRPC service.
    pub service: String,
    /// The name of the method.
    pub method: String,
    /// The initial metadata that the plugin passed.
    pub initial_metadata: HeaderMap,
    /// The serialised request.
    pub message: Vec<u8>,
    /// The timeout in milliseconds, enforced by [`crate::Vm::run_timeouts`]; 0 means no timeout.
    pub timeout_ms: u32,
    pub(crate) root: u32,
    pub(crate) due_ns: Option<u64>,
}

/// A gRPC stream a plugin opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStream {
    /// The token the plugin got.
    pub token: u32,
    /// The cluster that was called, or the target if the plugin passed a `GrpcService` message with one.
    pub upstream: String,
    /// The full name of the gRPC service.
    pub service: String,
    /// The name of the method.
    pub method: String,
    /// The initial metadata that the plugin passed.
    pub initial_metadata: HeaderMap,
    /// The messages the plugin sent so far, in order.
    pub sent: Vec<Vec<u8>>,
    /// Whether the plugin has half-closed the stream.
    pub half_closed: bool,
    /// Whether the upstream has ended the stream; it is kept until the plugin closes it too, with
    /// `proxy_grpc_close`.
    pub remote_closed: bool,
    /// The plugin called `proxy_grpc_close`. Half-closing it with a message is not enough for Envoy to forget the
    /// stream.
    pub(crate) closed: bool,
    pub(crate) root: u32,
}

/// A name that a plugin asked to resolve with `envoy_resolve_dns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuery {
    /// The token the plugin got; the answer needs it. Tokens of queries and of calls are numbered independently and may
    /// be equal.
    pub token: u32,
    /// The name as the plugin passed it.
    pub name: String,
    /// The root context that gets the answer.
    pub(crate) root: u32,
}

/// The kind of a call: the two low bits of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Http = 0,
    GrpcCall = 1,
    GrpcStream = 2,
}

impl CallKind {
    pub(crate) fn of(token: u32) -> Option<Self> {
        use CallKind::*;
        [Http, GrpcCall, GrpcStream].into_iter().find(|kind| *kind as u32 == token & KIND_MASK)
    }
}

/// All pending calls of one life of a VM.
#[derive(Debug)]
pub(crate) struct Callouts {
    pub(crate) http: BTreeMap<u32, HttpCall>,
    pub(crate) grpc: BTreeMap<u32, GrpcCall>,
    pub(crate) streams: BTreeMap<u32, GrpcStream>,
    pub(crate) dns: BTreeMap<u32, DnsQuery>,
    last_dns_token: u32,
    last_tokens: [u32; 3],
}

impl Default for Callouts {
    fn default() -> Self {
        let last_tokens = [CallKind::Http, CallKind::GrpcCall, CallKind::GrpcStream].map(|kind| kind as u32);
        Callouts {
            http: BTreeMap::new(),
            grpc: BTreeMap::new(),
            streams: BTreeMap::new(),
            dns: BTreeMap::new(),
            last_dns_token: 1,
            last_tokens,
        }
    }
}

impl Callouts {
    pub(crate) fn next_token(&mut self, kind: CallKind) -> u32 {
        let last = &mut self.last_tokens[kind as usize];
        *last = last.wrapping_add(TOKEN_STEP);
        *last
    }

    /// The next token of a DNS query; the first is 2, as in Envoy.
    pub(crate) fn next_dns_token(&mut self) -> u32 {
        self.last_dns_token = self.last_dns_token.wrapping_add(1).max(1);
        self.last_dns_token
    }

    /// The call with the earliest timeout that has passed by `now_ns`.
    pub(crate) fn next_due(&self, now_ns: u64) -> Option<u32> {
        let http = self.http.values().map(|call| (call.due_ns, call.token));
        let grpc = self.grpc.values().map(|call| (call.due_ns, call.token));
        let due = http.chain(grpc).filter_map(|(due_ns, token)| Some((due_ns?, token)));
        due.filter(|(due_ns, _)| *due_ns <= now_ns).min().map(|(_, token)| token)
    }

    /// Forgets a gRPC call, or a stream that both sides have closed, once its callback has returned; until then the
    /// plugin may still use it, as in Envoy.
    pub(crate) fn forget_ended(&mut self, token: u32) {
        self.grpc.remove(&token);
        if self.streams.get(&token).is_some_and(|stream| stream.closed && stream.remote_closed) {
            self.streams.remove(&token);
        }
    }

    /// Forgets the calls of a deleted root context.
    pub(crate) fn cancel_all_of(&mut self, root: u32) {
        self.http.retain(|_, call| call.root != root);
        self.grpc.retain(|_, call| call.root != root);
        self.streams.retain(|_, stream| stream.root != root);
        self.dns.retain(|_, query| query.root != root);
    }
}

/// When a call with this timeout times out, in nanoseconds of the monotonic clock.
pub(crate) fn due_ns(now_ns: u64, timeout_ms: u32) -> Option<u64> {
    (timeout_ms != 0).then(|| now_ns.saturating_add(u64::from(timeout_ms) * NANOS_PER_MS))
}

/// What an upstream sent, while the callback that delivers it runs.
#[derive(Debug)]
pub(crate) enum Delivered {
    HttpAnswer(HttpCallResponse),
    GrpcInitialMetadata(HeaderMap),
    GrpcMessage(Vec<u8>),
    GrpcTrailingMetadata(HeaderMap),
    /// Resolved addresses, or the arguments of `proxy_on_foreign_function`.
    Data(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_encode_the_kind_of_the_call() {
        let mut calls = Callouts::default();
        for (kind, first, second) in
            [(CallKind::Http, 4, 8), (CallKind::GrpcCall, 5, 9), (CallKind::GrpcStream, 6, 10)]
        {
            assert_eq!((calls.next_token(kind), calls.next_token(kind)), (first, second));
            assert_eq!(CallKind::of(second), Some(kind));
        }
        assert_eq!(CallKind::of(7), None);
    }
}
