//! Shared queues.

use wasmtime::Linker;

use crate::guest::call::hostcall;
use crate::guest::state::VmState;

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
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
            // An empty vm_id means the caller's own.
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
