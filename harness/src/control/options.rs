//! What a test chooses when it makes a host or a VM.

use crate::abi::log_level::LogLevel;

/// Settings of a [`crate::Host`].
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Seed of every VM's `random_get`.
    pub seed: u64,
    /// Wall time at the start, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// What `proxy_get_log_level` answers. Lines below it are recorded all the same.
    pub log_level: LogLevel,
}

impl Default for HostOptions {
    fn default() -> Self {
        HostOptions { seed: 0, now_ms: 1_700_000_000_000, log_level: LogLevel::Info }
    }
}

/// What happens to streams once a VM has trapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Every later stream gets 503.
    Closed,
    /// The next stream gets a fresh VM with the same configuration; 503 while the back-off runs or if that
    /// fails.
    #[default]
    Reload,
    /// Later streams pass as if the plugin were not there.
    Open,
}

/// In which order a stream ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FinishOrder {
    /// `proxy_on_log`, `proxy_on_done`, `proxy_on_delete`: what Envoy does.
    #[default]
    Envoy,
    /// `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`: what the ABI text says.
    Specification,
}

/// Settings of a [`crate::Vm`]. In Envoy some of these belong to the plugin; here all plugins of a VM share
/// them.
#[derive(Clone, Debug)]
pub struct VmOptions {
    /// Names the shared data and queues the VM takes part in.
    pub vm_id: String,
    /// Bytes the plugin can read as VM configuration.
    pub vm_configuration: Vec<u8>,
    /// Environment variables the plugin sees.
    pub environment: Vec<(String, String)>,
    /// What happens after a trap.
    pub failure_policy: FailurePolicy,
    /// After a (re)load, how long a trap is answered with 503 instead of another reload. Envoy's default is
    /// 1000.
    pub reload_backoff_ms: u64,
    /// Whether body callbacks come while the headers callback's Pause holds the headers (Envoy 1.35 and
    /// later). Without it Pause holds everything: the stream hangs until the plugin continues it.
    pub allow_on_headers_stop_iteration: bool,
    /// Most bytes of a paused body; more gives 413 (request) or 500 (response). Envoy's default is 1 MiB.
    pub buffer_limit_bytes: usize,
    /// Most linear memory the module may use.
    pub memory_limit_bytes: usize,
    /// Whether a plugin is first configured in a throw-away VM, as Envoy's main thread does. Its effects on
    /// shared data stay; its log lines are kept only when it rejects.
    pub canary: bool,
    /// Clusters that `proxy_http_call` knows; with `None` it knows every name.
    pub clusters: Option<Vec<String>>,
    /// In which order a stream ends.
    pub finish_order: FinishOrder,
    /// How many of the last host calls [`crate::Vm::trace`] gives. 0 keeps none and costs nothing.
    pub trace_calls: usize,
}

impl Default for VmOptions {
    fn default() -> Self {
        VmOptions {
            vm_id: String::new(),
            vm_configuration: Vec::new(),
            environment: Vec::new(),
            failure_policy: FailurePolicy::default(),
            reload_backoff_ms: 0,
            allow_on_headers_stop_iteration: false,
            buffer_limit_bytes: 1024 * 1024,
            memory_limit_bytes: 1024 * 1024 * 1024,
            canary: true,
            clusters: None,
            finish_order: FinishOrder::default(),
            trace_calls: 256,
        }
    }
}
