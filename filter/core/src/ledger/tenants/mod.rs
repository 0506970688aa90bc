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
//!
//! **Room.** The tenants that the configuration names, and the purse that all others share, always have a place: their
//! accounts are not counted among the `tenants_per_bucket` of a bucket, so invented names cannot shut them out. A tenant
//! that has spent in its window, or holds money, is never forgotten for another.

pub mod bucket;
pub mod raise;

use crate::config::TenantConfig;
use crate::counters::{Counter, Counts};
use crate::ledger::error::LedgerError;
use crate::ledger::store::SharedStore;
use crate::ledger::table::{Change, Fresh, Table};
use crate::ledger::tenants::bucket::{Account, TenantBucket, TenantRules};
use crate::ledger::view::{Booking, Ended, Namespace, Renewal, lease_is_due};
use crate::money::NanoUsd;
use crate::request::identity::Tenant;

/// The table of tenants in one store.
pub type TenantTable<'a, S> = Table<'a, S, TenantBucket>;

/// A turn's share of a tenant's lease.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "money that is not ended is locked until the lease expires"]
pub struct TenantLease {
    pub(super) tenant: Tenant,
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
            let mut account = self.remove_account(bucket, tenant, now_ms)?;
            let used = account.spent.saturating_add(account.held());
            if amount > tenant.budget.saturating_sub(used) {
                return Ok(Change::Keep(None));
            }
            let end_ms = self.rules.lease_end_ms(now_ms);
            let lease = account.lease_until(end_ms, &mut bucket.next_lease).ok_or(LedgerError::Full)?;
            lease.amount = lease.amount.saturating_add(amount);
            let share = TenantLease { tenant, lease: lease.id, amount };
            account.last_seen_ms = now_ms;
            bucket.accounts.push(account);
            counts.add(Counter::TenantGrantedNanoUsd, amount.0);
            Ok(Change::Write(Some(share)))
        })
    }

    /// Ends a turn's share: its cost is charged, the rest given back. After the lease has ended only the cost is charged.
    ///
    /// # Errors
    /// [`LedgerError`]; then the share is given back when its lease ends.
    pub fn end(
        &self,
        share: TenantLease,
        booking: Booking,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Ended, LedgerError> {
        self.change(share.tenant.id, None, now_ms, counts, |bucket, counts| {
            let mut account = self.remove_account(bucket, share.tenant, now_ms)?;
            let leaves = account.early_leaves;
            let (cost, ended) = (booking.cost(leaves), booking.ended(leaves));
            let is_free_leave = booking.is_free_leave(leaves);
            let held = match account.leases.iter_mut().find(|lease| lease.id == share.lease) {
                Some(lease) => {
                    lease.amount = lease.amount.saturating_sub(share.amount);
                    share.amount
                }
                None if cost == NanoUsd::ZERO && !is_free_leave => return Ok(Change::Keep(ended)),
                None => NanoUsd::ZERO,
            };
            account.leases.retain(|lease| lease.amount > NanoUsd::ZERO);
            account.spent = account.spent.saturating_add(cost);
            account.early_leaves = leaves.saturating_add(u32::from(is_free_leave));
            account.last_seen_ms = now_ms;
            bucket.accounts.push(account);
            counts.add(Counter::TenantSettledNanoUsd, cost.0.min(held.0));
            counts.add(Counter::TenantRefundedNanoUsd, held.saturating_sub(cost).0);
            counts.add(Counter::TenantOverrunNanoUsd, cost.saturating_sub(held).0);
            Ok(Change::Write(ended))
        })
    }

    /// Whether one more turn of a tenant may be left before an answer for nothing. Writes nothing, so turns that end at
    /// the same time may each be the last.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn has_free_leave(&self, share: &TenantLease, now_ms: u64) -> Result<bool, LedgerError> {
        let id = share.tenant.id;
        let bucket = self.read(id, now_ms)?.value;
        let account = bucket.accounts.iter().find(|account| account.id == id);
        Ok(account.map_or(0, |account| account.early_leaves) < self.free_early_leaves())
    }

    /// Turns of a tenant, per window, that may be left before an answer for nothing.
    #[must_use]
    pub fn free_early_leaves(&self) -> u32 {
        self.rules.free_early_leaves
    }

    /// Moves a turn's share to a lease that ends one lease from now, unless more than half of its own is left.
    ///
    /// # Errors
    /// [`LedgerError`]; then the lease ends as before.
    pub fn renew(
        &self,
        share: &mut TenantLease,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Renewal, LedgerError> {
        let TenantLease { tenant, lease, amount } = *share;
        let (renewal, lease) = self.change(tenant.id, None, now_ms, counts, |bucket, _| {
            let account = bucket.accounts.iter_mut().find(|account| account.id == tenant.id);
            let Some(account) = account else { return Ok(Change::Keep((Renewal::Gone, lease))) };
            let Some(old) = account.leases.iter_mut().find(|old| old.id == lease) else {
                return Ok(Change::Keep((Renewal::Gone, lease)));
            };
            // A lease of turns that share it ends up to a part later than each of theirs would.
            if !lease_is_due(old.end_ms.saturating_sub(self.rules.part_ms()), self.rules.lease_ms, now_ms) {
                return Ok(Change::Keep((Renewal::NotDue, lease)));
            }
            old.amount = old.amount.saturating_sub(amount);
            account.leases.retain(|lease| lease.amount > NanoUsd::ZERO);
            let end_ms = self.rules.lease_end_ms(now_ms);
            let new = account.lease_until(end_ms, &mut bucket.next_lease).ok_or(LedgerError::Full)?;
            new.amount = new.amount.saturating_add(amount);
            let new = new.id;
            account.last_seen_ms = now_ms;
            Ok(Change::Write((Renewal::Done, new)))
        })?;
        share.lease = lease;
        Ok(renewal)
    }

    /// Removes the tenant's account from the bucket, or makes one. Only accounts without information make room: those
    /// that have spent nothing in this window and hold nothing, or are past their TTL.
    fn remove_account(
        &self,
        bucket: &mut TenantBucket,
        tenant: Tenant,
        now_ms: u64,
    ) -> Result<Account, LedgerError> {
        let ttl_ms = self.rules.ttl_ms;
        let idle_ms = |account: &Account| now_ms.saturating_sub(account.last_seen_ms);
        bucket.accounts.retain(|account| {
            let has_spent = account.spent > NanoUsd::ZERO || account.early_leaves > 0;
            account.id == tenant.id || (has_spent && idle_ms(account) < ttl_ms) || !account.leases.is_empty()
        });
        let Tenant { id, has_place, .. } = tenant;
        if let Some(position) = bucket.accounts.iter().position(|account| account.id == id) {
            return Ok(Account { has_place, ..bucket.accounts.swap_remove(position) });
        }
        let others = bucket.accounts.iter().filter(|account| !account.has_place).count() as u64;
        if !has_place && others >= u64::from(self.rules.tenants_per_bucket) {
            return Err(LedgerError::Full);
        }
        let (window, spent) = (self.rules.window(now_ms), NanoUsd::ZERO);
        Ok(Account {
            id,
            has_place,
            window,
            last_seen_ms: now_ms,
            spent,
            early_leaves: 0,
            leases: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
