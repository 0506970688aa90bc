//! Bounds on the memory of the tables, whatever clients send: bytes of all values, without Envoy's own keys and nodes
//! (about 200 bytes per bucket).

use crate::config::{CallerConfig, Config, LedgerConfig, TenantConfig};
use crate::ledger::callers;
use crate::ledger::sessions::bucket as session;
use crate::ledger::sessions::conversations::per_bucket;
use crate::ledger::tenants::bucket as tenant;

/// Largest size of all tables, in bytes.
#[must_use]
pub fn max_bytes(config: &Config) -> u64 {
    let tenants = config.tenants.as_ref().map_or(0, max_tenant_bytes);
    let callers = max_caller_bytes(&config.callers);
    max_session_bytes(&config.ledger).saturating_add(tenants).saturating_add(callers)
}

/// Largest size of the session table, in bytes:
///
/// ```text
/// buckets · (11 + (64 + 33 · conversations_per_session) · sessions_per_bucket + 24 · reservations_per_bucket
///            + 47 · evicted_per_bucket)
/// ```
#[must_use]
pub fn max_session_bytes(config: &LedgerConfig) -> u64 {
    let parts = [
        (1, session::HEADER_BYTES),
        (config.sessions_per_bucket.into(), session::SESSION_BYTES),
        (per_bucket(config), session::CONVERSATION_BYTES),
        (config.reservations_per_bucket.into(), session::RESERVATION_BYTES),
        (config.evicted_per_bucket.into(), session::EVICTED_BYTES),
    ];
    let bucket = parts.iter().map(|(count, bytes): &(u64, u64)| count.saturating_mul(*bytes));
    bucket.fold(0, u64::saturating_add).saturating_mul(u64::from(config.buckets))
}

/// Largest size of the table of callers, in bytes: `buckets · (1 + 28 · callers_per_bucket)`, or 0 where they are not
/// counted.
#[must_use]
pub fn max_caller_bytes(config: &CallerConfig) -> u64 {
    let bucket = u64::from(config.callers_per_bucket).saturating_mul(callers::CALLER_BYTES);
    let bytes = bucket.saturating_add(callers::HEADER_BYTES).saturating_mul(u64::from(config.buckets));
    if config.enabled { bytes } else { 0 }
}

/// Largest size of the tenant table, in bytes: `buckets · 9 + 286 · (1 + tenants in budgets_usd)`, and where each other
/// name has a purse of its own `buckets · 286 · tenants_per_bucket` more. A name that was removed from `budgets_usd`
/// keeps its account as long as it has spent.
#[must_use]
pub fn max_tenant_bytes(config: &TenantConfig) -> u64 {
    let buckets = u64::from(config.buckets);
    let leases = (tenant::MAX_LEASES as u64).saturating_mul(tenant::LEASE_BYTES);
    let named = (config.budgets_usd.len() as u64).saturating_add(1);
    let others = buckets.saturating_mul(config.tenants_per_bucket.into());
    let accounts = if config.default_per_name { named.saturating_add(others) } else { named };
    let bytes = accounts.saturating_mul(leases.saturating_add(tenant::ACCOUNT_BYTES));
    bytes.saturating_add(buckets.saturating_mul(tenant::HEADER_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_the_session_table_is_what_its_formula_says() {
        let config = LedgerConfig { buckets: 2, ..LedgerConfig::default() };
        assert_eq!(max_session_bytes(&config), 2 * (11 + (64 + 33 * 2) * 32 + 24 * 256 + 47 * 32));
    }

    #[test]
    fn the_memory_that_the_readme_names_is_what_the_formula_gives() {
        let tenants = |json: &str| serde_json::from_str::<TenantConfig>(json).unwrap();
        assert_eq!(max_session_bytes(&LedgerConfig::default()), 48_410_624);
        assert_eq!(max_caller_bytes(&CallerConfig::default()), 1_836_032);
        assert_eq!(max_tenant_bytes(&tenants(r#"{"default_usd": "1"}"#)), 862);
        let each = r#"{"default_usd": "1", "default_per_name": true}"#;
        assert_eq!(max_tenant_bytes(&tenants(each)), 586_590);
        assert_eq!(max_caller_bytes(&CallerConfig { enabled: false, ..CallerConfig::default() }), 0);
    }
}
