//! One turn's money on both levels: held in the session and with its tenant, or in neither; ended in both.
//!
//! [`Ledger::open`] reads both levels, so that a decision knows what both still allow. [`Open::hold`] writes the session
//! first and the tenant last. When another VM has changed the session, or taken the tenant's money, in between, nothing
//! stays held and the caller opens and decides again. A VM that dies between two of these writes leaves a reservation
//! that its lease gives back.

use crate::config::{LedgerConfig, TenantConfig};
use crate::counters::Counts;
use crate::ledger::error::LedgerError;
use crate::ledger::sessions::{OpenSession, SessionTable};
use crate::ledger::store::SharedStore;
use crate::ledger::tenants::{OpenTenant, TenantLease, TenantTable};
use crate::ledger::view::{Ending, Namespace, SessionView};
use crate::money::NanoUsd;
use crate::request::identity::Tenant;
use crate::request::session_id::SessionId;

/// Whose money a turn spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payer {
    /// The session; `None` for a turn that is a session of its own.
    pub session: Option<SessionId>,
    /// Budget of the session, if it is new.
    pub budget_if_new: NanoUsd,
    /// The tenant; `None` where tenants have no budgets.
    pub tenant: Option<Tenant>,
}

/// Money that a turn holds, to be given to [`Ledger::end`] exactly once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "money that is not ended is locked until its lease expires"]
pub struct Holding {
    session: Option<(SessionId, u64)>,
    tenant: Option<TenantLease>,
}

/// Both levels in one store.
#[derive(Debug)]
pub struct Ledger<'a, S> {
    sessions: SessionTable<'a, S>,
    tenants: Option<TenantTable<'a, S>>,
}

/// The accounts of a payer as they were read, before anything is held.
#[derive(Debug)]
#[must_use = "hold money by `hold`, or leave the accounts by `leave`"]
pub struct Open<'a, S> {
    ledger: &'a Ledger<'a, S>,
    now_ms: u64,
    session: Option<OpenSession>,
    tenant: Option<OpenTenant>,
    /// The session, and what its tenant still allows.
    pub view: SessionView,
}

impl<'a, S: SharedStore> Ledger<'a, S> {
    /// The ledger that these configurations describe.
    #[must_use]
    pub fn new(
        store: &'a S,
        ledger: &'a LedgerConfig,
        tenants: Option<&'a TenantConfig>,
        namespace: Namespace,
    ) -> Self {
        let tenants = tenants.map(|config| TenantTable::new(store, config, ledger.lease_ms, namespace));
        Ledger { sessions: SessionTable::new(store, ledger, namespace), tenants }
    }

    /// Reads the accounts of a payer.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails or the session's bucket is full.
    pub fn open(&self, payer: &Payer, now_ms: u64, counts: &mut Counts) -> Result<Open<'_, S>, LedgerError> {
        let tenant = payer.tenant.zip(self.tenants.as_ref());
        let tenant = tenant.map(|(tenant, table)| table.open(tenant, now_ms)).transpose()?;
        let session = payer.session;
        let session =
            session.map(|id| self.sessions.open(id, payer.budget_if_new, now_ms, counts)).transpose()?;
        let view = session.as_ref().map_or_else(|| SessionView::new(payer.budget_if_new), |open| open.view);
        let outer_available = tenant.as_ref().map(|tenant| tenant.available);
        Ok(Open { ledger: self, now_ms, session, tenant, view: SessionView { outer_available, ..view } })
    }

    /// Ends a turn on both levels. Each level is tried, whatever becomes of the other.
    ///
    /// # Errors
    /// The first [`LedgerError`]; a level that could not be ended gets its money back when the lease expires.
    pub fn end(
        &self,
        holding: Holding,
        ending: Ending,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<(), LedgerError> {
        let Holding { session, tenant } = holding;
        let session = session.map(|(id, number)| self.sessions.end(id, number, ending, now_ms, counts));
        let tenant = tenant.zip(self.tenants.as_ref());
        let tenant = tenant.map(|(lease, table)| table.end(lease, ending, now_ms, counts));
        session.unwrap_or(Ok(())).and(tenant.unwrap_or(Ok(())))
    }
}

impl<S: SharedStore> Ledger<'_, S> {
    /// Holds `more` for a turn that holds something already, on both levels. `false`: the money is not there, or the turn's
    /// lease has ended, and nothing has changed.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing has changed, or what one level holds more its lease gives back.
    pub fn raise(
        &self,
        holding: &mut Holding,
        more: NanoUsd,
        tenant: Option<Tenant>,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<bool, LedgerError> {
        let session = holding.session;
        if let Some((id, number)) = session
            && !self.sessions.raise(id, number, more, now_ms, counts)?
        {
            return Ok(false);
        }
        let raised = match (&mut holding.tenant, &self.tenants, tenant) {
            (Some(share), Some(table), Some(tenant)) => {
                table.raise(share, more, tenant.budget, now_ms, counts)
            }
            _ => Ok(true),
        };
        if raised != Ok(true)
            && let Some((id, number)) = session
        {
            self.sessions.lower(id, number, more, now_ms, counts)?;
        }
        raised
    }
}

impl<S: SharedStore> Open<'_, S> {
    /// Holds `amount` on both levels. `None`: another VM was faster, and nothing is held.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing is held, or its lease gives it back where even the undoing failed.
    pub fn hold(self, amount: NanoUsd, counts: &mut Counts) -> Result<Option<Holding>, LedgerError> {
        let Open { ledger, now_ms, session, tenant, .. } = self;
        let session = match session {
            None => None,
            Some(open) => {
                let id = open.id();
                let Some(number) = ledger.sessions.hold(open, amount, now_ms, counts)? else {
                    return Ok(None);
                };
                Some((id, number))
            }
        };
        let Some((open, table)) = tenant.zip(ledger.tenants.as_ref()) else {
            return Ok(Some(Holding { session, tenant: None }));
        };
        let leased = table.hold(open, amount, now_ms, counts);
        if let Ok(Some(lease)) = leased {
            return Ok(Some(Holding { session, tenant: Some(lease) }));
        }
        let undone = ledger.end(Holding { session, tenant: None }, Ending::Refund, now_ms, counts);
        leased.and(undone).map(|()| None)
    }

    /// Holds nothing.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn leave(self, counts: &mut Counts) -> Result<(), LedgerError> {
        self.session.map_or(Ok(()), |open| self.ledger.sessions.leave(open, counts))
    }
}

#[cfg(test)]
#[path = "interleaving_tests.rs"]
mod interleaving_tests;
