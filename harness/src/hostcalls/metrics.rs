//! Metrics.

use wasmtime::Linker;

use crate::guest::call::hostcall;
use crate::guest::state::VmState;

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_define_metric", |call, kind: u32, name: u32, name_len: u32, out: u32| {
        let name = call.read(name, name_len)?;
        let id = call.state_mut().metrics.define(kind, &name)?;
        Ok(call.write_u32(out, id)?)
    });
    hostcall!(linker, "env", "proxy_increment_metric", |call, id: u32, delta: i64| {
        Ok(call.state_mut().metrics.increment(id, delta)?)
    });
    hostcall!(linker, "env", "proxy_record_metric", |call, id: u32, value: u64| {
        Ok(call.state_mut().metrics.record(id, value)?)
    });
    hostcall!(linker, "env", "proxy_get_metric", |call, id: u32, out: u32| {
        let value = call.state().metrics.get(id)?;
        Ok(call.write_u64(out, value)?)
    });
    Ok(())
}
