//! How a stream ended, as Envoy tells it: whether the upstream had the request where the client got no answer.

use proxy_wasm::hostcalls;
use seqroute_core::engine::Upstream;

/// `response.code_details` of an answer that is the upstream's own.
const VIA_UPSTREAM: &[u8] = b"via_upstream";
/// Bits of `response.flags` (Envoy's `CoreResponseFlag`, in their order) of requests that no upstream got: no healthy
/// host, connection failed, circuit breaker open, no route, no cluster, name not resolved, dropped for overload.
const UNREACHED: u64 = 1 << 1 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 24 | 1 << 26 | 1 << 27 | 1 << 29;
/// Bits of those that one had, in this attempt or in an earlier one: time-out, reset here or there, connection broken
/// off, longest duration reached, protocol error.
const REACHED: u64 = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 19 | 1 << 23;

/// What the upstream did with a request that the client got `status` for. Where the host says nothing, an upstream that
/// has not answered is taken to have the request.
pub fn upstream(status: Option<u32>, is_sent_whole: bool) -> Upstream {
    if !is_sent_whole {
        return Upstream::Unreached;
    }
    let details = property("code_details");
    if status.is_some() && details.is_none_or(|details| details == VIA_UPSTREAM) {
        return Upstream::Answered;
    }
    let flags = property("flags").and_then(|flags| Some(u64::from_le_bytes(flags.try_into().ok()?)));
    match flags {
        Some(flags) if flags & UNREACHED != 0 && flags & REACHED == 0 => Upstream::Unreached,
        _ => Upstream::Silent,
    }
}

fn property(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_property(vec!["response", name]).ok().flatten()
}
