//! The WASI preview 1 functions that Envoy gives a plugin.
//!
//! There are no files, sockets or arguments. Standard output and error become log lines, time is the host's
//! clock, random bytes are seeded. Functions on files and sockets are in `wasi_files`. These are all functions of
//! proxy-wasm-cpp-host's `exports.cc`, with its parameters and error numbers; a module that imports another one
//! does not load, neither here nor in Envoy.

use wasmtime::Linker;

use crate::abi::{Call, Fail, OutOfBounds, Outcome, hostcall, restricted};
use crate::records::LogLevel;
use crate::state::{Permission, VmState};

/// Error numbers of WASI preview 1.
#[derive(Clone, Copy)]
pub(crate) enum Errno {
    BadFile = 8,
    NotDirectory = 20,
    Fault = 21,
    Invalid = 28,
    NoEntry = 44,
    NotImplemented = 52,
    NotSupported = 58,
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Fail::Code(errno as u32)
    }
}

/// Both names under which plugins import WASI.
pub(crate) const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// Most random bytes in one call, as in cpp-host.
const MAX_RANDOM_BYTES: u32 = 64 * 1024;

/// Defines all functions, under both module names.
pub(crate) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    for module in MODULES {
        crate::wasi_files::define(linker, module)?;
        hostcall!(linker, module, "fd_write", |call, fd: u32, vectors: u32, count: u32, out: u32| {
            fd_write(call, fd, vectors, count, out)
        });
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
        hostcall!(
            linker,
            module,
            "poll_oneoff",
            |call, _in: u32, _out: u32, _count: u32, out_events: u32| {
                call.write_u32(out_events, 0).map_err(fault)
            }
        );
        hostcall!(linker, module, "fd_fdstat_get", |call, fd: u32, out: u32| {
            if fd != 1 && fd != 2 {
                return Err(Errno::BadFile.into());
            }
            let mut stat = [0u8; 24];
            // The right to write.
            stat[8] = 64;
            // Where it cannot be written does not matter, as in Envoy.
            let _ = call.write(out, &stat);
            Ok(())
        });
        // Envoy only notes the call and returns; a module that meant to exit then runs into its own trap.
        linker.func_wrap(module, "proc_exit", |caller: wasmtime::Caller<'_, VmState>, code: u32| {
            if caller.data().permission != Permission::Everything {
                return Err(restricted("proc_exit"));
            }
            caller.data().log(LogLevel::Trace, format!("proc_exit {code}").as_bytes());
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn fault(_: OutOfBounds) -> Fail {
    Errno::Fault.into()
}

fn environment(call: &Call<'_>) -> Vec<Vec<u8>> {
    let variables = call.state().options.environment.iter();
    variables.map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}

pub(crate) fn fd_write(call: &mut Call<'_>, fd: u32, vectors: u32, count: u32, out: u32) -> Outcome {
    let level = match fd {
        1 => LogLevel::Info,
        2 => LogLevel::Error,
        _ => return Err(Errno::BadFile.into()),
    };
    let table_len = count.checked_mul(8).ok_or(Errno::Fault)?;
    let table = call.read(vectors, table_len).map_err(fault)?;
    let mut text = Vec::new();
    for vector in table.chunks_exact(8) {
        let word =
            |at: usize| u32::from_le_bytes([vector[at], vector[at + 1], vector[at + 2], vector[at + 3]]);
        text.extend(call.read(word(0), word(4)).map_err(fault)?);
    }
    let written = text.len() as u32;
    if written != 0 {
        call.state().log(level, text.strip_suffix(b"\n").unwrap_or(&text));
    }
    call.write_u32(out, written).map_err(fault)
}
