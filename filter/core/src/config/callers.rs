//! How many new sessions one caller may begin. [`crate::ledger::callers`] counts them.

use serde::{Deserialize, Serialize};

use super::faults::Faults;

/// The cap above session budgets for clients that no tenant's budget bounds: ids are free, so a session's budget alone
/// bounds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallerConfig {
    /// Whether new sessions are counted. Without it, a client that changes its id has a new budget each time.
    pub enabled: bool,
    /// New sessions, and turns without a session, that one caller may begin in a window.
    pub new_sessions: u32,
    /// Length of a window, counted from the epoch.
    pub window_ms: u64,
    /// Buckets the callers are spread over. Changing it forgets what they have begun.
    pub buckets: u32,
    /// Callers a bucket holds at most.
    pub callers_per_bucket: u32,
}

impl Default for CallerConfig {
    fn default() -> Self {
        CallerConfig {
            enabled: true,
            new_sessions: 100,
            window_ms: 3600 * 1000,
            buckets: 1024,
            callers_per_bucket: 64,
        }
    }
}

impl CallerConfig {
    pub(super) fn check(&self, faults: &mut Faults) {
        let CallerConfig { new_sessions, window_ms, buckets, callers_per_bucket, .. } = *self;
        faults.require(new_sessions >= 1, "callers.new_sessions", new_sessions, "at least 1");
        faults.require(window_ms >= 1000, "callers.window_ms", window_ms, "at least 1000");
        faults.require((1..=1 << 20).contains(&buckets), "callers.buckets", buckets, "1 to 1048576");
        let (field, callers) = ("callers.callers_per_bucket", callers_per_bucket);
        faults.require((1..=1024).contains(&callers), field, callers, "1 to 1024");
    }
}
