//! Bounds on the memory of the tables, whatever clients send: bytes of all values, without Envoy's own keys and nodes
//! (about 200 bytes per bucket).

use crate::config::{Config, LedgerConfig, TenantConfig};
use crate::ledger::sessions::bucket as session;
use crate::ledger::tenants::bucket as tenant;

/// Largest size of both tables, in bytes.
#[must_use]
pub fn max_bytes(config: &Config) -> u64 {
    let tenants = config.tenants.as_ref().map_or(0, max_tenant_bytes);
    max_session_bytes(&config.ledger).saturating_add(tenants)
}

/// Largest size of the session table, in bytes:
///
/// ```text
/// buckets · (11 + 78 · sessions_per_bucket + 24 · reservations_per_bucket + 45 · evicted_per_bucket)
/// ```
#[must_use]
pub fn max_session_bytes(config: &LedgerConfig) -> u64 {
    let parts = [
        (1, session::HEADER_BYTES),
        (config.sessions_per_bucket, session::SESSION_BYTES),
        (config.reservations_per_bucket, session::RESERVATION_BYTES),
        (config.evicted_per_bucket, session::EVICTED_BYTES),
    ];
    let bucket = parts.iter().map(|(count, bytes)| u64::from(*count).saturating_mul(*bytes));
    bucket.fold(0, u64::saturating_add).saturating_mul(u64::from(config.buckets))
}

/// Largest size of the tenant table, in bytes: `buckets · (9 + 281 · tenants_per_bucket)`.
#[must_use]
pub fn max_tenant_bytes(config: &TenantConfig) -> u64 {
    let leases = (tenant::MAX_LEASES as u64).saturating_mul(tenant::LEASE_BYTES);
    let account = leases.saturating_add(tenant::ACCOUNT_BYTES);
    let bucket = u64::from(config.tenants_per_bucket).saturating_mul(account);
    bucket.saturating_add(tenant::HEADER_BYTES).saturating_mul(u64::from(config.buckets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_the_session_table_is_what_its_formula_says() {
        let config = LedgerConfig { buckets: 2, ..LedgerConfig::default() };
        assert_eq!(max_session_bytes(&config), 2 * (11 + 78 * 32 + 24 * 256 + 45 * 32));
    }

    #[test]
    fn the_memory_that_the_readme_names_is_what_the_formula_gives() {
        let tenants: TenantConfig = serde_json::from_str(r#"{"default_usd": "1"}"#).unwrap();
        assert_eq!(max_session_bytes(&LedgerConfig::default()), 41_332_736);
        assert_eq!(max_tenant_bytes(&tenants), 576_064);
    }
}
