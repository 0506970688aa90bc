//! The lease of a turn whose answer is on its way.
//!
//! A lease gives the money of a dead VM back. A stream that is longer than its lease would get back what it is about to
//! spend, so its lease is renewed while bytes of the answer flow. A stream that brings nothing for a whole lease has lost
//! its reservation; what it costs is charged all the same, late.

use super::{Engine, Turn};
use crate::counters::{Counter, Counts};
use crate::ledger::Namespace;
use crate::ledger::holding::Ledger;
use crate::ledger::store::SharedStore;

impl Engine {
    /// Renews the lease of a turn, to be called whenever bytes of its answer come. It costs a comparison unless half of
    /// the lease is over. Returns whether the turn holds money, as far as is known.
    pub fn keep_alive(
        &self,
        turn: &mut Turn,
        store: &impl SharedStore,
        now_ms: u64,
        counts: &mut Counts,
    ) -> bool {
        let Some(holding) = &mut turn.holding else { return false };
        if now_ms < turn.renew_at_ms {
            return turn.renew_at_ms < u64::MAX;
        }
        // Shadow turns spend nothing, so they do not count.
        let mut of_shadow = Counts::default();
        let counts = if turn.namespace == Namespace::Real { counts } else { &mut of_shadow };
        let lease_ms = self.config.ledger.lease_ms;
        match Ledger::new(store, &self.config, turn.namespace).renew(holding, now_ms, counts) {
            Ok(true) => {
                turn.renew_at_ms = now_ms.saturating_add(lease_ms / 2);
                true
            }
            Ok(false) => {
                // Nothing to renew: the money is gone, or there is no account that holds any.
                turn.renew_at_ms = u64::MAX;
                false
            }
            Err(_) => {
                counts.add(Counter::StoreErrors, 1);
                turn.renew_at_ms = now_ms.saturating_add(lease_ms / 8);
                true
            }
        }
    }
}
