//! Time, random bytes, environment, and the functions that only answer.
//!
//! Time is the host's clock; random bytes come from the VM's seed.

use wasmtime::Linker;

use super::errno::{Errno, fault};
use crate::abi::host_functions::Phase;
use crate::abi::log_level::LogLevel;
use crate::guest::call::{Call, hostcall, restricted};
use crate::guest::state::VmState;

/// Most random bytes in one call, as in cpp-host.
const MAX_RANDOM_BYTES: u32 = 64 * 1024;

pub(super) fn define(linker: &mut Linker<VmState>, module: &'static str) -> wasmtime::Result<()> {
    hostcall!(linker, module, "clock_time_get", |call, clock: u32, _precision: u64, out: u32| {
        let now = match clock {
            0 => call.state().host.clock.now_ns(),
            1 => call.state().host.clock.monotonic_ns(),
            _ => return Err(Errno::NotSupported.into()),
        };
        call.write_u64(out, now).map_err(fault)
    });
    hostcall!(linker, module, "clock_res_get", |call, clock: u32, out: u32| match clock {
        0 | 1 => call.write_u64(out, 1).map_err(fault),
        _ => Err(Errno::NotSupported.into()),
    });
    hostcall!(linker, module, "random_get", |call, out: u32, len: u32| {
        if len > MAX_RANDOM_BYTES {
            return Err(Errno::Invalid.into());
        }
        if len == 0 {
            return Ok(());
        }
        let bytes = call.state_mut().random.bytes(len as usize);
        call.write(out, &bytes).map_err(fault)
    });
    hostcall!(linker, module, "environ_sizes_get", |call, out_count: u32, out_size: u32| {
        let entries = environment(call);
        call.write_u32(out_count, entries.len() as u32).map_err(fault)?;
        call.write_u32(out_size, entries.concat().len() as u32).map_err(fault)
    });
    hostcall!(linker, module, "environ_get", |call, pointers: u32, bytes: u32| {
        let (mut pointer, mut at) = (pointers, bytes);
        for entry in environment(call) {
            call.write_u32(pointer, at).map_err(fault)?;
            call.write(at, &entry).map_err(fault)?;
            (pointer, at) = (pointer.wrapping_add(4), at.wrapping_add(entry.len() as u32));
        }
        Ok(())
    });
    hostcall!(linker, module, "args_sizes_get", |call, out_count: u32, out_size: u32| {
        call.write_u32(out_count, 0).map_err(fault)?;
        call.write_u32(out_size, 0).map_err(fault)
    });
    hostcall!(linker, module, "args_get", |_call, _pointers: u32, _bytes: u32| Ok(()));
    hostcall!(linker, module, "sched_yield", |_call| Ok(()));
    hostcall!(linker, module, "poll_oneoff", |call, _in: u32, _out: u32, _count: u32, out_events: u32| {
        call.write_u32(out_events, 0).map_err(fault)
    });
    // Envoy only notes the call and returns; a module that meant to exit then runs into its own trap.
    linker.func_wrap(module, "proc_exit", |caller: wasmtime::Caller<'_, VmState>, code: u32| {
        if caller.data().phase != Phase::Running {
            return Err(restricted("proc_exit"));
        }
        caller.data().log(LogLevel::Trace, format!("proc_exit {code}").as_bytes());
        Ok(())
    })?;
    Ok(())
}

fn environment(call: &Call<'_>) -> Vec<Vec<u8>> {
    let variables = call.state().options.environment.iter();
    variables.map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}
