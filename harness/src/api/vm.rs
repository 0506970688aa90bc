//! The test's handle on a VM.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::abi::log_level::LogLevel;
use crate::control::faults::Fault;
use crate::control::lock::lock;
use crate::guest::contexts::Context;
use crate::guest::logs::{LogLine, TracedCall};
use crate::proxy::metrics::Metrics;
use crate::vm::error::Error;
use crate::vm::shared::{VmShared, lock_vm};

/// One VM: what Envoy runs per worker thread. Clones are the same VM; its calls are serialised.
#[derive(Clone)]
pub struct Vm {
    pub(crate) shared: Arc<VmShared>,
}

impl Vm {
    pub(crate) fn of(shared: Arc<VmShared>) -> Self {
        Vm { shared }
    }

    /// The metrics of this VM's host.
    pub(crate) fn host_metrics(&self) -> Metrics {
        self.shared.host.metrics.clone()
    }

    /// Calls `proxy_on_tick` for every plugin whose timer is due by the host's clock, and returns their number. A timer
    /// that was due several times fires once, and its next period starts now. A failed VM has no ticks.
    pub fn tick(&self) -> Result<usize, Error> {
        let mut core = lock_vm(&self.shared.core);
        if core.failure.is_some() {
            return Ok(0);
        }
        let now = core.host.clock.monotonic_ns();
        let state = core.instance.state_mut();
        let mut due = Vec::new();
        for (id, context) in &mut state.contexts {
            let Context::Root(root) = context else {
                continue;
            };
            let Some(tick) = root.tick.as_mut().filter(|tick| tick.due_ns <= now) else {
                continue;
            };
            tick.due_ns = now.saturating_add(tick.period_ns);
            due.push(*id);
        }
        due.sort_unstable();
        for root in &due {
            core.call(*root, "proxy_on_tick", &[*root])?;
            core.run_deferred()?;
        }
        Ok(due.len())
    }

    /// Notifies this VM's plugins of items in their queues, once per item, and returns the number of notifications.
    /// Those for an earlier life of the VM are dropped.
    pub fn run_queue_events(&self) -> Result<usize, Error> {
        let mut core = lock_vm(&self.shared.core);
        let mut notified = 0;
        if core.failure.is_some() {
            return Ok(notified);
        }
        while let Some(event) = core.host.queues.next_event(core.serial) {
            let root = event.owner.root;
            if event.owner.generation != core.generation || core.instance.state_mut().root_mut(root).is_none()
            {
                continue;
            }
            core.call(root, "proxy_on_queue_ready", &[root, event.token])?;
            core.run_deferred()?;
            notified += 1;
        }
        Ok(notified)
    }

    /// Calls an export other than a callback, such as a test module's `run`, with the VM's own context active.
    /// Returns the first result if that is an `i32`. A trap fails the VM as in any callback.
    pub fn call_export(&self, name: &str, arguments: &[u32]) -> Result<Option<u32>, Error> {
        let mut core = lock_vm(&self.shared.core);
        core.call_export(name, arguments)
    }

    /// Makes the VM crash instead of running its next callback. The first callback of a new stream is
    /// `proxy_on_context_create`, called by [`crate::Stream::request_headers`].
    pub fn inject_trap_on_next_call(&self) {
        lock_vm(&self.shared.core).inject_trap_on_next_call();
    }

    /// Makes the VM crash in host function `name`, after `after` successful calls of it. The crashing call has no
    /// effect. This is how a test kills a plugin between two writes.
    pub fn inject_trap_on_hostcall(&self, name: &str, after: u32) {
        self.inject_fault(name, after, Fault::Trap);
    }

    /// Injects a fault into host function `name`, after `after` calls of it.
    pub fn inject_fault(&self, name: &str, after: u32, fault: Fault) {
        lock_vm(&self.shared.core).plan_fault(name, after, fault);
    }

    /// The last host calls (at most [`crate::VmOptions::trace_calls`]), oldest first, over all lives.
    pub fn trace(&self) -> Vec<TracedCall> {
        lock(&self.shared.records).trace.iter().copied().collect()
    }

    /// The trap that failed the VM; `None` once a stream has reloaded it.
    pub fn failure(&self) -> Option<String> {
        lock_vm(&self.shared.core).failure.clone()
    }

    /// How many times the VM was reloaded.
    pub fn reloads(&self) -> u64 {
        lock_vm(&self.shared.core).generation
    }

    /// All lines that the plugins logged, over all lives.
    pub fn logs(&self) -> Vec<LogLine> {
        lock(&self.shared.records).logs.clone()
    }

    /// Whether a line at `level` or above contains `text`.
    pub fn logged(&self, level: LogLevel, text: &str) -> bool {
        lock(&self.shared.records).logs.iter().any(|line| line.level >= level && line.text.contains(text))
    }

    /// Discards the lines logged so far, for long-running tests.
    pub fn clear_logs(&self) {
        lock(&self.shared.records).logs.clear();
    }

    /// How often each host function was called, over all lives.
    pub fn hostcalls(&self) -> BTreeMap<&'static str, u64> {
        self.shared.counts.by_name()
    }

    /// How often the foreign function `name` was called, whether it exists or not.
    pub fn foreign_calls(&self, name: &str) -> u64 {
        lock(&self.shared.records).foreign_calls.get(name).copied().unwrap_or_default()
    }

    /// Current size of the linear memory, which never shrinks within a life.
    pub fn memory_bytes(&self) -> usize {
        lock_vm(&self.shared.core).instance.memory_bytes()
    }
}
