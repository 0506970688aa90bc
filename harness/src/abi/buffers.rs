//! Bodies, configurations and HTTP call answers as buffers.

use wasmtime::Linker;

use super::{Call, Fail, Status, hostcall};
use crate::body::window;
use crate::state::VmState;
use crate::stream_state::Direction;

#[derive(Clone, Copy)]
enum Buffer {
    Body(Direction),
    /// TCP data, gRPC messages and foreign arguments, which this host never has.
    Never,
    CallAnswer,
    VmConfiguration,
    PluginConfiguration,
}

impl Buffer {
    fn from_abi(number: u32) -> Result<Self, Status> {
        Ok(match number {
            0 => Buffer::Body(Direction::Request),
            1 => Buffer::Body(Direction::Response),
            2 | 3 | 5 | 8 => Buffer::Never,
            4 => Buffer::CallAnswer,
            6 => Buffer::VmConfiguration,
            7 => Buffer::PluginConfiguration,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// Runs `use_it` on the bytes of a buffer. A body that is not at hand is empty, as in Envoy; other buffers
/// that are not at hand are not found.
fn with_buffer<R>(call: &Call<'_>, number: u32, use_it: impl FnOnce(&[u8]) -> R) -> Result<R, Fail> {
    let state = call.state();
    Ok(match Buffer::from_abi(number)? {
        Buffer::Body(direction) => match state.lock_stream() {
            Some(mut stream) => use_it(stream.side(direction).body().visible()),
            None => use_it(&[]),
        },
        Buffer::Never => use_it(&[]),
        Buffer::CallAnswer => use_it(&state.answer.as_ref().ok_or(Status::NotFound)?.body),
        Buffer::VmConfiguration => use_it(&state.options.vm_configuration),
        Buffer::PluginConfiguration => use_it(state.configuration.as_ref().ok_or(Status::NotFound)?),
    })
}

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(
        linker,
        "env",
        "proxy_get_buffer_bytes",
        |call, buffer: u32, start: u32, length: u32, out: u32, out_len: u32| {
            let bytes = with_buffer(call, buffer, |all| window(all, start, length).to_vec())?;
            call.hand_over(&bytes, out, out_len)
        }
    );
    hostcall!(linker, "env", "proxy_get_buffer_status", |call, buffer: u32, out_len: u32, out_flags: u32| {
        let len = with_buffer(call, buffer, <[u8]>::len)?;
        call.write_u32(out_len, len as u32)?;
        Ok(call.write_u32(out_flags, 0)?)
    });
    hostcall!(
        linker,
        "env",
        "proxy_set_buffer_bytes",
        |call, buffer: u32, start: u32, length: u32, value: u32, value_len: u32| {
            let buffer = Buffer::from_abi(buffer)?;
            let (guest, state) = call.guest()?;
            let value = guest.bytes(value, value_len)?;
            // Only bodies can be written.
            let Buffer::Body(direction) = buffer else {
                return Err(Status::BadArgument.into());
            };
            let mut stream = state.lock_stream().ok_or(Status::BadArgument)?;
            Ok(stream.side(direction).body_mut().write(start as usize, length as usize, value)?)
        }
    );
    Ok(())
}
