//! The proxy around the VMs: what they share.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::api::vm::Vm;
use crate::control::clock::Clock;
use crate::control::foreign_functions::ForeignCall;
use crate::control::options::{HostOptions, VmOptions};
use crate::guest::process::HostShared;
use crate::proxy::metrics::Metrics;
use crate::proxy::queues::Queues;
use crate::proxy::shared_data::SharedData;
use crate::vm::error::Error;
use crate::vm::module::Module;
use crate::vm::shared::VmShared;

/// One proxy process: its clock, shared data, queues and metrics. Clones are the same host.
#[derive(Clone)]
pub struct Host {
    shared: Arc<HostShared>,
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
        Host { shared: Arc::new(HostShared::new(options)) }
    }

    /// Starts a VM, which is what Envoy has one of per worker thread.
    pub fn vm(&self, module: &Module, options: VmOptions) -> Result<Vm, Error> {
        VmShared::start(Arc::clone(&self.shared), module.clone(), options).map(Vm::of)
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
        self.shared.drop_shared_data(vm_id);
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
