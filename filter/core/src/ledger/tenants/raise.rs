//! Changes what a turn holds of its tenant's money while it is in flight.

use super::{TenantLease, TenantTable};
use crate::counters::{Counter, Counts};
use crate::ledger::error::LedgerError;
use crate::ledger::store::SharedStore;
use crate::ledger::table::Change;
use crate::money::NanoUsd;
use crate::request::identity::Tenant;

impl<S: SharedStore> TenantTable<'_, S> {
    /// Adds `more` to a turn's share. `false`: the tenant has not that much, or the lease has ended.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing has changed.
    pub fn raise(
        &self,
        share: &mut TenantLease,
        more: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<bool, LedgerError> {
        let Tenant { id, budget, .. } = share.tenant;
        let raised = self.change(id, None, now_ms, counts, |bucket, counts| {
            let Some(account) = bucket.accounts.iter_mut().find(|account| account.id == id) else {
                return Ok(Change::Keep(false));
            };
            let free = budget.saturating_sub(account.spent.saturating_add(account.held()));
            match account.leases.iter_mut().find(|lease| lease.id == share.lease) {
                Some(lease) if more <= free => lease.amount = lease.amount.saturating_add(more),
                _ => return Ok(Change::Keep(false)),
            }
            counts.add(Counter::TenantGrantedNanoUsd, more.0);
            Ok(Change::Write(true))
        })?;
        if raised {
            share.amount = share.amount.saturating_add(more);
        }
        Ok(raised)
    }
}
