//! Calls a plugin made to upstreams, waiting for the test to answer them.
//!
//! What always holds: a token names one call of one VM for good. As in proxy-wasm-cpp-host its two low bits
//! tell the kind: HTTP calls are 4, 8, 12, ..., unary gRPC calls 5, 9, 13, ..., gRPC streams 6, 10, 14, ...

use std::collections::BTreeMap;

use crate::proxy::callouts::DnsQuery;
use crate::proxy::headers::HeaderMap;

const KIND_MASK: u32 = 3;
const TOKEN_STEP: u32 = 4;
const NANOS_PER_MS: u64 = 1_000_000;

/// An HTTP call of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// The token the plugin got; answers name it.
    pub token: u32,
    /// The cluster that was called.
    pub upstream: String,
    /// The request's headers: those the plugin gave, and `content-length` when there is a body.
    pub headers: HeaderMap,
    /// The request's body.
    pub body: Vec<u8>,
    /// The request's trailers.
    pub trailers: HeaderMap,
    /// The timeout in milliseconds; 0 is none. [`crate::Vm::run_timeouts`] enforces it.
    pub timeout_ms: u32,
    /// The root context the answer goes to.
    pub(crate) root: u32,
    /// When it times out, by the monotonic clock.
    pub(crate) due_ns: Option<u64>,
}

/// The answer to an HTTP call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCallResponse {
    /// Headers, with `:status`.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers; an empty map is an answer without trailers.
    pub trailers: HeaderMap,
}

impl HttpCallResponse {
    /// An answer with a status and a body.
    pub fn new(status: u32, body: impl Into<Vec<u8>>) -> Self {
        let headers = HeaderMap::from(&[(":status", status.to_string())]);
        HttpCallResponse { headers, body: body.into(), trailers: HeaderMap::new() }
    }

    /// What Envoy answers to a call that takes too long.
    pub(crate) fn timeout() -> Self {
        let mut answer = HttpCallResponse::new(504, TIMEOUT_TEXT);
        answer.headers.add("content-length", TIMEOUT_TEXT.len().to_string());
        answer.headers.add("content-type", "text/plain");
        answer
    }
}

/// What Envoy says of a call that takes too long.
pub(crate) const TIMEOUT_TEXT: &str = "upstream request timeout";

/// The text of a gRPC status as Envoy 1.40 tells it to the plugin: the `grpc-message` as it was sent, and the response
/// code details of the call.
pub(crate) fn grpc_text(message: &str, details: &str) -> String {
    if message.is_empty() { details.to_owned() } else { format!("{message}{{{details}}}") }
}

/// A unary gRPC call of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    /// The token the plugin got; answers name it.
    pub token: u32,
    /// The cluster that was called, or the target when the plugin gave a `GrpcService` message with one.
    pub upstream: String,
    /// The full name of the gRPC service.
    pub service: String,
    /// The method.
    pub method: String,
    /// The metadata the plugin gave.
    pub initial_metadata: HeaderMap,
    /// The request, serialised.
    pub message: Vec<u8>,
    /// The timeout in milliseconds; 0 is none. [`crate::Vm::run_timeouts`] enforces it.
    pub timeout_ms: u32,
    pub(crate) root: u32,
    pub(crate) due_ns: Option<u64>,
}

/// A gRPC stream a plugin opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStream {
    /// The token the plugin got.
    pub token: u32,
    /// The cluster that was called, or the target when the plugin gave a `GrpcService` message with one.
    pub upstream: String,
    /// The full name of the gRPC service.
    pub service: String,
    /// The method.
    pub method: String,
    /// The metadata the plugin gave.
    pub initial_metadata: HeaderMap,
    /// The messages the plugin sent so far, in order.
    pub sent: Vec<Vec<u8>>,
    /// Whether the plugin has ended its side.
    pub half_closed: bool,
    /// Whether the upstream has ended the stream; it is kept until the plugin closes it too, with
    /// `proxy_grpc_close`.
    pub remote_closed: bool,
    /// The plugin called `proxy_grpc_close`. Ending its side with a message is not enough for Envoy to forget the
    /// stream.
    pub(crate) closed: bool,
    pub(crate) root: u32,
}

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

/// The kinds of calls, by the two low bits of their tokens.
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

/// All calls of one life of a VM that are under way.
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

    /// The next number of a query of names; the first is 2, as in Envoy.
    pub(crate) fn next_dns_token(&mut self) -> u32 {
        self.last_dns_token = self.last_dns_token.wrapping_add(1).max(1);
        self.last_dns_token
    }

    /// A call that timed out by `now_ns`: the one that was due first.
    pub(crate) fn next_due(&self, now_ns: u64) -> Option<u32> {
        let http = self.http.values().map(|call| (call.due_ns, call.token));
        let grpc = self.grpc.values().map(|call| (call.due_ns, call.token));
        let due = http.chain(grpc).filter_map(|(due_ns, token)| Some((due_ns?, token)));
        due.filter(|(due_ns, _)| *due_ns <= now_ns).min().map(|(_, token)| token)
    }

    /// Forgets a gRPC call, or a stream that both sides have closed, once its callback has returned; until then the
    /// plugin may still name it, as in Envoy.
    pub(crate) fn forget_ended(&mut self, token: u32) {
        self.grpc.remove(&token);
        if self.streams.get(&token).is_some_and(|stream| stream.closed && stream.remote_closed) {
            self.streams.remove(&token);
        }
    }

    /// Forgets the calls of a root context that is gone.
    pub(crate) fn cancel_all_of(&mut self, root: u32) {
        self.http.retain(|_, call| call.root != root);
        self.grpc.retain(|_, call| call.root != root);
        self.streams.retain(|_, stream| stream.root != root);
        self.dns.retain(|_, query| query.root != root);
    }
}

/// When a call with this timeout is over, by the monotonic clock.
pub(crate) fn due_ns(now_ns: u64, timeout_ms: u32) -> Option<u64> {
    (timeout_ms != 0).then(|| now_ns.saturating_add(u64::from(timeout_ms) * NANOS_PER_MS))
}

/// What an upstream sent, while the callback that tells of it runs.
#[derive(Debug)]
pub(crate) enum Delivered {
    HttpAnswer(HttpCallResponse),
    GrpcInitialMetadata(HeaderMap),
    GrpcMessage(Vec<u8>),
    GrpcTrailingMetadata(HeaderMap),
    /// Addresses, or the arguments of a call the other way.
    Data(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_the_kind_of_the_call() {
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
