//! Errors of driving a VM.
//!
//! A plugin's refusal is not an error: a local reply or a 503 is a [`crate::Step`]. Errors are what the test must not
//! overlook: a trap, a rejected configuration, an invalid sequence of calls.

use crate::guest::logs::LogLine;

/// An operation on a module, a VM or a stream failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The module could not be read, compiled or linked.
    #[error("cannot load the module: {0}")]
    Load(String),
    /// The plugin trapped; the VM has failed.
    #[error("{callback} trapped: {message}")]
    Trap {
        /// The exported function that was running.
        callback: &'static str,
        /// The trap with its backtrace, and the last critical log line if there was one.
        message: String,
    },
    /// The VM failed earlier, and this operation needs a running one.
    #[error("the VM has failed: {0}")]
    VmFailed(String),
    /// The test made calls in an order that no proxy would.
    #[error("misuse: {0}")]
    Misuse(&'static str),
    /// No pending call of the requested kind has this token.
    #[error("no pending call of this kind has token {0}")]
    UnknownToken(u32),
    /// A plugin rejected its configuration, or failed in the attempt.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
}

/// A plugin rejected its configuration, or failed in the attempt.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{root_id}` was not configured: {failure}{}", last_line(.logs))]
pub struct ConfigureError {
    /// The root id of the plugin.
    pub root_id: String,
    /// The reason.
    pub failure: ConfigureFailure,
    /// What the plugin logged while it was being configured.
    pub logs: Vec<LogLine>,
}

/// Why a plugin was not configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureFailure {
    /// `proxy_on_vm_start` returned false.
    #[error("proxy_on_vm_start returned false")]
    VmStart,
    /// `proxy_on_configure` returned false.
    #[error("proxy_on_configure returned false")]
    Rejected,
    /// Starting or configuring failed otherwise.
    #[error("{0}")]
    Failed(Box<Error>),
}

fn last_line(logs: &[LogLine]) -> String {
    logs.last().map(|line| format!(" (last log line: {})", line.text)).unwrap_or_default()
}
