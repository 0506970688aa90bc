//! What Envoy does around a filter: messages, buffers, local replies, shared data. No wasm in it.

pub(crate) mod body;
pub(crate) mod callouts;
pub(crate) mod headers;
pub(crate) mod http_stream;
pub(crate) mod local_reply;
pub(crate) mod merged_headers;
pub(crate) mod message;
pub(crate) mod metrics;
pub(crate) mod properties;
pub(crate) mod queues;
pub(crate) mod shared_data;
pub(crate) mod tcp_stream;
