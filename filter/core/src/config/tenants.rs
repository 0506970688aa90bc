//! Budgets of tenants over all of their sessions. [`crate::ledger::tenants`] keeps their accounts.
//!
//! **Names.** A client that can set the tenant header can invent names. So a name that `budgets_usd` does not have is refused,
//! or spends from one purse with all other such names; a purse for each is safe only where a hop that authenticates the
//! caller sets the header.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::usd;
use crate::money::NanoUsd;

/// Budgets of tenants, named by `session.tenant_header`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Budgets by tenant name; written as decimal USD.
    #[serde(default, with = "usd::by_name")]
    pub budgets_usd: BTreeMap<String, NanoUsd>,
    /// Budget of all requests together that name no tenant of `budgets_usd`; written as decimal USD. Absent: they are
    /// refused.
    #[serde(default, with = "usd::optional", skip_serializing_if = "Option::is_none")]
    pub default_usd: Option<NanoUsd>,
    /// `default_usd` is the budget of each such name instead. Only where clients cannot choose their names.
    #[serde(default)]
    pub default_per_name: bool,
    /// Budgets are per window of this length, counted from the epoch. Absent: in all.
    #[serde(default)]
    pub window_ms: Option<u64>,
    /// Turns of one tenant, per window, that clients may leave before an answer for nothing; later ones are charged.
    #[serde(default = "default_free_early_leaves")]
    pub free_early_leaves: u32,
    /// A tenant unseen for this long is forgotten.
    #[serde(default = "default_ttl_ms")]
    pub ttl_ms: u64,
    /// Buckets the tenants are spread over. Changing it forgets what they have spent.
    #[serde(default = "default_buckets")]
    pub buckets: u32,
    /// Tenants a bucket holds at most beside those of `budgets_usd`, which always have a place; further ones are refused
    /// (503).
    #[serde(default = "default_tenants_per_bucket")]
    pub tenants_per_bucket: u32,
}

/// Whose budget a tenant's name spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purse {
    /// Its own, by `budgets_usd`.
    Named(NanoUsd),
    /// Its own, by `default_usd`.
    Each(NanoUsd),
    /// The one of all names that `budgets_usd` does not have.
    Shared(NanoUsd),
}

fn default_free_early_leaves() -> u32 {
    100
}
fn default_ttl_ms() -> u64 {
    90 * 24 * 3600 * 1000
}
fn default_buckets() -> u32 {
    64
}
fn default_tenants_per_bucket() -> u32 {
    32
}

impl TenantConfig {
    /// Whose budget a name spends; `None`: it is refused. Without a tenant header the name is empty.
    #[must_use]
    pub fn purse(&self, name: &[u8]) -> Option<Purse> {
        let named = std::str::from_utf8(name).ok().and_then(|name| self.budgets_usd.get(name));
        let unknown =
            |budget| if self.default_per_name { Purse::Each(budget) } else { Purse::Shared(budget) };
        named.copied().map(Purse::Named).or(self.default_usd.map(unknown))
    }

    pub(super) fn check(&self, lease_ms: u64, faults: &mut Faults) {
        let (named, positive) = (self.budgets_usd.len(), "a positive decimal number of USD");
        match self.default_usd {
            Some(default) => {
                faults.require(default > NanoUsd::ZERO, "tenants.default_usd", default, positive);
            }
            None => {
                let expected = "at least one tenant, as there is no `tenants.default_usd`";
                faults.require_present(named > 0, "tenants.budgets_usd", expected);
                let (field, each) = ("tenants.default_per_name", self.default_per_name);
                faults.require(!each, field, each, "false, as there is no `tenants.default_usd`");
            }
        }
        for (name, budget) in &self.budgets_usd {
            let field = format_args!("tenants.budgets_usd.{name}");
            faults.require(*budget > NanoUsd::ZERO, field, budget, positive);
        }
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
