//! Settings of hosts and VMs.

use crate::abi::log_level::LogLevel;

/// Settings of a [`crate::Host`].
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Seed of every VM's `random_get`.
    pub seed: u64,
    /// Wall time at the start, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// What `proxy_get_log_level` returns. Lines below it are recorded nevertheless.
    pub log_level: LogLevel,
}

impl Default for HostOptions {
    fn default() -> Self {
        HostOptions { seed: 0, now_ms: 1_700_000_000_000, log_level: LogLevel::Info }
    }
}

/// What happens to later streams once a VM has trapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Every later stream gets 503.
    Closed,
    /// The next stream gets a fresh VM with the same configuration; 503 while the back-off runs or if that
    /// fails.
    #[default]
    Reload,
    /// Later streams pass as if there were no plugin.
    Open,
}

/// The order of the callbacks that end a stream.
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
    /// The key of the shared data and queues that the VM uses.
    pub vm_id: String,
    /// Bytes the plugin can read as VM configuration.
    pub vm_configuration: Vec<u8>,
    /// Environment variables the plugin sees.
    pub environment: Vec<(String, String)>,
    /// What happens to later streams after a trap.
    pub failure_policy: FailurePolicy,
    /// How long after a (re)load a trap leads to 503 instead of another reload. Envoy's default is 1000.
    pub reload_backoff_ms: u64,
    /// Whether body callbacks are called while a Pause from the headers callback holds the headers (Envoy 1.35 and
    /// later). Otherwise Pause holds everything: the stream hangs until the plugin continues it.
    pub allow_on_headers_stop_iteration: bool,
    /// Maximum bytes of a paused body; more leads to 413 (request) or 500 (response). Envoy's default is 1 MiB.
    pub buffer_limit_bytes: usize,
    /// Maximum linear memory of the module.
    pub memory_limit_bytes: usize,
    /// Whether a plugin is first configured in a canary VM that is then discarded, as on Envoy's main thread. Its
    /// effects on shared data stay; its log lines are kept only if it rejects the configuration.
    pub canary: bool,
    /// Clusters that `proxy_http_call` knows; with `None` it knows every name.
    pub clusters: Option<Vec<String>>,
    /// The order of the callbacks that end a stream.
    pub finish_order: FinishOrder,
    /// How many of the last host calls [`crate::Vm::trace`] returns; 0 disables the trace.
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
