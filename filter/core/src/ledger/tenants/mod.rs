//! The outer level: what a tenant (team, customer) may spend over all of its sessions, in all or per window of time.
//!
//! A tenant has thousands of turns in flight, so its reservations are not kept one by one: turns whose leases end at
//! about the same time share a *lease*, a sum with one end. A turn remembers its share ([`TenantLease`]), and takes it
//! out when it ends; a lease that ends is given back as a whole. At most [`bucket::MAX_LEASES`] are alive at once, so a
//! tenant's bytes are bounded. Each level conserves money by itself:
//!
//! ```text
//! tenant granted = tenant settled + tenant refunded + tenant expired + held now
//! ```
//!
//! A turn is charged to the window in which it ends. A tenant without a window is never forgotten before its TTL.

pub mod bucket;
pub mod raise;

use crate::config::TenantConfig;
use crate::counters::{Counter, Counts};
use crate::ledger::error::LedgerError;
use crate::ledger::store::SharedStore;
use crate::ledger::table::{Change, Fresh, Table};
use crate::ledger::tenants::bucket::{Account, Lease, MAX_LEASES, TenantBucket, TenantRules};
use crate::ledger::view::{Ending, Namespace};
use crate::money::NanoUsd;
use crate::request::identity::Tenant;
use crate::request::session_id::SessionId;

/// The table of tenants in one store.
pub type TenantTable<'a, S> = Table<'a, S, TenantBucket>;

/// A turn's share of a tenant's lease.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "money that is not ended is locked until the lease expires"]
pub struct TenantLease {
    pub(super) tenant: SessionId,
    pub(super) lease: u64,
    pub(super) amount: NanoUsd,
}

/// A tenant's account as it was read, before anything is held.
#[derive(Clone, Debug)]
pub struct OpenTenant {
    tenant: Tenant,
    bucket: Fresh<TenantBucket>,
    /// Budget − spent − held.
    pub available: NanoUsd,
}

impl<'a, S: SharedStore> Table<'a, S, TenantBucket> {
    /// The table that `config` describes.
    #[must_use]
    pub fn new(store: &'a S, config: &TenantConfig, lease_ms: u64, namespace: Namespace) -> Self {
        Table::by_rules(store, TenantRules::new(config, lease_ms), namespace)
    }

    /// Reads what a tenant may still spend. Writes nothing.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn open(&self, tenant: Tenant, now_ms: u64) -> Result<OpenTenant, LedgerError> {
        let bucket = self.read(tenant.id, now_ms)?;
        let account = bucket.value.accounts.iter().find(|account| account.id == tenant.id);
        let used = account.map_or(NanoUsd::ZERO, |account| account.spent.saturating_add(account.held()));
        Ok(OpenTenant { tenant, bucket, available: tenant.budget.saturating_sub(used) })
    }

    /// Holds `amount`. `Ok(None)`: other VMs have taken the money in between.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing is held.
    pub fn hold(
        &self,
        open: OpenTenant,
        amount: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Option<TenantLease>, LedgerError> {
        let OpenTenant { tenant, bucket, .. } = open;
        self.change(tenant.id, Some(bucket), now_ms, counts, |bucket, counts| {
            let mut account = self.remove_account(bucket, tenant.id, now_ms)?;
            let used = account.spent.saturating_add(account.held());
            if amount > tenant.budget.saturating_sub(used) {
                return Ok(Change::Keep(None));
            }
            let end_ms = self.rules.lease_end_ms(now_ms);
            let full = account.leases.len() >= MAX_LEASES;
            let lease = match account.leases.iter_mut().find(|lease| lease.end_ms == end_ms) {
                Some(lease) => {
                    lease.amount = lease.amount.saturating_add(amount);
                    lease.id
                }
                None if full => return Err(LedgerError::Full),
                None => {
                    let id = bucket.next_lease;
                    bucket.next_lease = id.wrapping_add(1);
                    account.leases.push(Lease { id, end_ms, amount });
                    id
                }
            };
            account.last_seen_ms = now_ms;
            bucket.accounts.push(account);
            counts.add(Counter::TenantGrantedNanoUsd, amount.0);
            Ok(Change::Write(Some(TenantLease { tenant: tenant.id, lease, amount })))
        })
    }

    /// Ends a turn's share: settled at its cost, or given back. After the lease has ended only the cost is charged.
    ///
    /// # Errors
    /// [`LedgerError`]; then the share is given back when its lease ends.
    pub fn end(
        &self,
        share: TenantLease,
        ending: Ending,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<(), LedgerError> {
        let cost = match ending {
            Ending::Settle(turn) => turn.cost,
            Ending::Refund => NanoUsd::ZERO,
        };
        self.change(share.tenant, None, now_ms, counts, |bucket, counts| {
            let mut account = self.remove_account(bucket, share.tenant, now_ms)?;
            let held = match account.leases.iter_mut().find(|lease| lease.id == share.lease) {
                Some(lease) => {
                    lease.amount = lease.amount.saturating_sub(share.amount);
                    share.amount
                }
                None if cost == NanoUsd::ZERO => return Ok(Change::Keep(())),
                None => NanoUsd::ZERO,
            };
            account.leases.retain(|lease| lease.amount > NanoUsd::ZERO);
            account.spent = account.spent.saturating_add(cost);
            account.last_seen_ms = now_ms;
            bucket.accounts.push(account);
            counts.add(Counter::TenantSettledNanoUsd, cost.0.min(held.0));
            counts.add(Counter::TenantRefundedNanoUsd, held.saturating_sub(cost).0);
            counts.add(Counter::TenantOverrunNanoUsd, cost.saturating_sub(held).0);
            Ok(Change::Write(()))
        })
    }

    /// Removes the tenant's account from the bucket, or makes one. Only accounts without information make room: those
    /// that have spent nothing in this window and hold nothing, or are past their TTL.
    fn remove_account(
        &self,
        bucket: &mut TenantBucket,
        id: SessionId,
        now_ms: u64,
    ) -> Result<Account, LedgerError> {
        let ttl_ms = self.rules.ttl_ms;
        let idle_ms = |account: &Account| now_ms.saturating_sub(account.last_seen_ms);
        bucket.accounts.retain(|account| {
            let has_spent = account.spent > NanoUsd::ZERO && idle_ms(account) < ttl_ms;
            account.id == id || has_spent || !account.leases.is_empty()
        });
        if let Some(position) = bucket.accounts.iter().position(|account| account.id == id) {
            return Ok(bucket.accounts.swap_remove(position));
        }
        if bucket.accounts.len() as u64 >= u64::from(self.rules.tenants_per_bucket) {
            return Err(LedgerError::Full);
        }
        let window = self.rules.window(now_ms);
        Ok(Account { id, window, last_seen_ms: now_ms, spent: NanoUsd::ZERO, leases: Vec::new() })
    }
}

#[cfg(test)]
mod tests;
