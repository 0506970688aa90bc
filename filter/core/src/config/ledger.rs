//! The tables in shared data: sessions, and tenants with their budgets. [`crate::ledger::size`] bounds their memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::usd;
use crate::money::NanoUsd;

/// The session table in shared data: bounded whatever clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// Buckets the sessions are spread over. Changing it forgets all sessions.
    pub buckets: u32,
    /// Sessions a bucket holds at most.
    pub sessions_per_bucket: u32,
    /// Turns in flight that the sessions of one bucket can have together.
    pub reservations_per_bucket: u32,
    /// Evicted sessions whose spending a bucket remembers (`on_full: evict_idle`).
    pub evicted_per_bucket: u32,
    /// A session unseen for this long is over: its next turn begins a new one.
    pub session_ttl_ms: u64,
    /// A reservation without an end after this long is given back (its VM died).
    pub lease_ms: u64,
    /// Turns of one session in flight at once.
    pub max_in_flight: u32,
    /// What happens when a bucket is full of sessions younger than the TTL.
    pub on_full: OnFull,
}

/// What happens when a bucket is full of sessions younger than the TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The new session is refused (503): no live session that has spent is ever moved. The default.
    #[default]
    Reject,
    /// The idle session unseen for longest makes room, never one with money outstanding. What it had spent is
    /// remembered as long as `evicted_per_bucket` allows.
    EvictIdle,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        LedgerConfig {
            buckets: 4096,
            sessions_per_bucket: 32,
            reservations_per_bucket: 256,
            evicted_per_bucket: 32,
            session_ttl_ms: 24 * 3600 * 1000,
            lease_ms: 10 * 60 * 1000,
            max_in_flight: 64,
            on_full: OnFull::default(),
        }
    }
}

impl LedgerConfig {
    pub(super) fn check(&self, faults: &mut Faults) {
        let LedgerConfig { buckets, lease_ms, session_ttl_ms, max_in_flight, .. } = *self;
        faults.require((1..=1 << 20).contains(&buckets), "ledger.buckets", buckets, "1 to 1048576");
        let sessions = self.sessions_per_bucket;
        faults.require((1..=256).contains(&sessions), "ledger.sessions_per_bucket", sessions, "1 to 256");
        let reservations = self.reservations_per_bucket;
        let field = "ledger.reservations_per_bucket";
        faults.require((1..=4096).contains(&reservations), field, reservations, "1 to 4096");
        let evicted = self.evicted_per_bucket;
        faults.require(evicted <= 1024, "ledger.evicted_per_bucket", evicted, "0 to 1024");
        faults.require(lease_ms >= 1000, "ledger.lease_ms", lease_ms, "at least 1000");
        let ttl = session_ttl_ms >= lease_ms;
        faults.require(ttl, "ledger.session_ttl_ms", session_ttl_ms, "at least `ledger.lease_ms`");
        faults.require((1..=255).contains(&max_in_flight), "ledger.max_in_flight", max_in_flight, "1 to 255");
    }
}

/// Budgets of tenants, named by `session.tenant_header`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Budget of a tenant that `budgets_usd` does not name; written as decimal USD.
    #[serde(with = "usd")]
    pub default_usd: NanoUsd,
    /// Budgets by tenant name; written as decimal USD.
    #[serde(default, with = "usd::by_name")]
    pub budgets_usd: BTreeMap<String, NanoUsd>,
    /// Budgets are per window of this length, counted from the epoch. Absent: in all.
    #[serde(default)]
    pub window_ms: Option<u64>,
    /// A tenant unseen for this long is forgotten.
    #[serde(default = "default_tenant_ttl_ms")]
    pub ttl_ms: u64,
    /// Buckets the tenants are spread over. Changing it forgets what they have spent.
    #[serde(default = "default_tenant_buckets")]
    pub buckets: u32,
    /// Tenants a bucket holds at most; further ones are refused (503).
    #[serde(default = "default_tenants_per_bucket")]
    pub tenants_per_bucket: u32,
}

fn default_tenant_ttl_ms() -> u64 {
    90 * 24 * 3600 * 1000
}
fn default_tenant_buckets() -> u32 {
    64
}
fn default_tenants_per_bucket() -> u32 {
    32
}

impl TenantConfig {
    /// What a tenant may spend.
    #[must_use]
    pub fn budget(&self, name: &[u8]) -> NanoUsd {
        let named = std::str::from_utf8(name).ok().and_then(|name| self.budgets_usd.get(name));
        named.copied().unwrap_or(self.default_usd)
    }

    pub(super) fn check(&self, lease_ms: u64, faults: &mut Faults) {
        let (default, positive) = (self.default_usd, "a positive decimal number of USD");
        faults.require(default > NanoUsd::ZERO, "tenants.default_usd", default, positive);
        for (name, budget) in &self.budgets_usd {
            let field = format_args!("tenants.budgets_usd.{name}");
            faults.require(*budget > NanoUsd::ZERO, field, budget, positive);
        }
        let named = self.budgets_usd.len();
        let found = format_args!("{named} tenants");
        faults.require(named <= 10_000, "tenants.budgets_usd", found, "at most 10000");
        if let Some(window_ms) = self.window_ms {
            faults.require(window_ms >= 1000, "tenants.window_ms", window_ms, "at least 1000");
        }
        faults.require(self.ttl_ms >= lease_ms, "tenants.ttl_ms", self.ttl_ms, "at least `ledger.lease_ms`");
        let (buckets, tenants) = (self.buckets, self.tenants_per_bucket);
        faults.require((1..=1 << 16).contains(&buckets), "tenants.buckets", buckets, "1 to 65536");
        faults.require((1..=256).contains(&tenants), "tenants.tenants_per_bucket", tenants, "1 to 256");
    }
}
