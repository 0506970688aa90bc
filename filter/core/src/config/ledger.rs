//! The tables of sessions and of their callers in shared data. [`crate::ledger::size`] bounds their memory.

use serde::{Deserialize, Serialize};

use super::faults::Faults;

/// The session table in shared data: bounded whatever clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// Buckets the sessions are spread over. Changing it forgets all sessions.
    pub buckets: u32,
    /// Sessions a bucket holds at most.
    pub sessions_per_bucket: u32,
    /// Conversations a bucket remembers for each of its sessions on average; busy sessions take the places of quiet ones.
    pub conversations_per_session: u32,
    /// Turns in flight that the sessions of one bucket can have together.
    pub reservations_per_bucket: u32,
    /// Evicted sessions whose spending a bucket remembers (`on_full: evict_idle`).
    pub evicted_per_bucket: u32,
    /// A session unseen for this long is over: its next turn begins a new one.
    pub session_ttl_ms: u64,
    /// The same for a session of at most one settled turn, so that ids that are used once do not keep their places;
    /// at least one lease, at most `session_ttl_ms`.
    pub short_session_ttl_ms: u64,
    /// A reservation without an end after this long is given back (its VM died).
    pub lease_ms: u64,
    /// Turns of one session in flight at once.
    pub max_in_flight: u32,
    /// What happens when a bucket is full of sessions younger than the TTL.
    pub on_full: OnFull,
    /// Turns of one session that its client may leave before an answer for nothing; later ones are charged.
    pub free_early_leaves: u32,
}

/// What happens when a bucket is full of sessions younger than the TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The new session is refused (503): no live session that has spent is ever moved, so a client that fills the
    /// table locks others out.
    Reject,
    /// An idle session of the caller with the most sessions in the bucket is evicted, never one with money outstanding. What it had spent is
    /// remembered as long as `evicted_per_bucket` allows. The default.
    #[default]
    EvictIdle,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        LedgerConfig {
            buckets: 4096,
            sessions_per_bucket: 32,
            conversations_per_session: 2,
            reservations_per_bucket: 256,
            evicted_per_bucket: 32,
            session_ttl_ms: 24 * 3600 * 1000,
            short_session_ttl_ms: 3600 * 1000,
            lease_ms: 10 * 60 * 1000,
            max_in_flight: 64,
            on_full: OnFull::default(),
            free_early_leaves: 1,
        }
    }
}

impl LedgerConfig {
    /// How long a session with so many settled turns may be unseen before it is over.
    #[must_use]
    pub fn ttl_ms(&self, turns: u32) -> u64 {
        let short_ms = self.short_session_ttl_ms.max(self.lease_ms).min(self.session_ttl_ms);
        if turns > 1 { self.session_ttl_ms } else { short_ms }
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        let LedgerConfig { buckets, lease_ms, session_ttl_ms, max_in_flight, .. } = *self;
        faults.require((1..=1 << 20).contains(&buckets), "ledger.buckets", buckets, "1 to 1048576");
        let sessions = self.sessions_per_bucket;
        faults.require((1..=256).contains(&sessions), "ledger.sessions_per_bucket", sessions, "1 to 256");
        let conversations = self.conversations_per_session;
        let field = "ledger.conversations_per_session";
        faults.require((1..=16).contains(&conversations), field, conversations, "1 to 16");
        let reservations = self.reservations_per_bucket;
        let field = "ledger.reservations_per_bucket";
        faults.require((1..=4096).contains(&reservations), field, reservations, "1 to 4096");
        let evicted = self.evicted_per_bucket;
        faults.require(evicted <= 1024, "ledger.evicted_per_bucket", evicted, "0 to 1024");
        faults.require(lease_ms >= 1000, "ledger.lease_ms", lease_ms, "at least 1000");
        let ttl = session_ttl_ms >= lease_ms;
        faults.require(ttl, "ledger.session_ttl_ms", session_ttl_ms, "at least `ledger.lease_ms`");
        faults.require((1..=255).contains(&max_in_flight), "ledger.max_in_flight", max_in_flight, "1 to 255");
        let short_ms = self.short_session_ttl_ms;
        faults.require(short_ms >= 1000, "ledger.short_session_ttl_ms", short_ms, "at least 1000");
        let leaves = self.free_early_leaves;
        faults.require(leaves <= 1000, "ledger.free_early_leaves", leaves, "0 to 1000");
    }
}

/// How many new sessions one caller may begin ([`crate::ledger::callers`]): the cap above session budgets for clients that no tenant's budget bounds: ids are free, so a session's budget alone
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
