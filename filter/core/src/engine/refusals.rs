//! What a client is told where a decision allows no model, or the ledger holds no money.

use super::{Decision, Engine};
use crate::counters::{Counter, Counts};
use crate::ledger::{LedgerError, SessionView};
use crate::reply::local_reply::Refusal;

impl Engine {
    /// Why no model was allowed.
    pub(super) fn refusal_of_decision(
        &self,
        decision: &Decision,
        session: &SessionView,
        counts: &mut Counts,
    ) -> Refusal {
        let candidates = decision.candidates;
        if !candidates.any(self.config.models.len()) {
            return Refusal::NoCapableModel { lack: candidates.lack() };
        }
        let mut estimates = decision.estimates.iter().enumerate();
        if !estimates.any(|(k, estimate)| candidates.allows(k) && estimate.fits_context) {
            return Refusal::ContextTooLong;
        }
        let own = SessionView { outer_available: None, ..*session }.available();
        let by_tenant = session.available() < own;
        counts.add(Counter::Exhausted, 1);
        counts.add(Counter::TenantExhausted, u64::from(by_tenant));
        match (by_tenant, &self.config.tenants) {
            (true, Some(tenants)) => {
                Refusal::TenantExhausted { available: session.available(), window_ms: tenants.window_ms }
            }
            _ => Refusal::Exhausted { available: own, budget: session.budget },
        }
    }
}

/// Why the ledger held nothing.
pub(super) fn refusal_of_ledger(error: &LedgerError, counts: &mut Counts) -> Refusal {
    match error {
        LedgerError::TooManyInFlight => {
            counts.add(Counter::TooManyInFlight, 1);
            Refusal::TooManyInFlight
        }
        LedgerError::TooManyNewSessions { window_ms } => {
            counts.add(Counter::TooManyNewSessions, 1);
            Refusal::TooManyNewSessions { window_ms: *window_ms }
        }
        LedgerError::Full => {
            counts.add(Counter::TableFull, 1);
            Refusal::TableUnavailable
        }
        LedgerError::Store(_)
        | LedgerError::Decode(_)
        | LedgerError::Conflicts
        | LedgerError::Overdrawn { .. } => {
            counts.add(Counter::StoreErrors, 1);
            Refusal::TableUnavailable
        }
    }
}
