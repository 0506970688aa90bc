//! Header and trailer maps.
//!
//! The stream decides which map can be read or edited when; here unavailability becomes a status.

use wasmtime::Linker;

use crate::abi::status::Status;
use crate::abi::version::AbiVersion;
use crate::guest::call::{Call, Fail, hostcall};
use crate::guest::state::VmState;
use crate::proxy::callouts::Delivered;
use crate::proxy::headers::HeaderMap;
use crate::proxy::http_stream::{Direction, StreamMap};
use crate::proxy::merged_headers;

#[derive(Clone, Copy)]
enum Map {
    Stream(StreamMap),
    GrpcInitialMetadata,
    GrpcTrailingMetadata,
    AnswerHeaders,
    AnswerTrailers,
}

impl Map {
    fn from_abi(number: u32) -> Result<Self, Status> {
        Ok(match number {
            0 => Map::Stream(StreamMap::Headers(Direction::Request)),
            1 => Map::Stream(StreamMap::Trailers(Direction::Request)),
            2 => Map::Stream(StreamMap::Headers(Direction::Response)),
            3 => Map::Stream(StreamMap::Trailers(Direction::Response)),
            4 => Map::GrpcInitialMetadata,
            5 => Map::GrpcTrailingMetadata,
            6 => Map::AnswerHeaders,
            7 => Map::AnswerTrailers,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// A map, if it is available, and whether the access log is being written.
struct Sight<'a> {
    map: Option<&'a HeaderMap>,
    in_log: bool,
}

fn look<R>(call: &Call<'_>, number: u32, use_it: impl FnOnce(Sight<'_>) -> R) -> Result<R, Fail> {
    look_at(call.state(), number, use_it)
}

fn look_at<R>(state: &VmState, number: u32, use_it: impl FnOnce(Sight<'_>) -> R) -> Result<R, Fail> {
    let stream = state.lock_stream();
    let in_log = stream.as_ref().is_some_and(|stream| stream.in_log);
    let map = match (Map::from_abi(number)?, state.delivered()) {
        (Map::Stream(map), _) => stream.as_ref().and_then(|stream| stream.readable(map)),
        (Map::GrpcInitialMetadata, Some(Delivered::GrpcInitialMetadata(map)))
        | (Map::GrpcTrailingMetadata, Some(Delivered::GrpcTrailingMetadata(map))) => Some(map),
        (Map::AnswerHeaders, Some(Delivered::HttpAnswer(answer))) => Some(&answer.headers),
        (Map::AnswerTrailers, Some(Delivered::HttpAnswer(answer))) => {
            Some(&answer.trailers).filter(|trailers| !trailers.is_empty())
        }
        _ => None,
    };
    Ok(use_it(Sight { map, in_log }))
}

fn edit<R>(
    state: &VmState,
    number: u32,
    change: impl FnOnce(&mut HeaderMap, StreamMap) -> R,
) -> Result<R, Fail> {
    // Call responses and metadata are read-only.
    let Map::Stream(map) = Map::from_abi(number)? else {
        return Err(Status::BadArgument.into());
    };
    let mut stream = state.lock_stream().ok_or(Status::BadArgument)?;
    Ok(change(stream.writable(map).ok_or(Status::BadArgument)?, map))
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
        // ABI 0.1.0 has no `NotFound`.
        Err(Status::NotFound) if call.state().abi == AbiVersion::V0_1_0 => call.hand_over(&[], out, out_len),
        value => call.hand_over(&value?, out, out_len),
    }
}

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "proxy_get_header_map_size", |call, map: u32, out: u32| {
        // Envoy accesses the map as for an edit: call responses, metadata and maps in the access log have no size, and
        // in the last body callback this creates trailers.
        let size = edit(call.state(), map, |map, _| map.byte_size())?;
        Ok(call.write_u32(out, size as u32)?)
    });
    hostcall!(linker, "env", "proxy_get_header_map_pairs", |call, map: u32, out: u32, out_len: u32| {
        // An absent map reads as an empty one.
        let wire = look(call, map, |sight| sight.map.map(HeaderMap::encode))?.unwrap_or_default();
        call.hand_over(&wire, out, out_len)
    });
    hostcall!(linker, "env", "proxy_set_header_map_pairs", |call, map: u32, wire: u32, wire_len: u32| {
        let (guest, state) = call.guest()?;
        // cpp-host reads a malformed map as an empty one, and so clears the map.
        let pairs = HeaderMap::decode(guest.bytes(wire, wire_len)?).unwrap_or_default();
        edit(state, map, |map, kind| *map = merged_headers::merged(pairs, kind))
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
            edit(state, map, |map, kind| merged_headers::add(map, kind, key, value))
        }
    );
    hostcall!(
        linker,
        "env",
        "proxy_replace_header_map_value",
        |call, map: u32, key: u32, key_len: u32, value: u32, value_len: u32| {
            let (guest, state) = call.guest()?;
            let (key, value) = (guest.bytes(key, key_len)?, guest.bytes(value, value_len)?);
            edit(state, map, |map, _| map.set(key, value))
        }
    );
    hostcall!(linker, "env", "proxy_remove_header_map_value", |call, map: u32, key: u32, key_len: u32| {
        let (guest, state) = call.guest()?;
        let key = guest.bytes(key, key_len)?;
        edit(state, map, |map, _| map.remove(key))
    });
    Ok(())
}
