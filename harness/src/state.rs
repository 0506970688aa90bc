//! What host functions see: the store data of one life of one VM.
//!
//! It knows the contexts, which of them is active, and what has to happen after the running callback. Envoy
//! defers the effects of `proxy_send_local_response`, `proxy_continue_stream` and `proxy_close_stream` until
//! the callback has returned, so they are queued here and carried out by `drive`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use wasmtime::{Memory, StoreLimits, TypedFunc};

use crate::callouts::{Callouts, Delivered};
use crate::connection_state::SharedConnection;
use crate::counts::{Counts, Slot};
use crate::faults::{Fault, Plan};
use crate::host::HostShared;
use crate::interleave;
use crate::local_reply::LocalResponse;
use crate::metrics::MetricTable;
use crate::module::AbiVersion;
use crate::options::VmOptions;
use crate::properties::Properties;
use crate::queues::Registrant;
use crate::random::Random;
use crate::records::{LogLevel, LogLine, Records};
use crate::shared_data::SharedData;
use crate::stream_state::{Direction, SharedStream, StreamState};
use crate::sync::lock;

/// A context the guest knows by number.
pub(crate) enum Context {
    Root(RootContext),
    Stream { root: u32, stream: SharedStream },
    Connection { root: u32, connection: SharedConnection },
}

/// A plugin context.
#[derive(Default)]
pub(crate) struct RootContext {
    pub(crate) root_id: String,
    pub(crate) tick: Option<Tick>,
    /// `proxy_on_done` returned false; the plugin will call `proxy_done`.
    pub(crate) pending_done: bool,
    /// What `proxy_get_status` says: the status of the call that was reported last, and its text while the
    /// report runs.
    pub(crate) call_status: (u32, String),
}

/// A timer.
#[derive(Clone, Copy)]
pub(crate) struct Tick {
    pub(crate) period_ns: u64,
    pub(crate) due_ns: u64,
}

/// Something to do once the running callback has returned.
pub(crate) enum Deferred {
    Reply { stream: u32, reply: LocalResponse },
    Continue { stream: u32, direction: Direction },
    Reset { stream: u32 },
    ContinueReading { connection: u32 },
    CloseConnection { connection: u32 },
    DeleteRoot { root: u32 },
}

/// Which host functions may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// All of them.
    Everything,
    /// Few, while the module's start functions run.
    Starting,
    /// Fewer, while the module's allocator runs for the host.
    Allocating,
}

/// How a host call begins.
pub(crate) enum Entry {
    /// As ever.
    Go,
    /// With this status and without effect.
    Status(u32),
    /// With a crash.
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

    /// Which host functions may be called now.
    pub(crate) permission: Permission,
    pub(crate) contexts: BTreeMap<u32, Context>,
    last_context: u32,
    /// The context of the running callback.
    pub(crate) current: u32,
    /// Set by `proxy_set_effective_context`; 0 is none.
    pub(crate) effective: u32,

    /// Plugin configuration; there only while a plugin is being started or configured.
    pub(crate) configuration: Option<Arc<[u8]>>,
    /// Properties that `declare_property` described, by the context that was running and the name: whether they can
    /// be written once only.
    pub(crate) declared: HashMap<(u32, Vec<u8>), bool>,
    pub(crate) deferred: Vec<Deferred>,
    /// A local reply was sent in the running callback.
    pub(crate) stop_iteration: bool,

    pub(crate) callouts: Callouts,
    /// What an upstream sent to a root context, while the callback that tells of it runs.
    pub(crate) delivered: Option<(u32, Delivered)>,
    pub(crate) faults: Arc<Plan>,
    pub(crate) counts: Arc<Counts>,
}

/// What a new life of a VM is made from.
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
        // A reloaded VM must not repeat the random bytes of its former life.
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
            permission: Permission::Everything,
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

    /// The stream of the active context as it stands, if it is a stream context.
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

    /// Whether the active plugin declared this property as one that is written once only.
    pub(crate) fn is_written_once(&self, path: &[u8]) -> bool {
        if self.declared.is_empty() {
            return false;
        }
        self.declared.get(&(self.active_root(), path.to_vec())).copied().unwrap_or(false)
    }

    /// Notes that a callback is called for a stream or connection.
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

    /// What an upstream sent, as the active context may see it now.
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

    /// Who is told about items of a queue registered now.
    pub(crate) fn registrant(&self) -> Registrant {
        Registrant { vm_serial: self.serial, generation: self.generation, root: self.active_root() }
    }

    pub(crate) fn log(&self, level: LogLevel, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        lock(&self.records).logs.push(LogLine { level, text, context: self.active() });
    }

    /// Notes a host call, waits for its turn, and says how it begins.
    pub(crate) fn enter_hostcall(&mut self, name: &'static str, slot: Slot) -> Entry {
        self.counts.note(slot);
        if self.options.trace_calls > 0 {
            lock(&self.records).note_hostcall(name, self.current, self.options.trace_calls);
        }
        if interleave::before_hostcall(name) == interleave::Turn::Crash {
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

    /// Notes what a host call gave.
    pub(crate) fn leave_hostcall(&self, status: u32) {
        if self.options.trace_calls > 0 {
            lock(&self.records).note_status(status);
        }
    }
}
