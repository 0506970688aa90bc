//! Bodies, configurations and call responses as buffers.

use wasmtime::Linker;

use crate::abi::status::Status;
use crate::control::lock::lock;
use crate::guest::call::{Call, Fail, hostcall};
use crate::guest::state::VmState;
use crate::proxy::body::window;
use crate::proxy::callouts::Delivered;
use crate::proxy::http_stream::Direction;
use crate::proxy::tcp_stream::Source;

#[derive(Clone, Copy)]
enum Buffer {
    Body(Direction),
    Connection(Source),
    /// Resolved addresses, or the arguments of `proxy_on_foreign_function`.
    CallData,
    CallAnswer,
    GrpcMessage,
    VmConfiguration,
    PluginConfiguration,
}

impl Buffer {
    fn from_abi(number: u32) -> Result<Self, Status> {
        Ok(match number {
            0 => Buffer::Body(Direction::Request),
            1 => Buffer::Body(Direction::Response),
            2 => Buffer::Connection(Source::Downstream),
            3 => Buffer::Connection(Source::Upstream),
            8 => Buffer::CallData,
            4 => Buffer::CallAnswer,
            5 => Buffer::GrpcMessage,
            6 => Buffer::VmConfiguration,
            7 => Buffer::PluginConfiguration,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// Runs `use_it` on the bytes of a buffer. An absent body, TCP data or gRPC message is empty, as in Envoy; other absent
/// buffers are `NotFound`.
fn with_buffer<R>(call: &Call<'_>, number: u32, use_it: impl FnOnce(&[u8]) -> R) -> Result<R, Fail> {
    let state = call.state();
    let delivered = state.delivered();
    Ok(match Buffer::from_abi(number)? {
        Buffer::Body(direction) => match state.lock_stream() {
            Some(mut stream) => use_it(stream.message(direction).body().visible()),
            None => use_it(&[]),
        },
        Buffer::Connection(source) => match state.connection(state.active()) {
            Some(connection) => use_it(lock(&connection).flow(source).body.visible()),
            None => use_it(&[]),
        },
        Buffer::CallData => match delivered {
            Some(Delivered::Data(data)) => use_it(data),
            _ => use_it(&[]),
        },
        Buffer::CallAnswer => match delivered {
            Some(Delivered::HttpAnswer(answer)) => use_it(&answer.body),
            _ => return Err(Status::NotFound.into()),
        },
        Buffer::GrpcMessage => match delivered {
            Some(Delivered::GrpcMessage(message)) => use_it(message),
            _ => use_it(&[]),
        },
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
            with_buffer(call, buffer, |_| ())?;
            let (start, length) = (start as usize, length as usize);
            let (guest, state) = call.guest()?;
            let value = guest.bytes(value, value_len)?;
            match Buffer::from_abi(buffer)? {
                Buffer::Body(direction) => {
                    let mut stream = state.lock_stream().ok_or(Status::BadArgument)?;
                    Ok(stream.message(direction).body_mut().write(start, length, value)?)
                }
                Buffer::Connection(source) => {
                    let connection = state.connection(state.active()).ok_or(Status::BadArgument)?;
                    let mut connection = lock(&connection);
                    Ok(connection.flow(source).body.write(start, length, value)?)
                }
                // All other buffers are read-only.
                _ => Err(Status::BadArgument.into()),
            }
        }
    );
    Ok(())
}
