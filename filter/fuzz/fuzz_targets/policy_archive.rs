//! Policy archives, byte by byte: refused with one line, or ready to run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::policy::Policy;

fuzz_target!(|data: &[u8]| {
    match Policy::open(data) {
        Ok(policy) => {
            let state = vec![0.5; policy.manifest().features.len()];
            let _ = policy.values(&state);
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
