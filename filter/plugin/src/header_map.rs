//! The one host call that the SDK does not make safely: all headers of a message at once.
//!
//! The SDK's `get_map_bytes` panics when a header's name is not UTF-8. The same call is made here, and its result is
//! parsed by [`HeaderPairs`], which accepts any bytes.
#![expect(unsafe_code, reason = "a host call hands its result over as a raw pointer")]

use std::ptr::null_mut;

use proxy_wasm::types::{MapType, Status};
use seqroute_core::request::headers::HeaderPairs;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(
        map_type: MapType,
        return_map_data: *mut *mut u8,
        return_map_size: *mut usize,
    ) -> u32;
}

/// Reads all headers of the current message; none where the host has none.
pub fn read(map: MapType) -> HeaderPairs {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both pointers are valid for the call. The host allocates the bytes through the SDK's exported
    // `proxy_on_memory_allocate`, which gives the memory of a `Vec` with this capacity, and hands them over.
    let bytes = unsafe {
        let status = proxy_get_header_map_pairs(map, &raw mut data, &raw mut size);
        if status == Status::Ok as u32 && !data.is_null() {
            Vec::from_raw_parts(data, size, size)
        } else {
            Vec::new()
        }
    };
    HeaderPairs::new(bytes)
}
