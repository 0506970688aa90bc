//! HTTP and gRPC calls.
//!
//! An HTTP call waits for the test to answer it. gRPC calls cannot be opened, so no gRPC token can exist.

use wasmtime::Linker;

use super::{Fail, Status, hostcall};
use crate::callouts::HttpCall;
use crate::headers::HeaderMap;
use crate::state::VmState;

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
        let headers = HeaderMap::decode(&call.read(headers, headers_len)?).unwrap_or_default();
        let body = call.read(body, body_len)?;
        let trailers = HeaderMap::decode(&call.read(trailers, trailers_len)?).unwrap_or_default();
        // The place of the token is checked before anything is sent.
        call.write_u32(out, 0)?;
        let state = call.state_mut();
        let known = state.options.clusters.as_ref().is_none_or(|clusters| clusters.contains(&upstream));
        let complete = [":path", ":method", ":authority"].iter().all(|name| headers.get(name).is_some());
        if !known || !complete || timeout_ms > i32::MAX as u32 {
            return Err(Status::BadArgument.into());
        }
        state.last_token += 1;
        let (token, root) = (state.last_token, state.active_root());
        state.calls.insert(token, HttpCall { token, upstream, headers, body, trailers, timeout_ms, root });
        Ok(call.write_u32(out, token)?)
    });
    hostcall!(linker, "env", "proxy_grpc_call", |_call,
                                                 _upstream: u32,
                                                 _upstream_len: u32,
                                                 _service: u32,
                                                 _service_len: u32,
                                                 _method: u32,
                                                 _method_len: u32,
                                                 _metadata: u32,
                                                 _metadata_len: u32,
                                                 _message: u32,
                                                 _message_len: u32,
                                                 _timeout_ms: u32,
                                                 _out: u32| {
        Err(Fail::from(Status::Unimplemented))
    });
    hostcall!(
        linker,
        "env",
        "proxy_grpc_stream",
        |_call,
         _upstream: u32,
         _upstream_len: u32,
         _service: u32,
         _service_len: u32,
         _method: u32,
         _method_len: u32,
         _metadata: u32,
         _metadata_len: u32,
         _out: u32| { Err(Fail::from(Status::Unimplemented)) }
    );
    hostcall!(linker, "env", "proxy_grpc_send", |_call, _token: u32, _message: u32, _len: u32, _end: u32| {
        Err(Fail::from(Status::NotFound))
    });
    hostcall!(linker, "env", "proxy_grpc_cancel", |_call, _token: u32| Err(Fail::from(Status::NotFound)));
    hostcall!(linker, "env", "proxy_grpc_close", |_call, _token: u32| Err(Fail::from(Status::NotFound)));
    Ok(())
}
