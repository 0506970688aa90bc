//! The host's services behind the core's types: shared data, counters, clock, replies.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{MetricType, Status};
use seqroute_core::counters::{Counter, Counts};
use seqroute_core::ledger::store::{SharedStore, StoreError, Swap, Versioned};
use seqroute_core::reply::local_reply::LocalReply;

/// Shared data of all workers. The SDK reports a conflict; on any other failure of these calls, which Envoy does not produce for
/// valid arguments, it ends the VM.
pub struct SharedData;

impl SharedStore for SharedData {
    fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        match hostcalls::get_shared_data(key).map_err(failed)? {
            (None, None) => Ok(None),
            // An empty value: the key exists, and its number must be used.
            (value, number) => Ok(Some((value.unwrap_or_default(), number.unwrap_or_default()))),
        }
    }

    fn compare_and_swap(&self, key: &str, value: &[u8], number: u32) -> Result<Swap, StoreError> {
        match hostcalls::set_shared_data(key, Some(value), Some(number)) {
            Ok(()) => Ok(Swap::Done),
            Err(Status::CasMismatch) => Ok(Swap::Conflict),
            Err(status) => Err(failed(status)),
        }
    }
}

fn failed(status: Status) -> StoreError {
    StoreError::Host(status as u32)
}

/// Ids of the counters at the host.
pub struct Metrics {
    /// By the counters' numbers; `None` for one that the host refused.
    ids: Vec<Option<u32>>,
}

thread_local! {
    // A VM is one thread. Counters are defined once in its life, not once per configuration.
    static METRICS: OnceCell<Rc<Metrics>> = const { OnceCell::new() };
}

impl Metrics {
    /// The VM's counters.
    pub fn of_this_vm() -> Rc<Metrics> {
        METRICS.with(|metrics| {
            let define = |counter: &Counter| {
                let name = format!("seqroute.{}", counter.name());
                hostcalls::define_metric(MetricType::Counter, &name).ok()
            };
            let new = || Rc::new(Metrics { ids: Counter::ALL.iter().map(define).collect() });
            metrics.get_or_init(new).clone()
        })
    }

    /// Adds what was collected.
    pub fn add(&self, counts: &Counts) {
        for (counter, amount) in counts.iter() {
            if let Some(Some(id)) = self.ids.get(counter as usize) {
                let amount = i64::try_from(amount).unwrap_or(i64::MAX);
                // A request does not fail because a counter cannot be increased.
                let _ = hostcalls::increment_metric(*id, amount);
            }
        }
    }
}

/// Now, in ms since the epoch.
pub fn now_ms() -> u64 {
    let now = hostcalls::get_current_time().ok();
    let since = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or_default()
}

/// The address of the stream's client, as Envoy writes it: the peer's, or what a trusted proxy says.
pub fn source_address() -> Option<Vec<u8>> {
    hostcalls::get_property(vec!["source", "address"]).ok().flatten()
}

thread_local! {
    /// The second in which a refusal was last recorded, and how many were in it.
    static REFUSALS: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

/// Whether one more refusal may be recorded in this second, of `most`.
pub fn may_log_refusal(most: u32, now_ms: u64) -> bool {
    let second = now_ms.div_euclid(1000);
    REFUSALS.with(|refusals| {
        let (last, count) = refusals.get();
        let count = if last == second { count } else { 0 };
        refusals.set((second, count.saturating_add(1)));
        count < most
    })
}

/// Sends a response of the filter's own.
pub fn send(reply: &LocalReply) {
    let headers = reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _ = hostcalls::send_http_response(reply.status, headers, Some(reply.body.as_bytes()));
}
