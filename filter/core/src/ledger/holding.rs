//! One turn's money on both levels: held in the session and with its tenant, or in neither; ended in both.
//!
//! [`Ledger::open`] reads both levels, so that a decision knows what both still allow. [`Open::hold`] claims the session
//! of its caller if it is a new one ([`crate::ledger::callers`]), writes the session and at last the tenant. When another
//! VM has changed the session, or taken the tenant's money, in between, nothing stays held and the caller opens and
//! decides again. A VM that dies between two of these writes leaves a reservation that its lease gives back.
//!
//! A turn of a session that is in the table takes two host calls for each level that it has, and none for its caller.

use crate::config::Config;
use crate::counters::{Counter, Counts};
use crate::ledger::callers::{CallerTable, OpenCaller};
use crate::ledger::error::LedgerError;
use crate::ledger::sessions::bucket::Owner;
use crate::ledger::sessions::{OpenSession, SessionTable};
use crate::ledger::store::SharedStore;
use crate::ledger::tenants::{OpenTenant, TenantLease, TenantTable};
use crate::ledger::view::{Booking, Ended, Ending, Namespace, Renewal, SessionView};
use crate::money::NanoUsd;
use crate::request::caller::Caller;
use crate::request::conversation::Conversation;
use crate::request::identity::Tenant;
use crate::request::session_id::SessionId;

/// Whose money a turn spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payer<'a> {
    /// The session; `None` for a turn that is a session of its own.
    pub session: Option<SessionId>,
    /// The conversation within it.
    pub conversation: Conversation,
    /// Budget of the session, if it is new.
    pub budget_if_new: NanoUsd,
    /// The tenant; `None` where tenants have no budgets.
    pub tenant: Option<Tenant>,
    /// Who begins the session, if it is new.
    pub caller: &'a Caller,
}

/// Money that a turn holds, to be given to [`Ledger::end`] exactly once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "money that is not ended is locked until its lease expires"]
pub struct Holding {
    session: Option<(SessionId, u64)>,
    conversation: Conversation,
    tenant: Option<TenantLease>,
}

/// Both levels, and the count of new sessions, in one store.
#[derive(Debug)]
pub struct Ledger<'a, S> {
    sessions: SessionTable<'a, S>,
    tenants: Option<TenantTable<'a, S>>,
    callers: Option<CallerTable<'a, S>>,
    salt: &'a [u8],
    free_early_leaves: u32,
}

/// The accounts of a payer as they were read, before anything is held.
#[derive(Debug)]
#[must_use = "hold money by `hold`, or leave the accounts by `leave`"]
pub struct Open<'a, S> {
    ledger: &'a Ledger<'a, S>,
    now_ms: u64,
    session: Option<OpenSession>,
    tenant: Option<OpenTenant>,
    /// The caller, where this is to be a new session of it.
    caller: Option<OpenCaller>,
    /// The session, and what its tenant still allows.
    pub view: SessionView,
}

impl<'a, S: SharedStore> Ledger<'a, S> {
    /// The ledger that a configuration describes.
    #[must_use]
    pub fn new(store: &'a S, config: &'a Config, namespace: Namespace) -> Self {
        let lease_ms = config.ledger.lease_ms;
        let tenants = config.tenants.as_ref();
        let callers = config.callers.enabled.then_some(&config.callers);
        Ledger {
            sessions: SessionTable::new(store, &config.ledger, namespace),
            tenants: tenants.map(|tenants| TenantTable::new(store, tenants, lease_ms, namespace)),
            callers: callers.map(|callers| CallerTable::new(store, callers, namespace)),
            salt: config.salt.as_bytes(),
            free_early_leaves: config.ledger.free_early_leaves,
        }
    }

