//! The tables in shared data, and the bound of their memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::sessions::bucket::{EVICTED_BYTES, HEADER_BYTES, RESERVATION_BYTES, SESSION_BYTES};
use crate::ledger::tenants;
use crate::money::NanoUsd;

/// The session table in shared data: bounded whatever clients send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Bytes that the values of the session table can take in shared data at most, whatever clients send:
    ///
    /// ```text
    /// buckets · (11 + 78 · sessions_per_bucket + 24 · reservations_per_bucket + 45 · evicted_per_bucket)
    /// ```
    ///
    /// Envoy adds its keys and nodes, about 200 bytes per bucket.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        let parts = [
            (1, HEADER_BYTES),
            (self.sessions_per_bucket, SESSION_BYTES),
            (self.reservations_per_bucket, RESERVATION_BYTES),
            (self.evicted_per_bucket, EVICTED_BYTES),
        ];
        let bucket = parts.iter().map(|(count, bytes)| u64::from(*count).saturating_mul(*bytes));
        bucket.fold(0, u64::saturating_add).saturating_mul(u64::from(self.buckets))
    }
}

/// Budgets of tenants, named by `session.tenant_header`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Budget of a tenant that `budgets_usd` does not name, decimal USD.
    pub default_usd: String,
    /// Budgets by tenant name, decimal USD.
    #[serde(default)]
    pub budgets_usd: BTreeMap<String, String>,
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
        NanoUsd::parse_usd(named.unwrap_or(&self.default_usd)).unwrap_or_default()
    }

    /// Bytes that the values of the tenant table can take in shared data at most:
    /// `buckets · (9 + 281 · tenants_per_bucket)`.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        let tenant = (tenants::MAX_HOLDS as u64)
            .saturating_mul(tenants::HOLD_BYTES)
            .saturating_add(tenants::TENANT_BYTES);
        let bucket = u64::from(self.tenants_per_bucket).saturating_mul(tenant);
        bucket.saturating_add(tenants::HEADER_BYTES).saturating_mul(u64::from(self.buckets))
    }
}
