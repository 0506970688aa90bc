//! What a client is told where a decision allows no model, or the ledger holds no money.

use super::{Decision, Engine};
use crate::config::{Config, Strategy};
use crate::counters::{Counter, Counts};
use crate::ledger::{LedgerError, SessionView};
use crate::money::NanoUsd;
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
        let needed = self.least_needed(decision);
        let own = SessionView { outer_available: None, ..*session }.available();
        let by_tenant = session.available() < own;
        counts.add(Counter::TenantExhausted, u64::from(by_tenant));
        let refusal = match (by_tenant, &self.config.tenants) {
            (true, Some(tenants)) => Refusal::TenantExhausted {
                available: session.available(),
                needed,
                window_ms: tenants.window_ms,
            },
            _ => self.refusal_of_session(decision, session, needed),
        };
        let may_come_back = matches!(refusal, Refusal::MoneyInFlight { .. });
        let counter = if may_come_back { Counter::MoneyInFlight } else { Counter::Exhausted };
        counts.add(counter, 1);
        refusal
    }

    /// Why the session's own money does not do: it is spent, or turns in flight hold it, and then it may come back.
    fn refusal_of_session(&self, decision: &Decision, session: &SessionView, needed: NanoUsd) -> Refusal {
        let SessionView { budget, spent, outstanding, .. } = *session;
        let left = budget.saturating_sub(spent);
        if outstanding > NanoUsd::ZERO && needed <= left {
            return Refusal::MoneyInFlight {
                needed,
                available: left.saturating_sub(outstanding),
                outstanding,
            };
        }
        let least_output_tokens = decision.tokens.least_output_tokens;
        Refusal::Exhausted { needed, left, outstanding, budget, least_output_tokens }
    }

    /// The least that must be free for this turn, with the model that needs least.
    fn least_needed(&self, decision: &Decision) -> NanoUsd {
        let Config { models, strategy, .. } = &self.config;
        let wanted = |k: usize| match (strategy, models.get(k)) {
            (Strategy::Always(name), Some(model)) => model.name == *name,
            _ => true,
        };
        let estimates = decision.estimates.iter().enumerate();
        let able = estimates
            .filter(|(k, estimate)| wanted(*k) && decision.candidates.allows(*k) && estimate.fits_context);
        able.map(|(_, estimate)| estimate.least).min().unwrap_or(NanoUsd::ZERO)
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
