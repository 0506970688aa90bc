//! Logging, time, ticks, contexts and the call status.

use wasmtime::Linker;

use crate::abi::log_level::LogLevel;
use crate::abi::status::Status;
use crate::guest::call::hostcall;
use crate::guest::contexts::{Deferred, Tick};
use crate::guest::state::VmState;

const NANOS_PER_MS: u64 = 1_000_000;

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_log", |call, level: u32, text: u32, len: u32| {
        let level = LogLevel::from_abi(level).ok_or(Status::BadArgument)?;
        let text = call.read(text, len)?;
        call.state().log(level, &text);
        Ok(())
    });
    hostcall!(linker, "env", "proxy_get_current_time_nanoseconds", |call, out: u32| {
        let now = call.state().host.clock.now_ns();
        Ok(call.write_u64(out, now)?)
    });
    hostcall!(linker, "env", "proxy_set_tick_period_milliseconds", |call, period: u32| {
        let state = call.state_mut();
        let period_ns = u64::from(period) * NANOS_PER_MS;
        let due_ns = state.host.clock.monotonic_ns().saturating_add(period_ns);
        let root = state.active_root();
        if let Some(context) = state.root_mut(root) {
            context.tick = (period != 0).then_some(Tick { period_ns, due_ns });
        }
        Ok(())
    });
    hostcall!(linker, "env", "proxy_set_effective_context", |call, context: u32| {
        let state = call.state_mut();
        // 0 is the VM's own context: it resets the effective context.
        if context != 0 && !state.contexts.contains_key(&context) {
            return Err(Status::BadArgument.into());
        }
        state.effective = context;
        Ok(())
    });
    hostcall!(linker, "env", "proxy_done", |call| {
        let state = call.state_mut();
        let root = state.active_root();
        let context = state.root_mut(root).filter(|context| context.pending_done).ok_or(Status::NotFound)?;
        context.pending_done = false;
        state.deferred.push(Deferred::DeleteRoot { root });
        Ok(())
    });
    // Two functions of Emscripten's runtime, which modules built with it import.
    linker.func_wrap("env", "pthread_equal", |left: u32, right: u32| u32::from(left == right))?;
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_memory: u32| ())?;
    hostcall!(linker, "env", "proxy_get_status", |call, code: u32, text: u32, len: u32| {
        let state = call.state_mut();
        let root = state.active_root();
        let (status, message) = state.root_mut(root).map(|root| root.call_status.clone()).unwrap_or_default();
        call.write_u32(code, status)?;
        call.hand_over(message.as_bytes(), text, len)
    });
    Ok(())
}

/// Added in ABI 0.2.1.
pub(super) fn define_v0_2_1(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_get_log_level", |call, out: u32| {
        let level = call.state().host.options.log_level as u32;
        Ok(call.write_u32(out, level)?)
    });
    Ok(())
}
