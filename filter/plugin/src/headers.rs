//! The headers of a request on its way to the upstream, and of an answer on its way back.

use proxy_wasm::hostcalls;
use proxy_wasm::types::MapType;
use seqroute_core::config::Config;
use seqroute_core::engine::Turn;
use seqroute_core::reply::headers::reply_headers;
use seqroute_core::request::forward::{self, Forward};
use seqroute_core::request::head::is_internal;
use seqroute_core::request::headers::HeaderPairs;

/// Lets those headers of the request go on that may.
pub fn forward_headers(config: &Config, headers: &HeaderPairs) {
    for (name, value) in headers.iter() {
        let Ok(text) = std::str::from_utf8(name) else { continue };
        match forward::forward(config, name, value) {
            Forward::Keep => {}
            Forward::Put(value) => set_request_header(text, Some(&value)),
            Forward::Remove => set_request_header(text, None),
        }
    }
    let has_body = headers.get("content-length").is_some() || headers.get("transfer-encoding").is_some();
    if has_body && headers.get("content-type").is_none() {
        set_request_header("content-type", Some(forward::JSON));
    }
}

/// Removes the filter's own headers from a request that passes untouched.
pub fn remove_internal_headers(headers: &HeaderPairs) {
    let internal = headers.iter().filter(|(name, _)| is_internal(name));
    internal
        .filter_map(|(name, _)| std::str::from_utf8(name).ok())
        .for_each(|name| set_request_header(name, None));
}

/// Shows the decision to the client.
pub fn add_decision_headers(turn: &Turn) {
    for (name, value) in reply_headers(turn.record(), turn.wants_debug_headers()) {
        let _ = hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, name, Some(value.as_bytes()));
    }
}

/// Replaces a header of the request that is being held, or removes it. An error of the host is ignored: the request
/// goes on.
pub fn set_request_header(name: &str, value: Option<&str>) {
    let value = value.map(str::as_bytes);
    let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, value);
}
