//! A VM over its lives: calling, failing, reloading, and keeping its plugins configured.
//!
//! What always holds: after a trap nothing is called in that life again. A new life gets the same VM configuration, and
//! each plugin its same configuration the first time a stream needs it.

use std::sync::{Arc, Mutex};

use crate::abi::log_level::LogLevel;
use crate::control::faults::{Fault, Plan};
use crate::control::lock::lock;
use crate::control::options::{FailurePolicy, VmOptions};
use crate::guest::call_counts::Counts;
use crate::guest::contexts::{Context, RootContext};
use crate::guest::logs::Records;
use crate::guest::process::HostShared;
use crate::guest::state::{Birth, VmState};
use crate::proxy::shared_data::SharedData;
use crate::vm::error::{ConfigureError, ConfigureFailure, Error};
use crate::vm::instance::Instance;
use crate::vm::module::Module;

/// A plugin of a VM.
struct PluginRecord {
    root_id: String,
    configuration: Arc<[u8]>,
    /// The life it was configured in, and its root context there.
    root: Option<(u64, u32)>,
}

/// The context of a stream: its number, and the life of the VM in which it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) generation: u64,
    pub(crate) context: u32,
}

/// How a new stream or connection is handled.
pub(crate) enum Admission {
    /// By the plugin.
    Attached(Place),
    /// The stream passes without the plugin.
    Bypassed,
    /// The stream gets 503.
    Refused,
}

/// A VM behind its lock.
pub(crate) struct VmCore {
    pub(crate) host: Arc<HostShared>,
    pub(crate) options: Arc<VmOptions>,
    pub(crate) records: Arc<Mutex<Records>>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) serial: u64,
    pub(crate) generation: u64,
    pub(crate) failure: Option<String>,
    pub(crate) instance: Instance,
    module: Module,
    shared: SharedData,
    started_ns: u64,
    plugins: Vec<PluginRecord>,
    trap_next_call: bool,
    faults: Arc<Plan>,
}

impl VmCore {
    /// Starts the first life.
    pub(crate) fn start(
        host: Arc<HostShared>,
        module: Module,
        options: VmOptions,
        shared: SharedData,
    ) -> Result<Self, Error> {
        let (options, records) = (Arc::new(options), Arc::<Mutex<Records>>::default());
        let (counts, faults) = (Arc::<Counts>::default(), Arc::<Plan>::default());
        let serial = host.next_serial();
        let state = VmState::new(Birth {
            host: Arc::clone(&host),
            options: Arc::clone(&options),
            abi: module.abi_version(),
            shared: shared.clone(),
            records: Arc::clone(&records),
            faults: Arc::clone(&faults),
            counts: Arc::clone(&counts),
            serial,
            generation: 0,
        });
        let started_ns = host.clock.monotonic_ns();
        let instance = Instance::start(&module, state).map_err(|trap| start_error(&trap, &records))?;
        Ok(VmCore {
            host,
            options,
            records,
            counts,
            serial,
            generation: 0,
            failure: None,
            instance,
            module,
            shared,
            started_ns,
            plugins: Vec::new(),
            trap_next_call: false,
            faults,
        })
    }

    /// Calls a callback; a trap fails the VM.
    pub(crate) fn call(
        &mut self,
        context: u32,
        callback: &'static str,
        arguments: &[u32],
    ) -> Result<Option<u32>, Error> {
        if let Some(failure) = &self.failure {
            return Err(Error::VmFailed(failure.clone()));
        }
        if !self.instance.has(callback) {
            return Ok(None);
        }
        let logged_before = lock(&self.records).logs.len();
        let trap = if std::mem::take(&mut self.trap_next_call) {
            wasmtime::Error::msg("injected trap")
        } else {
            self.instance.state().note_callback(context, callback);
            match self.instance.call(context, callback, arguments) {
                Ok(result) => return Ok(result),
                Err(trap) => trap,
            }
        };
        Err(self.fail(callback, &trap, logged_before))
    }

    /// Marks the VM as failed by a trap.
    fn fail(&mut self, callback: &'static str, trap: &wasmtime::Error, logged_before: usize) -> Error {
        let message = describe_trap(trap, &self.records, logged_before);
        self.failure = Some(message.clone());
        self.instance.state_mut().deferred.clear();
        Error::Trap { callback, message }
    }

