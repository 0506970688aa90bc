//! The proxy around the VMs: what they share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::clock::Clock;
use crate::error::Error;
use crate::foreign::{ForeignCall, ForeignFunctions};
use crate::metrics::Metrics;
use crate::module::Module;
use crate::options::{HostOptions, VmOptions};
use crate::queues::Queues;
use crate::shared_data::SharedData;
use crate::sync::lock;
use crate::vm::Vm;

/// One proxy process: its clock, shared data, queues and metrics. Clones are the same host.
#[derive(Clone)]
pub struct Host {
    shared: Arc<HostShared>,
}

/// What VMs keep of their host.
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
    pub(crate) fn shared_data(&self, vm_id: &str) -> SharedData {
        lock(&self.stores).entry(vm_id.to_owned()).or_default().clone()
    }

    /// The next VM number; VMs made in the same order have the same numbers, and so the same random bytes.
    pub(crate) fn next_serial(&self) -> u64 {
        self.last_serial.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Default for Host {
    /// A host with default options.
    fn default() -> Self {
        Host::new(HostOptions::default())
    }
}

impl Host {
    /// A host without VMs.
    pub fn new(options: HostOptions) -> Self {
        let clock = Clock::starting_at_ms(options.now_ms);
        Host {
            shared: Arc::new(HostShared {
                options,
                clock,
                queues: Queues::default(),
                metrics: Metrics::default(),
                leaked_streams: AtomicUsize::new(0),
                foreign: ForeignFunctions::default(),
                stores: Mutex::default(),
                last_serial: AtomicU64::new(0),
            }),
        }
    }

    /// Starts a VM, which is what Envoy has one of per worker thread.
    pub fn vm(&self, module: &Module, options: VmOptions) -> Result<Vm, Error> {
        Vm::start(Arc::clone(&self.shared), module.clone(), options)
    }

    /// The clock all VMs of this host read.
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// The shared data of a vm_id.
    pub fn shared_data(&self, vm_id: &str) -> SharedData {
        self.shared.shared_data(vm_id)
    }

    /// Forgets the shared data of a vm_id, as a restart of the proxy does. VMs that run keep what they had.
    pub fn drop_shared_data(&self, vm_id: &str) {
        lock(&self.shared.stores).remove(vm_id);
    }

    /// The shared queues.
    pub fn queues(&self) -> Queues {
        self.shared.queues.clone()
    }

    /// The metrics of all plugins.
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics.clone()
    }

    /// Registers a foreign function for all plugins, or replaces one, also one that Envoy has. The function gets
    /// the call and gives the result's bytes, or the status the plugin gets instead (ABI 0.2.1: 1 not found,
    /// 2 bad argument, 10 internal failure, ...).
    ///
    /// ```
    /// # let host = seqroute_harness::Host::new(seqroute_harness::HostOptions::default());
    /// host.register_foreign_function("shout", |call| Ok(call.arguments.to_ascii_uppercase()));
    /// ```
    pub fn register_foreign_function(
        &self,
        name: &str,
        function: impl Fn(ForeignCall<'_>) -> Result<Vec<u8>, u32> + Send + Sync + 'static,
    ) {
        self.shared.foreign.register(name, function);
    }

    /// How many streams were dropped without [`crate::Stream::finish`] or [`crate::Stream::abandon`]. A test
    /// that leaves this above zero has skipped `proxy_on_log`.
    pub fn leaked_streams(&self) -> usize {
        self.shared.leaked_streams.load(Ordering::SeqCst)
    }
}
