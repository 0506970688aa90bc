//! One turn on both levels: reserved in the session and with its tenant, or in neither; ended in both.
//!
//! The tenant is read first, so that the decision knows what both levels still allow, and written last, on what it
//! had read. When another VM has taken the tenant's money in between, the session's reservation is undone and the
//! turn is decided again on what is left. A VM that dies between two of these writes leaves a reservation that its
//! lease gives back.

use crate::config::{LedgerConfig, TenantConfig};
use crate::counters::Counts;
use crate::ledger::store::SharedStore;
use crate::ledger::sessions::{Choice, SessionTable};
use crate::ledger::tenants::{OpenTenant, Tenant, TenantHold, TenantTable};
use crate::ledger::{Books, Ending, LedgerError, SessionView};
use crate::money::NanoUsd;
use crate::request::session_id::SessionId;

/// How often a turn is decided again because another VM took the tenant's money first.
const MAX_DECISIONS: u32 = 16;

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

/// What a turn holds, to be given to [`Accounts::end`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    session: Option<(SessionId, u64)>,
    tenant: Option<TenantHold>,
}

/// A decision, and what was reserved for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted<T> {
    /// What the decision returned.
    pub value: T,
    /// The session as the decision saw it.
    pub seen: SessionView,
    /// `None` when the decision refused.
    pub holding: Option<Holding>,
}

/// What a turn holds in its session: no reservation where it is a session of its own.
struct InSession {
    reservation: Option<u64>,
    amount: NanoUsd,
}

/// Both levels in one store.
#[derive(Clone, Copy, Debug)]
pub struct Accounts<'a, S> {
    store: &'a S,
    ledger: &'a LedgerConfig,
    tenants: Option<&'a TenantConfig>,
    books: Books,
}

impl<'a, S: SharedStore> Accounts<'a, S> {
    /// The accounts that these configurations describe.
    #[must_use]
    pub fn new(
        store: &'a S,
        ledger: &'a LedgerConfig,
        tenants: Option<&'a TenantConfig>,
        books: Books,
    ) -> Self {
        Accounts { store, ledger, tenants, books }
    }

    fn sessions(&self) -> SessionTable<'a, S> {
        SessionTable::new(self.store, self.ledger, self.books)
    }

    fn tenants(&self) -> Option<TenantTable<'a, S>> {
        let config = self.tenants?;
        Some(TenantTable::new(self.store, config, self.ledger.lease_ms, self.books))
    }

    /// Lets `decide` look at the session, within what its tenant still has, and reserves what it asks for.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing is reserved, or what was is given back by its lease where even the undoing failed.
    pub fn reserve<T>(
        &self,
        payer: Payer,
        now_ms: u64,
        counts: &mut Counts,
        mut decide: impl FnMut(&SessionView) -> Choice<T>,
    ) -> Result<Granted<T>, LedgerError> {
        for _ in 0..MAX_DECISIONS {
            let opened = self.open(payer.tenant, now_ms)?;
            let outer_available = opened.as_ref().map(|(_, opened)| opened.available);
            let within_tenant = |session: &SessionView| decide(&SessionView { outer_available, ..*session });
            let (value, seen, reserved) = self.reserve_in_session(payer, now_ms, counts, within_tenant)?;
            let seen = SessionView { outer_available, ..seen };
            let Some(InSession { reservation, amount }) = reserved else {
                return Ok(Granted { value, seen, holding: None });
            };
            let session = payer.session.zip(reservation);
            let held = match opened {
                None => return Ok(Granted { value, seen, holding: Some(Holding { session, tenant: None }) }),
                Some((tenant, opened)) => self.hold(tenant, opened, amount, now_ms, counts),
            };
            if let Ok(Some(tenant)) = held {
                let holding = Holding { session, tenant: Some(tenant) };
                return Ok(Granted { value, seen, holding: Some(holding) });
            }
            let undone = self.end(Holding { session, tenant: None }, Ending::Refund, now_ms, counts);
            held.and(undone)?;
        }
        Err(LedgerError::Conflicts)
    }

    /// Ends a turn on both levels. Each level is tried, whatever becomes of the other.
    ///
    /// # Errors
    /// The first [`LedgerError`]; what did not end ends by its lease.
    pub fn end(
        &self,
        holding: Holding,
        ending: Ending,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<(), LedgerError> {
        let session = holding
            .session
            .map(|(id, reservation)| self.sessions().end(id, reservation, ending, now_ms, counts));
        let tenant = holding.tenant.zip(self.tenants());
        let tenant = tenant.map(|(hold, table)| table.end(hold, ending, now_ms, counts));
        session.unwrap_or(Ok(())).and(tenant.unwrap_or(Ok(())))
    }

    fn open(&self, tenant: Option<Tenant>, now_ms: u64) -> Result<Option<(Tenant, OpenTenant)>, LedgerError> {
        let Some((tenant, table)) = tenant.zip(self.tenants()) else { return Ok(None) };
        Ok(Some((tenant, table.open(tenant, now_ms)?)))
    }

    fn hold(
        &self,
        tenant: Tenant,
        opened: OpenTenant,
        amount: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Option<TenantHold>, LedgerError> {
        match self.tenants() {
            Some(table) => table.reserve(tenant, opened, amount, now_ms, counts),
            None => Ok(None),
        }
    }

    /// The session's part; `None` when nothing is to be reserved.
    fn reserve_in_session<T>(
        &self,
        payer: Payer,
        now_ms: u64,
        counts: &mut Counts,
        mut decide: impl FnMut(&SessionView) -> Choice<T>,
    ) -> Result<(T, SessionView, Option<InSession>), LedgerError> {
        let Some(id) = payer.session else {
            let seen = SessionView::new(payer.budget_if_new);
            return Ok(match decide(&seen) {
                Choice::Reserve(amount, value) => {
                    (value, seen, Some(InSession { reservation: None, amount }))
                }
                Choice::Refuse(value) => (value, seen, None),
            });
        };
        let reserved = self.sessions().reserve(id, payer.budget_if_new, now_ms, counts, decide)?;
        let held = reserved
            .reservation
            .map(|(reservation, amount)| InSession { reservation: Some(reservation), amount });
        Ok((reserved.value, reserved.seen, held))
    }
}

#[cfg(test)]
#[path = "interleaving_tests.rs"]
mod interleaving_tests;
