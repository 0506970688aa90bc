//! The state of one proxy process, which all its VMs share.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::control::clock::Clock;
use crate::control::foreign_functions::ForeignFunctions;
use crate::control::lock::lock;
use crate::control::options::HostOptions;
use crate::proxy::metrics::Metrics;
use crate::proxy::queues::Queues;
use crate::proxy::shared_data::SharedData;

/// One proxy process: clock, shared data, queues, metrics and foreign functions.
pub(crate) struct HostShared {
    pub(crate) options: HostOptions,
    pub(crate) clock: Clock,
    pub(crate) queues: Queues,
    pub(crate) metrics: Metrics,
    pub(crate) leaked_streams: AtomicUsize,
    pub(crate) foreign: ForeignFunctions,
    stores: Mutex<HashMap<String, SharedData>>,
    last_serial: AtomicU64,
}

impl HostShared {
    pub(crate) fn new(options: HostOptions) -> Self {
        HostShared {
            clock: Clock::starting_at_ms(options.now_ms),
            options,
            queues: Queues::default(),
            metrics: Metrics::default(),
            leaked_streams: AtomicUsize::new(0),
            foreign: ForeignFunctions::default(),
            stores: Mutex::default(),
            last_serial: AtomicU64::new(0),
        }
    }

    pub(crate) fn shared_data(&self, vm_id: &str) -> SharedData {
        lock(&self.stores).entry(vm_id.to_owned()).or_default().clone()
    }

    /// The next VM number. VMs created in the same order get the same numbers, and so the same random bytes.
    pub(crate) fn next_serial(&self) -> u64 {
        self.last_serial.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Forgets the shared data of a vm_id; VMs that run keep what they had.
    pub(crate) fn drop_shared_data(&self, vm_id: &str) {
        lock(&self.stores).remove(vm_id);
    }
}
