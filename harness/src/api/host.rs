//! The test's handle on a proxy process.

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

    /// Starts a VM. Envoy has one per worker thread.
    pub fn vm(&self, module: &Module, options: VmOptions) -> Result<Vm, Error> {
        VmShared::start(Arc::clone(&self.shared), module.clone(), options).map(Vm::of)
    }

    /// The clock of all VMs of this host.
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// The shared data of a vm_id.
    pub fn shared_data(&self, vm_id: &str) -> SharedData {
        self.shared.shared_data(vm_id)
    }

    /// Discards the shared data of a vm_id, as a restart of the proxy does. Running VMs keep what they have.
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

    /// Registers a foreign function for all plugins, or replaces one, including those of Envoy. The function returns
    /// the bytes of the result, or the status that the plugin gets instead (ABI 0.2.1: 1 not found, 2 bad argument,
    /// 10 internal failure, ...).
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

    /// How many streams were dropped without [`crate::Stream::finish`] or [`crate::Stream::abandon`], and connections
    /// without [`crate::TcpConnection::close`]. They never reached `proxy_on_log`.
    pub fn leaked_streams(&self) -> usize {
        self.shared.leaked_streams.load(Ordering::SeqCst)
    }
}