    /// Reads the accounts of a payer.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails, the session's bucket is full, or its caller may begin no more sessions.
    pub fn open(
        &self,
        payer: &Payer<'_>,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Open<'_, S>, LedgerError> {
        let tenant = payer.tenant.zip(self.tenants.as_ref());
        let tenant = tenant.map(|(tenant, table)| table.open(tenant, now_ms)).transpose()?;
        let owner = || Owner::of(payer.caller.id(self.salt));
        let session = payer.session;
        let (conversation, budget) = (payer.conversation, payer.budget_if_new);
        let session = session.map(|id| self.sessions.open(id, conversation, budget, owner, now_ms, counts));
        let session = session.transpose()?;
        let caller = match self.open_caller(payer, session.as_ref(), now_ms) {
            Ok(caller) => caller,
            Err(error) => {
                let left = session.map_or(Ok(()), |open| self.sessions.leave(open, counts));
                return left.and(Err(error));
            }
        };
        let view = session.as_ref().map_or_else(|| SessionView::new(payer.budget_if_new), |open| open.view);
        let outer_available = tenant.as_ref().map(|tenant| tenant.available);
        Ok(Open {
            ledger: self,
            now_ms,
            session,
            tenant,
            caller,
            view: SessionView { outer_available, ..view },
        })
    }

    /// The caller, where a new session of it is counted.
    fn open_caller(
        &self,
        payer: &Payer<'_>,
        session: Option<&OpenSession>,
        now_ms: u64,
    ) -> Result<Option<OpenCaller>, LedgerError> {
        let is_new = session.is_none_or(|open| open.is_new);
        let is_counted = is_new && matches!(payer.caller, Caller::Address(_));
        let table = self.callers.as_ref().filter(|_| is_counted);
        table.map(|table| table.open(payer.caller.id(self.salt), now_ms)).transpose()
    }

    /// Ends a turn on both levels, and says whether its cost was charged. Each level is tried, whatever becomes of the
    /// other.
    ///
    /// A turn that its client left before an answer is charged if either level has had too many of them
    /// (`ledger.free_early_leaves`, `tenants.free_early_leaves`). For a turn without a session its tenant alone decides;
    /// where it has no tenant either there is no account to charge, and its caller has claimed a new session for it.
    ///
    /// # Errors
    /// The first [`LedgerError`]; a level that could not be ended gets its money back when the lease expires.
    pub fn end(
        &self,
        holding: Holding,
        ending: Ending,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Ended, LedgerError> {
        match ending {
            Ending::Settle(turn) => self.book(holding, Booking::Settle(turn), now_ms, counts),
            Ending::Refund => self.book(holding, Booking::Refund, now_ms, counts),
            Ending::Left(turn) => {
                let ended = self.end_left(holding, turn.cost, now_ms, counts);
                counts.add(Counter::EarlyLeaves, 1);
                counts.add(Counter::EarlyLeavesCharged, u64::from(ended == Ok(Ended::Charged)));
                ended
            }
        }
    }

    fn book(
        &self,
        holding: Holding,
        booking: Booking,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Ended, LedgerError> {
        let ended = Ok(booking.ended(0));
        let Holding { session, conversation, tenant } = holding;
        let session = session
            .map(|(id, number)| self.sessions.end_in((id, conversation), number, booking, now_ms, counts));
        let tenant = tenant.zip(self.tenants.as_ref());
        let tenant = tenant.map(|(share, table)| table.end(share, booking, now_ms, counts));
        session.unwrap_or(ended.clone()).and(tenant.unwrap_or(ended))
    }

    fn end_left(
        &self,
        holding: Holding,
        cost: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Ended, LedgerError> {
        let leave = |free_before| Booking::Leave { cost, free_before };
        let Holding { session, tenant, .. } = holding;
        let tenant = tenant.zip(self.tenants.as_ref());
        let Some((id, number)) = session else {
            let free_before = self.free_early_leaves;
            let tenant = tenant.map(|(share, table)| {
                let free_before = table.free_early_leaves();
                table.end(share, leave(free_before), now_ms, counts)
            });
            return tenant.unwrap_or(Ok(leave(free_before).ended(0)));
        };
        let may_be_free = tenant.as_ref().is_none_or(|(share, table)| {
            // An account that cannot be read allows nothing.
            table.has_free_leave(share, now_ms).unwrap_or(false)
        });
        let free_before = if may_be_free { self.free_early_leaves } else { 0 };
        let session = self.sessions.end(id, number, leave(free_before), now_ms, counts);
        // The session has decided, and the tenant follows.
        let free_before = if session == Ok(Ended::Refunded) { u32::MAX } else { 0 };
        let tenant = tenant.map(|(share, table)| table.end(share, leave(free_before), now_ms, counts));
        tenant.map_or(Ok(()), |tenant| tenant.map(|_| ())).and(session)
    }

    /// Moves the ends of a turn's leases to one lease from now, where at most half of it is left. Returns whether
    /// anything is held still.
    ///
    /// # Errors
    /// The first [`LedgerError`]; a lease that could not be moved ends as before.
    pub fn renew(
        &self,
        holding: &mut Holding,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<bool, LedgerError> {
        let Holding { session, tenant, .. } = holding;
        let session = session.map(|(id, number)| self.sessions.renew(id, number, now_ms, counts));
        let tenant = tenant.as_mut().zip(self.tenants.as_ref());
        let tenant = tenant.map(|(share, table)| table.renew(share, now_ms, counts));
        let renewals = [session, tenant];
        let done = renewals.contains(&Some(Ok(Renewal::Done)));
        counts.add(Counter::LeasesRenewed, u64::from(done));
        let mut holds = false;
        for renewal in renewals.into_iter().flatten() {
            holds |= renewal? != Renewal::Gone;
        }
        Ok(holds)
    }

    /// Holds `more` for a turn that holds something already, on both levels. `false`: the money is not there, or the
    /// turn's lease has ended, and nothing has changed.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing has changed, or what one level holds more its lease gives back.
    pub fn raise(
        &self,
        holding: &mut Holding,
        more: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<bool, LedgerError> {
        let session = holding.session;
        if let Some((id, number)) = session
            && !self.sessions.raise(id, number, more, now_ms, counts)?
        {
            return Ok(false);
        }
        let raised = match (&mut holding.tenant, &self.tenants) {
            (Some(share), Some(table)) => table.raise(share, more, now_ms, counts),
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
        let Open { ledger, now_ms, session, tenant, caller, .. } = self;
        let claimed = match caller.zip(ledger.callers.as_ref()) {
            Some((caller, table)) => Some((table.claim(caller, now_ms, counts)?, table)),
            None => None,
        };
        let give_back = |counts: &mut Counts| {
            claimed.map_or(Ok(()), |(claim, table)| table.give_back(claim, now_ms, counts))
        };
        let conversation = session.as_ref().map(|open| open.conversation).unwrap_or_default();
        let session = match session {
            None => None,
            Some(open) => {
                let id = open.id();
                match ledger.sessions.hold(open, amount, now_ms, counts) {
                    Ok(Some(number)) => Some((id, number)),
                    nothing => return nothing.and(give_back(counts).map(|()| None)),
                }
            }
        };
        let Some((open, table)) = tenant.zip(ledger.tenants.as_ref()) else {
            return Ok(Some(Holding { session, conversation, tenant: None }));
        };
        let leased = table.hold(open, amount, now_ms, counts);
        if let Ok(Some(lease)) = leased {
            return Ok(Some(Holding { session, conversation, tenant: Some(lease) }));
        }
        // A session that was written exists, and its claim with it.
        let undone = match session {
            None => give_back(counts),
            Some(_) => {
                let holding = Holding { session, conversation, tenant: None };
                ledger.book(holding, Booking::Refund, now_ms, counts).map(|_| ())
            }
        };
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
