//! How often each host function was called.
//!
//! Every host call is counted, so counting must cost next to nothing: a function's place is known at compile time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::abi::host_functions::{HOST_FUNCTIONS, HostFunctionId};

/// The counts of one VM over all its lives.
#[derive(Debug)]
pub(crate) struct Counts {
    calls: [AtomicU64; HOST_FUNCTIONS.len()],
}

impl Default for Counts {
    fn default() -> Self {
        Counts { calls: [const { AtomicU64::new(0) }; HOST_FUNCTIONS.len()] }
    }
}

impl Counts {
    /// Counts one call.
    pub(crate) fn note(&self, function: HostFunctionId) {
        let calls = &self.calls[function.index()];
        // Only the guest's thread writes, so separate load and store lose nothing and avoid an atomic
        // read-modify-write.
        calls.store(calls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The functions that were called at least once, and how often.
    pub(crate) fn by_name(&self) -> BTreeMap<&'static str, u64> {
        let all = HOST_FUNCTIONS.iter().zip(&self.calls);
        let all = all.map(|(function, calls)| (function.name, calls.load(Ordering::Relaxed)));
        all.filter(|(_, calls)| *calls > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_is_counted_separately() {
        let counts = Counts::default();
        counts.note(HostFunctionId::of("proxy_log"));
        counts.note(HostFunctionId::of("proxy_log"));
        counts.note(HostFunctionId::of("random_get"));
        assert_eq!(counts.by_name(), BTreeMap::from([("proxy_log", 2), ("random_get", 1)]));
    }
}
