//! HTTP calls. They are only recorded; the test answers them.

use wasmtime::Linker;

use crate::abi::status::Status;
use crate::guest::call::hostcall;
use crate::guest::state::VmState;
use crate::proxy::callouts::{CallKind, HttpCall, due_ns};
use crate::proxy::headers::HeaderMap;

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_http_call", |call,
                                                 upstream: u32,
                                                 upstream_len: u32,
                                                 headers: u32,
                                                 headers_len: u32,
                                                 body: u32,
                                                 body_len: u32,
                                                 trailers: u32,
                                                 trailers_len: u32,
                                                 timeout_ms: u32,
                                                 out: u32| {
        let upstream = String::from_utf8_lossy(&call.read(upstream, upstream_len)?).into_owned();
        let mut headers = HeaderMap::decode(&call.read(headers, headers_len)?).unwrap_or_default();
        let body = call.read(body, body_len)?;
        let trailers = HeaderMap::decode(&call.read(trailers, trailers_len)?).unwrap_or_default();
        // The pointer for the token is checked before anything is sent.
        call.write_u32(out, 0)?;
        let state = call.state_mut();
        let known = state.options.clusters.as_ref().is_none_or(|clusters| clusters.contains(&upstream));
        let complete = [":path", ":method", ":authority"].iter().all(|name| headers.get(name).is_some());
        if !known || !complete || timeout_ms > i32::MAX as u32 {
            return Err(Status::BadArgument.into());
        }
        if !body.is_empty() {
            headers.set("content-length", body.len().to_string());
        }
        let token = state.callouts.next_token(CallKind::Http);
        let (root, due_ns) = (state.active_root(), due_ns(state.host.clock.monotonic_ns(), timeout_ms));
        let made = HttpCall { token, upstream, headers, body, trailers, timeout_ms, root, due_ns };
        state.callouts.http.insert(token, made);
        Ok(call.write_u32(out, token)?)
    });
    Ok(())
}
