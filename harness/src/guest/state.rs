//! What host functions see: the store data of one life of one VM.
//!
//! It holds the contexts, which of them is active, and the effects to carry out after the running callback. As in
//! Envoy, `proxy_send_local_response`, `proxy_continue_stream` and `proxy_close_stream` take effect when the callback
//! has returned: they are queued here and carried out by `vm::delivery`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use wasmtime::{Memory, StoreLimits, TypedFunc};

use crate::abi::host_functions::{HostFunctionId, Phase};
use crate::abi::log_level::LogLevel;
use crate::abi::version::AbiVersion;
use crate::control::faults::{Fault, Plan};
use crate::control::interleaving;
use crate::control::lock::lock;
use crate::control::options::VmOptions;
use crate::control::random::Random;
use crate::guest::call_counts::Counts;
use crate::guest::contexts::{Context, Deferred, RootContext};
use crate::guest::logs::{LogLine, Records};
use crate::guest::process::HostShared;
use crate::proxy::callouts::{Callouts, Delivered};
use crate::proxy::http_stream::{SharedStream, StreamState};
use crate::proxy::metrics::MetricTable;
use crate::proxy::properties::Properties;
use crate::proxy::queues::Registrant;
use crate::proxy::shared_data::SharedData;
use crate::proxy::tcp_stream::SharedConnection;

/// How a host call proceeds.
pub(crate) enum Entry {
    /// It runs.
    Go,
    /// It returns this status without effect.
    Status(u32),
    /// It traps.
    Crash,
}

/// The store data of one life of one VM.
pub(crate) struct VmState {
    pub(crate) host: Arc<HostShared>,
    pub(crate) options: Arc<VmOptions>,
    pub(crate) abi: AbiVersion,
    pub(crate) shared: SharedData,
    pub(crate) records: Arc<Mutex<Records>>,
    pub(crate) metrics: MetricTable,
    pub(crate) random: Random,
    pub(crate) serial: u64,
    pub(crate) generation: u64,

    pub(crate) memory: Option<Memory>,
    pub(crate) allocate: Option<Arc<TypedFunc<u32, u32>>>,
    pub(crate) limits: StoreLimits,

    /// What the module is doing now, which decides what host functions it may call.
    pub(crate) phase: Phase,
    pub(crate) contexts: BTreeMap<u32, Context>,
    last_context: u32,
    /// The context of the running callback.
    pub(crate) current: u32,
    /// Set by `proxy_set_effective_context`; 0 if unset.
    pub(crate) effective: u32,

    /// The plugin configuration, only while a plugin is being started or configured.
    pub(crate) configuration: Option<Arc<[u8]>>,
    /// The properties that `declare_property` declared, by context and name: whether they can be written only once.
    pub(crate) declared: HashMap<(u32, Vec<u8>), bool>,
    pub(crate) deferred: Vec<Deferred>,
    /// A local reply was sent in the running callback.
    pub(crate) stop_iteration: bool,

    pub(crate) callouts: Callouts,
    /// What an upstream sent to a root context, while the callback that delivers it runs.
    pub(crate) delivered: Option<(u32, Delivered)>,
    pub(crate) faults: Arc<Plan>,
    pub(crate) counts: Arc<Counts>,
}

/// The parts of a new life of a VM.
pub(crate) struct Birth {
    pub(crate) host: Arc<HostShared>,
    pub(crate) options: Arc<VmOptions>,
    pub(crate) abi: AbiVersion,
    pub(crate) shared: SharedData,
    pub(crate) records: Arc<Mutex<Records>>,
    pub(crate) faults: Arc<Plan>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) serial: u64,
    pub(crate) generation: u64,
}

impl VmState {
    pub(crate) fn new(birth: Birth) -> Self {
        let Birth { host, options, abi, shared, records, faults, counts, serial, generation } = birth;
        // A reloaded VM must not repeat the random bytes of its previous life.
        let random = Random::new(host.options.seed, serial.wrapping_shl(32) ^ generation);
        let limits = wasmtime::StoreLimitsBuilder::new().memory_size(options.memory_limit_bytes).build();
        VmState {
            metrics: MetricTable::new(host.metrics.clone()),
            host,
            options,
            abi,
            shared,
            records,
            random,
            serial,
            generation,
            memory: None,
            allocate: None,
            limits,
            phase: Phase::Running,
            contexts: BTreeMap::new(),
            last_context: 0,
            current: 0,
            effective: 0,
            configuration: None,
            declared: HashMap::new(),
            deferred: Vec::new(),
            stop_iteration: false,
            callouts: Callouts::default(),
            delivered: None,
            faults,
            counts,
        }
    }

    /// Adds a context and returns its number.
    pub(crate) fn add_context(&mut self, context: Context) -> u32 {
        self.last_context += 1;
        self.contexts.insert(self.last_context, context);
        self.last_context
    }

