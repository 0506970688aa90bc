//! Properties and foreign functions.

use wasmtime::Linker;

use super::{Call, Outcome, Status, hostcall};
use crate::state::VmState;
use crate::sync::lock;

fn clear_route_cache(call: &mut Call<'_>) {
    if let Some(mut stream) = call.state().lock_stream() {
        stream.route_cache_clears += 1;
    }
}

fn identity(state: &VmState, path: &[u8]) -> Option<Vec<u8>> {
    match path.strip_suffix(&[0]).unwrap_or(path) {
        b"plugin_name" | b"plugin_root_id" => Some(state.active_root_id().into_bytes()),
        b"plugin_vm_id" => Some(state.options.vm_id.clone().into_bytes()),
        _ => None,
    }
}

fn call_foreign(call: &mut Call<'_>, name: &[u8], out: u32, out_len: u32) -> Outcome {
    lock(&call.state().records).note_foreign_call(name);
    if name != b"clear_route_cache" {
        return Err(Status::NotFound.into());
    }
    clear_route_cache(call);
    // The function has no result; callers that want one get a null pointer, others pass null themselves.
    for at in [out, out_len] {
        if at != 0 {
            call.write_u32(at, 0)?;
        }
    }
    Ok(())
}

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(
        linker,
        "env",
        "proxy_get_property",
        |call, path: u32, path_len: u32, out: u32, out_len: u32| {
            let (guest, state) = call.guest()?;
            let path = guest.bytes(path, path_len)?;
            let of_stream = state.lock_stream().and_then(|stream| stream.property(path));
            let value = of_stream.or_else(|| identity(state, path)).ok_or(Status::NotFound)?;
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
            // Filter state belongs to a stream; a root context has none.
            let mut stream = state.lock_stream().ok_or(Status::NotFound)?;
            stream.properties.set_filter_state(path, value.to_vec());
            Ok(())
        }
    );
    hostcall!(
        linker,
        "env",
        "proxy_call_foreign_function",
        |call, name: u32, name_len: u32, arguments: u32, arguments_len: u32, out: u32, out_len: u32| {
            let name = call.read(name, name_len)?;
            call.read(arguments, arguments_len)?;
            call_foreign(call, &name, out, out_len)
        }
    );
    // The two names of ABI 0.1.0.
    hostcall!(linker, "env", "proxy_clear_route_cache", |call| {
        clear_route_cache(call);
        Ok(())
    });
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
