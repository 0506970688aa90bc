//! HTTP calls a plugin made, waiting for the test to answer them.

use crate::headers::HeaderMap;

/// An HTTP call of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// The token the plugin got; answers name it.
    pub token: u32,
    /// The cluster that was called.
    pub upstream: String,
    /// The request's headers, as the plugin gave them.
    pub headers: HeaderMap,
    /// The request's body.
    pub body: Vec<u8>,
    /// The request's trailers.
    pub trailers: HeaderMap,
    /// The timeout in milliseconds; 0 is none. The host does not enforce it: Envoy would answer 504.
    pub timeout_ms: u32,
    /// The root context the answer goes to.
    pub(crate) root: u32,
}

/// The answer to an HTTP call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCallResponse {
    /// Headers, with `:status`.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: HeaderMap,
}

impl HttpCallResponse {
    /// An answer with a status and a body.
    pub fn new(status: u32, body: impl Into<Vec<u8>>) -> Self {
        let headers = HeaderMap::from(&[(":status", status.to_string())]);
        HttpCallResponse { headers, body: body.into(), trailers: HeaderMap::new() }
    }
}
