//! The headers as a host hands them over: of any bytes only whole pairs are read, each inside the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::request::headers::HeaderPairs;

fuzz_target!(|data: &[u8]| {
    let headers = HeaderPairs::new(data.to_vec());
    let read: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 10).sum();
    assert!(read <= data.len());
    for (name, _) in headers.iter() {
        if let Ok(name) = std::str::from_utf8(name) {
            assert!(headers.get(name).is_some());
        }
    }
});