    /// Calls an export by name; a trap fails the VM.
    pub(crate) fn call_export(&mut self, name: &str, arguments: &[u32]) -> Result<Option<u32>, Error> {
        if let Some(failure) = &self.failure {
            return Err(Error::VmFailed(failure.clone()));
        }
        if !self.instance.exports(name) {
            return Err(Error::Misuse("the module exports no function of this name"));
        }
        let logged_before = lock(&self.records).logs.len();
        self.instance
            .call_export(name, arguments)
            .map_err(|trap| self.fail("an export called by the test", &trap, logged_before))
    }

    /// Adds and configures a plugin, first in a canary VM if the options say so. Returns its index.
    pub(crate) fn add_plugin(
        &mut self,
        root_id: &str,
        configuration: &[u8],
    ) -> Result<usize, ConfigureError> {
        let configuration: Arc<[u8]> = configuration.into();
        if self.options.canary {
            self.canary(root_id, &configuration)?;
        }
        // A configuration update ignores the back-off.
        if self.failure.is_some() && self.options.failure_policy == FailurePolicy::Reload {
            self.restart();
        }
        let record = PluginRecord { root_id: root_id.to_owned(), configuration, root: None };
        self.plugins.push(record);
        let index = self.plugins.len() - 1;
        let logged_before = lock(&self.records).logs.len();
        self.configure(index).map_err(|failure| {
            // The index stays in use, so that the indices of other plugins do not change.
            let logs = lock(&self.records).logs.get(logged_before..).unwrap_or_default().to_vec();
            ConfigureError { root_id: root_id.to_owned(), failure, logs }
        })?;
        Ok(index)
    }

    fn canary(&self, root_id: &str, configuration: &Arc<[u8]>) -> Result<(), ConfigureError> {
        let options = VmOptions { canary: false, ..(*self.options).clone() };
        let scratch =
            VmCore::start(Arc::clone(&self.host), self.module.clone(), options, self.shared.clone());
        let mut scratch = scratch.map_err(|error| {
            let failure = ConfigureFailure::Failed(Box::new(error));
            ConfigureError { root_id: root_id.to_owned(), failure, logs: Vec::new() }
        })?;
        scratch.add_plugin(root_id, configuration).map(drop)
    }

    /// Creates a plugin's root context in this life, and configures it. Returns the root context.
    fn configure(&mut self, plugin: usize) -> Result<u32, ConfigureFailure> {
        let failed = |error| ConfigureFailure::Failed(Box::new(error));
        if let Some(failure) = &self.failure {
            return Err(failed(Error::VmFailed(failure.clone())));
        }
        let (root_id, configuration) =
            (self.plugins[plugin].root_id.clone(), Arc::clone(&self.plugins[plugin].configuration));
        let configuration_len = configuration.len() as u32;
        let vm_configuration_len = self.options.vm_configuration.len() as u32;
        let state = self.instance.state_mut();
        let root = state.add_context(Context::Root(RootContext { root_id, ..RootContext::default() }));
        state.configuration = Some(configuration);
        let outcome = self.call(root, "proxy_on_context_create", &[root, 0]).and_then(|_| {
            // `proxy_on_vm_start` can read the VM configuration only.
            let configuration = self.instance.state_mut().configuration.take();
            let started = self.call(root, "proxy_on_vm_start", &[root, vm_configuration_len])?;
            if started == Some(0) {
                return Ok(Err(ConfigureFailure::VmStart));
            }
            self.instance.state_mut().configuration = configuration;
            let configured = self.call(root, "proxy_on_configure", &[root, configuration_len])?;
            Ok(if configured == Some(0) { Err(ConfigureFailure::Rejected) } else { Ok(()) })
        });
        self.instance.state_mut().configuration = None;
        match outcome.map_err(failed)? {
            Ok(()) => {
                self.plugins[plugin].root = Some((self.generation, root));
                Ok(root)
            }
            Err(failure) => {
                // The context is removed again, so that it neither ticks nor stays in the guest.
                self.call(root, "proxy_on_delete", &[root]).map_err(failed)?;
                self.instance.state_mut().contexts.remove(&root);
                Err(failure)
            }
        }
    }

