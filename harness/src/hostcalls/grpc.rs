//! gRPC calls and streams. They are only recorded; the test plays the upstream.

use prost::Message;
use wasmtime::Linker;

use crate::abi::status::Status;
use crate::guest::call::{Call, Fail, hostcall};
use crate::guest::state::VmState;
use crate::proxy::callouts::{CallKind, GrpcCall, GrpcStream, due_ns};
use crate::proxy::headers::HeaderMap;

/// `envoy.config.core.v3.GrpcService`: the upstream of a gRPC call. Fields that are not named here are skipped.
#[derive(Clone, PartialEq, prost::Message)]
struct GrpcService {
    #[prost(message, optional, tag = "1")]
    envoy_grpc: Option<EnvoyGrpc>,
    #[prost(message, optional, tag = "2")]
    google_grpc: Option<GoogleGrpc>,
}

/// A cluster in Envoy's configuration.
#[derive(Clone, PartialEq, prost::Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
}

/// A target that Envoy's gRPC library resolves.
#[derive(Clone, PartialEq, prost::Message)]
struct GoogleGrpc {
    #[prost(string, tag = "1")]
    target_uri: String,
}

/// Reads the upstream: a serialised `GrpcService`, or else the name of a cluster. As in Envoy, in this order.
fn upstream(call: &Call<'_>, service: &[u8]) -> Result<String, Status> {
    if let Ok(service) = GrpcService::decode(service) {
        let cluster = service.envoy_grpc.map(|target| target.cluster_name);
        return match (cluster, service.google_grpc) {
            (Some(name), _) if knows(call, &name) => Ok(name),
            (Some(_), _) => Err(Status::InternalFailure),
            (None, Some(target)) => Ok(target.target_uri),
            (None, None) => Err(Status::BadArgument),
        };
    }
    let name = String::from_utf8_lossy(service).into_owned();
    if knows(call, &name) { Ok(name) } else { Err(Status::ParseFailure) }
}

fn knows(call: &Call<'_>, cluster: &str) -> bool {
    call.state().options.clusters.as_ref().is_none_or(|known| known.iter().any(|name| name == cluster))
}

/// What a call and a stream have in common.
struct Target {
    upstream: String,
    service: String,
    method: String,
    initial_metadata: HeaderMap,
    root: u32,
}

/// Pointers and lengths of the upstream, the service, the method and the metadata.
type TargetArguments = [(u32, u32); 4];

fn target(call: &Call<'_>, arguments: TargetArguments) -> Result<Target, Fail> {
    let [service, name, method, metadata] = arguments.map(|(at, len)| call.read(at, len));
    let (service, name, method, metadata) = (service?, name?, method?, metadata?);
    Ok(Target {
        upstream: upstream(call, &service)?,
        service: String::from_utf8_lossy(&name).into_owned(),
        method: String::from_utf8_lossy(&method).into_owned(),
        initial_metadata: HeaderMap::decode(&metadata).unwrap_or_default(),
        root: call.state().active_root(),
    })
}

fn send(call: &mut Call<'_>, token: u32, message: Vec<u8>, end: bool) -> Result<(), Status> {
    if CallKind::of(token) != Some(CallKind::GrpcStream) {
        return Err(Status::BadArgument);
    }
    let stream = call.state_mut().callouts.streams.get_mut(&token).ok_or(Status::NotFound)?;
    // Messages after either side has closed are dropped.
    if !stream.half_closed && !stream.remote_closed {
        stream.sent.push(message);
        stream.half_closed = end;
    }
    Ok(())
}

/// Ends a call, or the plugin's side of a stream. A stream whose other side is open stays.
fn close(call: &mut Call<'_>, token: u32) -> Result<(), Status> {
    let callouts = &mut call.state_mut().callouts;
    match CallKind::of(token) {
        Some(CallKind::GrpcCall) => callouts.grpc.remove(&token).map(drop).ok_or(Status::NotFound),
        Some(CallKind::GrpcStream) => {
            let stream = callouts.streams.get_mut(&token).ok_or(Status::NotFound)?;
            (stream.half_closed, stream.closed) = (true, true);
            if stream.remote_closed {
                callouts.streams.remove(&token);
            }
            Ok(())
        }
        _ => Err(Status::BadArgument),
    }
}

fn cancel(call: &mut Call<'_>, token: u32) -> Result<(), Status> {
    let callouts = &mut call.state_mut().callouts;
    match CallKind::of(token) {
        Some(CallKind::GrpcCall) => callouts.grpc.remove(&token).map(drop).ok_or(Status::NotFound),
        Some(CallKind::GrpcStream) => callouts.streams.remove(&token).map(drop).ok_or(Status::NotFound),
        _ => Err(Status::BadArgument),
    }
}

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_grpc_call", |call,
                                                 upstream: u32,
                                                 upstream_len: u32,
                                                 service: u32,
                                                 service_len: u32,
                                                 method: u32,
                                                 method_len: u32,
                                                 metadata: u32,
                                                 metadata_len: u32,
                                                 message: u32,
                                                 message_len: u32,
                                                 timeout_ms: u32,
                                                 out: u32| {
        let message = call.read(message, message_len)?;
        let arguments = [
            (upstream, upstream_len),
            (service, service_len),
            (method, method_len),
            (metadata, metadata_len),
        ];
        let Target { upstream, service, method, initial_metadata, root } = target(call, arguments)?;
        let state = call.state_mut();
        let token = state.callouts.next_token(CallKind::GrpcCall);
        let due_ns = due_ns(state.host.clock.monotonic_ns(), timeout_ms);
        let made = GrpcCall {
            token,
            upstream,
            service,
            method,
            initial_metadata,
            message,
            timeout_ms,
            root,
            due_ns,
        };
        state.callouts.grpc.insert(token, made);
        Ok(call.write_u32(out, token)?)
    });
    hostcall!(
        linker,
        "env",
        "proxy_grpc_stream",
        |call,
         upstream: u32,
         upstream_len: u32,
         service: u32,
         service_len: u32,
         method: u32,
         method_len: u32,
         metadata: u32,
         metadata_len: u32,
         out: u32| {
            let arguments = [
                (upstream, upstream_len),
                (service, service_len),
                (method, method_len),
                (metadata, metadata_len),
            ];
            let Target { upstream, service, method, initial_metadata, root } = target(call, arguments)?;
            let callouts = &mut call.state_mut().callouts;
            let token = callouts.next_token(CallKind::GrpcStream);
            let made = GrpcStream {
                token,
                upstream,
                service,
                method,
                initial_metadata,
                sent: Vec::new(),
                half_closed: false,
                remote_closed: false,
                closed: false,
                root,
            };
            callouts.streams.insert(token, made);
            Ok(call.write_u32(out, token)?)
        }
    );
    hostcall!(linker, "env", "proxy_grpc_send", |call, token: u32, message: u32, len: u32, end: u32| {
        let message = call.read(message, len)?;
        Ok(send(call, token, message, end != 0)?)
    });
    hostcall!(linker, "env", "proxy_grpc_cancel", |call, token: u32| Ok(cancel(call, token)?));
    hostcall!(linker, "env", "proxy_grpc_close", |call, token: u32| Ok(close(call, token)?));
    Ok(())
}
