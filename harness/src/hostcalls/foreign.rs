//! Foreign functions: those that a test registered, and some of Envoy 1.40.
//!
//! Envoy's functions for expressions (`expr_*`) and signatures (`sign`, `verify_signature`) are left out; like all
//! unknown names they are `NotFound`.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};

use prost::Message;
use wasmtime::Linker;

use crate::abi::status::Status;
use crate::control::foreign_functions::ForeignCall;
use crate::control::lock::lock;
use crate::guest::call::{Call, Fail, Outcome, hostcall};
use crate::guest::state::VmState;

/// The filter state objects that Envoy 1.40 creates from text, as listed in its log at start (line
/// `filter_state.object:`), and the format of the text.
const ENVOY_OBJECTS: [(&str, Text); 21] = [
    ("envoy.ai.llm_protocol.request", Text::Any),
    ("envoy.ai.model.request", Text::Any),
    ("envoy.bool", Text::Any),
    ("envoy.filters.listener.original_dst.local_ip", Text::AddressAndPort),
    ("envoy.filters.listener.original_dst.remote_ip", Text::AddressAndPort),
    ("envoy.hashable_string", Text::Any),
    ("envoy.network.application_protocols", Text::Any),
    ("envoy.network.ip", Text::Address),
    ("envoy.network.network_namespace", Text::Any),
    ("envoy.network.transport_socket.http_11_proxy.info", Text::Any),
    ("envoy.network.transport_socket.original_dst_address", Text::AddressAndPort),
    ("envoy.network.upstream_server_name", Text::Any),
    ("envoy.network.upstream_subject_alt_names", Text::Any),
    ("envoy.ratelimit.hits_addend", Text::Number),
    ("envoy.router.debug_config", Text::Any),
    ("envoy.string", Text::Any),
    ("envoy.tcp_proxy.cluster", Text::Any),
    ("envoy.tcp_proxy.disable_tunneling", Text::Any),
    ("envoy.tcp_proxy.per_connection_idle_timeout_ms", Text::Number),
    ("envoy.upstream.dynamic_host", Text::Any),
    ("envoy.upstream.dynamic_port", Text::Number),
];

/// `SetEnvoyFilterStateArguments` of foreign function `set_envoy_filter_state`.
#[derive(Clone, PartialEq, prost::Message)]
struct SetEnvoyFilterState {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `DeclarePropertyArguments` of foreign function `declare_property`; fields that are not named here are skipped.
#[derive(Clone, PartialEq, prost::Message)]
struct DeclareProperty {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bool, tag = "2")]
    readonly: bool,
}

/// The format of a filter state object's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Any,
    Number,
    Address,
    AddressAndPort,
}

impl Text {
    fn accepts(self, value: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Number => value.parse::<u64>().is_ok(),
            Text::Address => value.parse::<IpAddr>().is_ok(),
            Text::AddressAndPort => value.parse::<SocketAddr>().is_ok(),
        }
    }
}

pub(super) fn clear_route_cache(call: &mut Call<'_>) {
    if let Some(mut stream) = call.state().lock_stream() {
        stream.route_cache_clears += 1;
    }
}

/// Runs a foreign function; `None` if the name is unknown.
fn run(call: &mut Call<'_>, name: &[u8], arguments: &[u8]) -> Option<Result<Vec<u8>, u32>> {
    let state = call.state();
    if let Some(function) = state.host.foreign.get(name) {
        let root_id = state.active_root_id();
        return Some(function(ForeignCall { vm_id: &state.options.vm_id, root_id: &root_id, arguments }));
    }
    let outcome = match name {
        b"clear_route_cache" => {
            clear_route_cache(call);
            Ok(Vec::new())
        }
        b"set_envoy_filter_state" => set_envoy_filter_state(call, arguments),
        b"declare_property" => declare_property(call, arguments),
        b"compress" => compress(arguments),
        b"uncompress" => uncompress(arguments),
        _ => return None,
    };
    Some(outcome.map_err(|status| status as u32))
}

fn set_envoy_filter_state(call: &mut Call<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let SetEnvoyFilterState { path, value } =
        SetEnvoyFilterState::decode(arguments).map_err(|_| Status::BadArgument)?;
    let known = ENVOY_OBJECTS.iter().find(|(name, _)| *name == path);
    let (name, text) = known.ok_or(Status::NotFound)?;
    if !text.accepts(&value) {
        return Err(Status::BadArgument);
    }
    let written = call
        .state()
        .with_active_properties(|properties| properties.set_envoy_filter_state(name, value.into_bytes()));
    written.map(|()| Vec::new()).ok_or(Status::NotFound)
}

/// Records how a property is kept. Envoy stores the declaration with the running context but looks it up in the root
/// context, so a declaration in a stream's callback has no effect.
fn declare_property(call: &mut Call<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let DeclareProperty { name, readonly } =
        DeclareProperty::decode(arguments).map_err(|_| Status::BadArgument)?;
    let state = call.state_mut();
    let key = (state.current, name.into_bytes());
    if state.declared.contains_key(&key) {
        return Err(Status::BadArgument);
    }
    state.declared.insert(key, readonly);
    Ok(Vec::new())
}

fn compress(plain: &[u8]) -> Result<Vec<u8>, Status> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    let packed = encoder.write_all(plain).and_then(|()| encoder.finish());
    packed.map_err(|_| Status::SerializationFailure)
}

fn uncompress(packed: &[u8]) -> Result<Vec<u8>, Status> {
    let mut plain = Vec::new();
    let read = flate2::read::ZlibDecoder::new(packed).read_to_end(&mut plain);
    read.map(|_| plain).map_err(|_| Status::SerializationFailure)
}

/// Calls a foreign function and returns its result, unless the caller passed null pointers.
fn call_foreign(call: &mut Call<'_>, name: &[u8], arguments: &[u8], out: u32, out_len: u32) -> Outcome {
    lock(&call.state().records).note_foreign_call(name);
    let outcome = run(call, name, arguments).ok_or(Status::NotFound)?;
    let result = outcome.as_deref().unwrap_or_default();
    if out != 0 {
        let pointer = call.copy_in(result)?;
        call.write_u32(out, pointer)?;
    }
    if out_len != 0 {
        call.write_u32(out_len, result.len() as u32)?;
    }
    outcome.map(drop).map_err(Fail::Code)
}

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(
        linker,
        "env",
        "proxy_call_foreign_function",
        |call, name: u32, name_len: u32, arguments: u32, arguments_len: u32, out: u32, out_len: u32| {
            let name = call.read(name, name_len)?;
            let arguments = call.read(arguments, arguments_len)?;
            call_foreign(call, &name, &arguments, out, out_len)
        }
    );
    Ok(())
}

/// What ABI 0.1.0 has instead of the foreign function.
pub(super) fn define_v0_1_0(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_clear_route_cache", |call| {
        clear_route_cache(call);
        Ok(())
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_bytes_decompress_and_damaged_ones_are_refused() {
        let plain = b"some text, some text, some text".repeat(9);
        let packed = compress(&plain).unwrap();
        assert!(packed.len() < plain.len() && packed.starts_with(&[0x78, 0x9c]));
        assert_eq!(uncompress(&packed), Ok(plain));
        assert_eq!(uncompress(&packed[..packed.len() - 5]), Err(Status::SerializationFailure));
        assert_eq!(uncompress(b"no zlib"), Err(Status::SerializationFailure));
    }
}
