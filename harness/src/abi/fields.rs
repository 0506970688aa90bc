//! Header and trailer maps.
//!
//! Which map can be read or edited when is decided by the stream; here unavailability becomes a status.

use wasmtime::Linker;

use super::{Call, Fail, Status, hostcall};
use crate::headers::HeaderMap;
use crate::module::AbiVersion;
use crate::state::VmState;
use crate::stream_state::{Direction, StreamMap};

#[derive(Clone, Copy)]
enum Map {
    Stream(StreamMap),
    AnswerHeaders,
    AnswerTrailers,
    /// gRPC metadata, which this host never has.
    Never,
}

impl Map {
    fn from_abi(number: u32) -> Result<Self, Status> {
        Ok(match number {
            0 => Map::Stream(StreamMap::Headers(Direction::Request)),
            1 => Map::Stream(StreamMap::Trailers(Direction::Request)),
            2 => Map::Stream(StreamMap::Headers(Direction::Response)),
            3 => Map::Stream(StreamMap::Trailers(Direction::Response)),
            4 | 5 => Map::Never,
            6 => Map::AnswerHeaders,
            7 => Map::AnswerTrailers,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// A map that may be there, and whether the access log is being written.
struct Sight<'a> {
    map: Option<&'a HeaderMap>,
    in_log: bool,
}

fn look<R>(call: &Call<'_>, number: u32, use_it: impl FnOnce(Sight<'_>) -> R) -> Result<R, Fail> {
    look_at(call.state(), number, use_it)
}

fn look_at<R>(state: &VmState, number: u32, use_it: impl FnOnce(Sight<'_>) -> R) -> Result<R, Fail> {
    let answer = state.answer.as_ref();
    Ok(match Map::from_abi(number)? {
        Map::Stream(map) => match state.lock_stream() {
            Some(stream) => use_it(Sight { map: stream.readable(map), in_log: stream.in_log }),
            None => use_it(Sight { map: None, in_log: false }),
        },
        Map::AnswerHeaders => use_it(Sight { map: answer.map(|answer| &answer.headers), in_log: false }),
        Map::AnswerTrailers => use_it(Sight { map: answer.map(|answer| &answer.trailers), in_log: false }),
        Map::Never => use_it(Sight { map: None, in_log: false }),
    })
}

fn edit(state: &VmState, number: u32, change: impl FnOnce(&mut HeaderMap)) -> Result<(), Fail> {
    // Answers and metadata are read-only.
    let Map::Stream(map) = Map::from_abi(number)? else {
        return Err(Status::BadArgument.into());
    };
    let mut stream = state.lock_stream().ok_or(Status::BadArgument)?;
    change(stream.writable(map).ok_or(Status::BadArgument)?);
    Ok(())
}

fn get_value(
    call: &mut Call<'_>,
    map: u32,
    key: u32,
    key_len: u32,
    out: u32,
    out_len: u32,
) -> Result<(), Fail> {
    let (guest, state) = call.guest()?;
    let key = guest.bytes(key, key_len)?;
    let value = look_at(state, map, |sight| match sight.map {
        Some(map) => map.get(key).map(<[u8]>::to_vec).ok_or(Status::NotFound),
        None if sight.in_log => Err(Status::NotFound),
        None => Err(Status::BadArgument),
    })?;
    match value {
        // ABI 0.1.0 had no "not found".
        Err(Status::NotFound) if call.state().abi == AbiVersion::V0_1_0 => call.hand_over(&[], out, out_len),
        value => call.hand_over(&value?, out, out_len),
    }
}

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_get_header_map_size", |call, map: u32, out: u32| {
        let size =
            look(call, map, |sight| sight.map.map(HeaderMap::byte_size))?.ok_or(Status::BadArgument)?;
        Ok(call.write_u32(out, size as u32)?)
    });
    hostcall!(linker, "env", "proxy_get_header_map_pairs", |call, map: u32, out: u32, out_len: u32| {
        // A map that is not there reads as an empty one.
        let wire = look(call, map, |sight| sight.map.map(HeaderMap::encode))?.unwrap_or_default();
        call.hand_over(&wire, out, out_len)
    });
    hostcall!(linker, "env", "proxy_set_header_map_pairs", |call, map: u32, wire: u32, wire_len: u32| {
        let (guest, state) = call.guest()?;
        // cpp-host takes a damaged map for an empty one, and so clears what was there.
        let pairs = HeaderMap::decode(guest.bytes(wire, wire_len)?).unwrap_or_default();
        edit(state, map, |map| *map = pairs)
    });
    hostcall!(
        linker,
        "env",
        "proxy_get_header_map_value",
        |call, map: u32, key: u32, key_len: u32, out: u32, out_len: u32| {
            get_value(call, map, key, key_len, out, out_len)
        }
    );
    hostcall!(
        linker,
        "env",
        "proxy_add_header_map_value",
        |call, map: u32, key: u32, key_len: u32, value: u32, value_len: u32| {
            let (guest, state) = call.guest()?;
            let (key, value) = (guest.bytes(key, key_len)?, guest.bytes(value, value_len)?);
            edit(state, map, |map| map.add(key, value))
        }
    );
    hostcall!(
        linker,
        "env",
        "proxy_replace_header_map_value",
        |call, map: u32, key: u32, key_len: u32, value: u32, value_len: u32| {
            let (guest, state) = call.guest()?;
            let (key, value) = (guest.bytes(key, key_len)?, guest.bytes(value, value_len)?);
            edit(state, map, |map| map.set(key, value))
        }
    );
    hostcall!(linker, "env", "proxy_remove_header_map_value", |call, map: u32, key: u32, key_len: u32| {
        let (guest, state) = call.guest()?;
        let key = guest.bytes(key, key_len)?;
        edit(state, map, |map| map.remove(key))
    });
    Ok(())
}