    /// The context that host functions act on.
    pub(crate) fn active(&self) -> u32 {
        if self.effective != 0 && self.contexts.contains_key(&self.effective) {
            self.effective
        } else {
            self.current
        }
    }

    /// The stream of a context.
    pub(crate) fn stream(&self, context: u32) -> Option<SharedStream> {
        self.stream_of(context).map(Arc::clone)
    }

    /// The locked stream of the active context, if it is a stream context.
    pub(crate) fn lock_stream(&self) -> Option<MutexGuard<'_, StreamState>> {
        self.stream_of(self.active()).map(|stream| lock(stream))
    }

    fn stream_of(&self, context: u32) -> Option<&SharedStream> {
        match self.contexts.get(&context)? {
            Context::Stream { stream, .. } => Some(stream),
            Context::Connection { .. } | Context::Root(_) => None,
        }
    }

    /// The TCP connection of a context.
    pub(crate) fn connection(&self, context: u32) -> Option<SharedConnection> {
        match self.contexts.get(&context)? {
            Context::Connection { connection, .. } => Some(Arc::clone(connection)),
            Context::Stream { .. } | Context::Root(_) => None,
        }
    }

    /// Runs `use_it` on the properties of the active stream or connection; a root context has none.
    pub(crate) fn with_active_properties<R>(&self, use_it: impl FnOnce(&mut Properties) -> R) -> Option<R> {
        match self.contexts.get(&self.active())? {
            Context::Stream { stream, .. } => Some(use_it(&mut lock(stream).properties)),
            Context::Connection { connection, .. } => Some(use_it(&mut lock(connection).properties)),
            Context::Root(_) => None,
        }
    }

    /// Whether the active plugin declared this property as read-only, so that it can be written only once.
    pub(crate) fn is_written_once(&self, path: &[u8]) -> bool {
        if self.declared.is_empty() {
            return false;
        }
        self.declared.get(&(self.active_root(), path.to_vec())).copied().unwrap_or(false)
    }

    /// Records that a callback is called for a stream or connection.
    pub(crate) fn note_callback(&self, context: u32, callback: &'static str) {
        match self.contexts.get(&context) {
            Some(Context::Stream { stream, .. }) => lock(stream).callbacks.push(callback),
            Some(Context::Connection { connection, .. }) => lock(connection).callbacks.push(callback),
            Some(Context::Root(_)) | None => {}
        }
    }

    /// The root context of the active context; 0 while the module starts.
    pub(crate) fn active_root(&self) -> u32 {
        self.root_of(self.active())
    }

    /// The root context of a context; 0 for the VM's own.
    pub(crate) fn root_of(&self, context: u32) -> u32 {
        match self.contexts.get(&context) {
            Some(Context::Stream { root, .. } | Context::Connection { root, .. }) => *root,
            Some(Context::Root(_)) => context,
            None => 0,
        }
    }

    /// The plugin context with number `root`.
    pub(crate) fn root_mut(&mut self, root: u32) -> Option<&mut RootContext> {
        match self.contexts.get_mut(&root)? {
            Context::Root(context) => Some(context),
            Context::Stream { .. } | Context::Connection { .. } => None,
        }
    }

    /// What an upstream sent, if it is for the active context's plugin.
    pub(crate) fn delivered(&self) -> Option<&Delivered> {
        let (root, delivered) = self.delivered.as_ref()?;
        (*root == self.active_root()).then_some(delivered)
    }

    /// The root id of the active plugin.
    pub(crate) fn active_root_id(&self) -> String {
        match self.contexts.get(&self.active_root()) {
            Some(Context::Root(context)) => context.root_id.clone(),
            _ => String::new(),
        }
    }

    /// The root context that will be notified of items of a queue registered now.
    pub(crate) fn registrant(&self) -> Registrant {
        Registrant { vm_serial: self.serial, generation: self.generation, root: self.active_root() }
    }

    pub(crate) fn log(&self, level: LogLevel, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        lock(&self.records).logs.push(LogLine { level, text, context: self.active() });
    }

    /// Records a host call, waits for its turn, and decides how it proceeds.
    pub(crate) fn enter_hostcall(&mut self, function: HostFunctionId) -> Entry {
        let name = function.name();
        self.counts.note(function);
        if self.options.trace_calls > 0 {
            lock(&self.records).note_hostcall(name, self.current, self.options.trace_calls);
        }
        if interleaving::before_hostcall(name) == interleaving::Turn::Crash {
            return Entry::Crash;
        }
        let mut entry = Entry::Go;
        for fault in self.faults.hit(name) {
            match fault {
                Fault::Trap => entry = Entry::Crash,
                Fault::Status(status) => entry = Entry::Status(status),
                Fault::SlowMs(ms) => self.host.clock.advance_ms(ms),
            }
        }
        entry
    }

    /// Records the status of a host call.
    pub(crate) fn leave_hostcall(&self, status: u32) {
        if self.options.trace_calls > 0 {
            lock(&self.records).note_status(status);
        }
    }
}
