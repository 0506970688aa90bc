//! The contract between proxy and plugin: numbers and names of the Proxy-Wasm ABI. No state, and nothing of wasmtime.

pub(crate) mod action;
pub(crate) mod callbacks;
pub(crate) mod closed_by;
pub(crate) mod host_functions;
pub(crate) mod log_level;
pub(crate) mod status;
pub(crate) mod stream_type;
pub(crate) mod version;