    /// The configuration of a plugin.
    pub(crate) fn configuration(&self, plugin: usize) -> Arc<[u8]> {
        Arc::clone(&self.plugins[plugin].configuration)
    }

    /// The root context of a plugin in this life, if it has one.
    pub(crate) fn root(&self, plugin: usize) -> Option<u32> {
        self.plugins[plugin]
            .root
            .filter(|(generation, _)| *generation == self.generation)
            .map(|(_, root)| root)
    }

    /// Admits a new stream or connection, after reloading the VM if necessary. `member` creates its context from the
    /// plugin's root context.
    pub(crate) fn admit(&mut self, plugin: usize, member: impl FnOnce(u32) -> Context) -> Admission {
        if self.failure.is_some() {
            match self.options.failure_policy {
                FailurePolicy::Open => return Admission::Bypassed,
                FailurePolicy::Closed => return Admission::Refused,
                FailurePolicy::Reload => {
                    if !self.reload() {
                        return Admission::Refused;
                    }
                }
            }
        }
        let root = match self.root(plugin) {
            Some(root) => root,
            None => match self.configure(plugin) {
                Ok(root) => root,
                Err(failure) => {
                    // As in Envoy, a plugin that cannot be configured makes the whole VM unusable.
                    self.failure.get_or_insert_with(|| failure.to_string());
                    return Admission::Refused;
                }
            },
        };
        let context = self.instance.state_mut().add_context(member(root));
        Admission::Attached(Place { generation: self.generation, context })
    }

    /// Begins a new life unless the back-off is still running. Returns whether the VM runs.
    fn reload(&mut self) -> bool {
        let now = self.host.clock.monotonic_ns();
        let backoff_ns = self.options.reload_backoff_ms.saturating_mul(1_000_000);
        now.saturating_sub(self.started_ns) >= backoff_ns && self.restart()
    }

    /// Begins a new life. Returns whether the VM runs.
    fn restart(&mut self) -> bool {
        let state = VmState::new(Birth {
            host: Arc::clone(&self.host),
            options: Arc::clone(&self.options),
            abi: self.module.abi_version(),
            shared: self.shared.clone(),
            records: Arc::clone(&self.records),
            faults: Arc::clone(&self.faults),
            counts: Arc::clone(&self.counts),
            serial: self.serial,
            generation: self.generation + 1,
        });
        self.started_ns = self.host.clock.monotonic_ns();
        let logged_before = lock(&self.records).logs.len();
        match Instance::start(&self.module, state) {
            Ok(instance) => {
                self.instance = instance;
                self.generation += 1;
                self.failure = None;
                true
            }
            Err(trap) => {
                self.failure = Some(describe_trap(&trap, &self.records, logged_before));
                false
            }
        }
    }

    /// Whether the context at `place` still exists.
    pub(crate) fn reaches(&self, place: Place) -> bool {
        self.failure.is_none() && self.generation == place.generation
    }

    pub(crate) fn inject_trap_on_next_call(&mut self) {
        self.trap_next_call = true;
    }

    pub(crate) fn plan_fault(&self, hostcall: &str, after: u32, fault: Fault) {
        self.faults.add(hostcall, after, fault);
    }
}

fn start_error(trap: &wasmtime::Error, records: &Mutex<Records>) -> Error {
    Error::Trap { callback: "the start of the module", message: describe_trap(trap, records, 0) }
}

/// The trap with its backtrace, and the last critical line that the plugin logged in the same call: a panic hook logs
/// the reason, and the trap itself is a bare "unreachable".
fn describe_trap(trap: &wasmtime::Error, records: &Mutex<Records>, logged_before: usize) -> String {
    let records = lock(records);
    let lines = records.logs.get(logged_before..).unwrap_or_default();
    match lines.iter().rfind(|line| line.level == LogLevel::Critical) {
        Some(line) => format!("{trap:?}\nlast critical log line: {}", line.text),
        None => format!("{trap:?}"),
    }
}
