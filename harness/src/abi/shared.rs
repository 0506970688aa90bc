//! Shared data and shared queues.

use wasmtime::Linker;

use super::{Status, hostcall};
use crate::state::VmState;

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(
        linker,
        "env",
        "proxy_get_shared_data",
        |call, key: u32, key_len: u32, out: u32, out_len: u32, out_cas: u32| {
            let (guest, state) = call.guest()?;
            let key = guest.bytes(key, key_len)?;
            let (value, cas) = state.shared.get_shared(key).ok_or(Status::NotFound)?;
            call.hand_over(&value, out, out_len)?;
            Ok(call.write_u32(out_cas, cas)?)
        }
    );
    hostcall!(
        linker,
        "env",
        "proxy_set_shared_data",
        |call, key: u32, key_len: u32, value: u32, value_len: u32, cas: u32| {
            let (guest, state) = call.guest()?;
            let (key, value) = (guest.bytes(key, key_len)?, guest.bytes(value, value_len)?);
            Ok(state.shared.set(key, value, cas).map_err(|_| Status::CasMismatch)?)
        }
    );
    hostcall!(linker, "env", "proxy_register_shared_queue", |call, name: u32, name_len: u32, out: u32| {
        let name = call.read(name, name_len)?;
        let state = call.state();
        let token = state.host.queues.register(state.options.vm_id.as_bytes(), &name, state.registrant());
        Ok(call.write_u32(out, token)?)
    });
    hostcall!(
        linker,
        "env",
        "proxy_resolve_shared_queue",
        |call, vm_id: u32, vm_id_len: u32, name: u32, name_len: u32, out: u32| {
            let (vm_id, name) = (call.read(vm_id, vm_id_len)?, call.read(name, name_len)?);
            let state = call.state();
            // No vm_id means the caller's own.
            let vm_id = if vm_id.is_empty() { state.options.vm_id.as_bytes() } else { &vm_id };
            let token = state.host.queues.resolve(vm_id, &name)?;
            Ok(call.write_u32(out, token)?)
        }
    );
    hostcall!(linker, "env", "proxy_enqueue_shared_queue", |call, token: u32, value: u32, value_len: u32| {
        let value = call.read(value, value_len)?;
        Ok(call.state().host.queues.enqueue(token, value)?)
    });
    hostcall!(linker, "env", "proxy_dequeue_shared_queue", |call, token: u32, out: u32, out_len: u32| {
        let item = call.state().host.queues.dequeue(token)?;
        call.hand_over(&item, out, out_len)
    });
    Ok(())
}
