//! Continuing, closing and answering streams.
//!
//! As in Envoy the effects come after the callback, so they are only queued here.

use wasmtime::Linker;

use crate::abi::status::Status;
use crate::abi::stream_type::StreamType;
use crate::control::lock::lock;
use crate::guest::call::{Call, Fail, Outcome, hostcall};
use crate::guest::contexts::Deferred;
use crate::guest::state::VmState;
use crate::proxy::headers::HeaderMap;
use crate::proxy::http_stream::{Direction, SharedStream};
use crate::proxy::local_reply::{LocalResponse, ReplyOrigin};

/// The largest gRPC status; the SDKs pass -1 for no status.
const MAX_GRPC_STATUS: u32 = 16;

fn continue_stream(call: &mut Call<'_>, kind: StreamType) -> Outcome {
    let direction = match kind {
        StreamType::Request => Direction::Request,
        StreamType::Response => Direction::Response,
        StreamType::Downstream => {
            let state = call.state_mut();
            let connection = state.active();
            state.deferred.push(Deferred::ContinueReading { connection });
            return Ok(());
        }
        StreamType::Upstream => return Err(Status::Unimplemented.into()),
    };
    let state = call.state_mut();
    let context = state.active();
    if let Some(stream) = state.stream(context) {
        let mut stream = lock(&stream);
        stream.continued.push(kind);
        // Envoy makes the request's maps unavailable, whichever direction is continued.
        stream.request.shut();
        drop(stream);
        state.deferred.push(Deferred::Continue { stream: context, direction });
    }
    Ok(())
}

/// Traps where Envoy 1.40 recurses without end: closing or answering a stream in `proxy_on_log` calls `proxy_on_log`
/// again.
fn refuse_in_log(stream: &SharedStream, name: &str) -> Outcome {
    if !lock(stream).in_log {
        return Ok(());
    }
    let text = format!("{name} in proxy_on_log: Envoy calls proxy_on_log again until its stack overflows");
    Err(Fail::Trap(wasmtime::Error::msg(text)))
}

fn close_stream(call: &mut Call<'_>, kind: StreamType) -> Outcome {
    let state = call.state_mut();
    let context = state.active();
    if state.connection(context).is_some() && matches!(kind, StreamType::Downstream | StreamType::Upstream) {
        // Both names mean the client's connection, the only one that a network filter has.
        state.deferred.push(Deferred::CloseConnection { connection: context });
    }
    if let Some(stream) = state.stream(context) {
        refuse_in_log(&stream, "proxy_close_stream")?;
        lock(&stream).closed.push(kind);
        if matches!(kind, StreamType::Request | StreamType::Response) {
            state.deferred.push(Deferred::Reset { stream: context });
        }
    }
    Ok(())
}

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(
        linker,
        "env",
        "proxy_send_local_response",
        |call,
         status: u32,
         details: u32,
         details_len: u32,
         body: u32,
         body_len: u32,
         headers: u32,
         headers_len: u32,
         grpc_status: u32| {
            let details = call.read(details, details_len)?;
            let body = call.read(body, body_len)?;
            let headers = HeaderMap::decode(&call.read(headers, headers_len)?).unwrap_or_default();
            let reply = LocalResponse {
                status,
                details: String::from_utf8_lossy(&details).replace(char::is_whitespace, "_"),
                headers,
                body,
                grpc_status: (grpc_status <= MAX_GRPC_STATUS).then_some(grpc_status),
                origin: ReplyOrigin::Plugin,
            };
            let state = call.state_mut();
            let context = state.active();
            if let Some(stream) = state.stream(context) {
                refuse_in_log(&stream, "proxy_send_local_response")?;
                state.deferred.push(Deferred::Reply { stream: context, reply });
            }
            state.stop_iteration = true;
            Ok(())
        }
    );
    Ok(())
}

/// How ABI 0.1.0 continues streams.
pub(super) fn define_v0_1_0(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_continue_request", |call| { continue_stream(call, StreamType::Request) });
    hostcall!(linker, "env", "proxy_continue_response", |call| {
        continue_stream(call, StreamType::Response)
    });
    Ok(())
}

/// How ABI 0.2.0 and later continue and close streams.
pub(super) fn define_v0_2_0(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_continue_stream", |call, kind: u32| {
        continue_stream(call, StreamType::from_abi(kind).ok_or(Status::BadArgument)?)
    });
    hostcall!(linker, "env", "proxy_close_stream", |call, kind: u32| {
        close_stream(call, StreamType::from_abi(kind).ok_or(Status::BadArgument)?)
    });
    Ok(())
}
