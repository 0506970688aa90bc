//! Properties, and the configuration as ABI 0.1.0 reads it.

use wasmtime::Linker;

use crate::abi::status::Status;
use crate::guest::call::hostcall;
use crate::guest::state::VmState;

fn identity(state: &VmState, path: &[u8]) -> Option<Vec<u8>> {
    match path.strip_suffix(&[0]).unwrap_or(path) {
        b"plugin_name" | b"plugin_root_id" => Some(state.active_root_id().into_bytes()),
        b"plugin_vm_id" => Some(state.options.vm_id.clone().into_bytes()),
        _ => None,
    }
}

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(
        linker,
        "env",
        "proxy_get_property",
        |call, path: u32, path_len: u32, out: u32, out_len: u32| {
            let (guest, state) = call.guest()?;
            let path = guest.bytes(path, path_len)?;
            if path.is_empty() {
                // Envoy finds a value of no type, and cannot serialise it.
                return Err(Status::SerializationFailure.into());
            }
            let of_member = match state.lock_stream() {
                Some(stream) => stream.property(path),
                None => state.with_active_properties(|properties| properties.of_connection(path)).flatten(),
            };
            let value = of_member.or_else(|| identity(state, path)).ok_or(Status::NotFound)?;
            call.hand_over(&value, out, out_len)
        }
    );
    hostcall!(
        linker,
        "env",
        "proxy_set_property",
        |call, path: u32, path_len: u32, value: u32, value_len: u32| {
            let (guest, state) = call.guest()?;
            let (path, value) = (guest.bytes(path, path_len)?, guest.bytes(value, value_len)?);
            let write_once = state.is_written_once(path);
            // Filter state belongs to a stream or a connection; a root context has none.
            let written = state.with_active_properties(|properties| {
                if write_once && properties.filter_state(path).is_some() {
                    return Err(Status::BadArgument);
                }
                properties.set_filter_state(path, value.to_vec());
                Ok(())
            });
            Ok(written.ok_or(Status::NotFound)??)
        }
    );
    Ok(())
}

/// What ABI 0.1.0 has instead of the configuration buffers.
pub(super) fn define_v0_1_0(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_get_configuration", |call, out: u32, out_len: u32| {
        let state = call.state();
        let bytes = match &state.configuration {
            Some(configuration) => configuration.to_vec(),
            None => state.options.vm_configuration.clone(),
        };
        call.hand_over(&bytes, out, out_len)
    });
    Ok(())
}
