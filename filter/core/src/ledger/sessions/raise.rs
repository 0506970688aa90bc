//! Changes what a reservation holds while its turn is in flight.

use super::SessionTable;
use crate::counters::{Counter, Counts};
use crate::ledger::error::LedgerError;
use crate::ledger::store::SharedStore;
use crate::ledger::table::Change;
use crate::money::NanoUsd;
use crate::request::session_id::SessionId;

impl<S: SharedStore> SessionTable<'_, S> {
    /// Adds `more` to a reservation. `false`: the session has not that much, or the reservation has ended.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing has changed.
    pub fn raise(
        &self,
        id: SessionId,
        reservation: u64,
        more: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<bool, LedgerError> {
        self.change(id, None, now_ms, counts, |bucket, counts| {
            let Some(entry) = bucket.entries.iter_mut().find(|entry| entry.id == id) else {
                return Ok(Change::Keep(false));
            };
            let free = entry.last_view(now_ms).available();
            match entry.reservations.iter_mut().find(|held| held.id == reservation) {
                Some(held) if more <= free => held.amount = held.amount.saturating_add(more),
                _ => return Ok(Change::Keep(false)),
            }
            counts.add(Counter::GrantedNanoUsd, more.0);
            Ok(Change::Write(true))
        })
    }

    /// Takes `less` out of a reservation again.
    ///
    /// # Errors
    /// [`LedgerError`]; then the money comes back when the turn ends.
    pub fn lower(
        &self,
        id: SessionId,
        reservation: u64,
        less: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<(), LedgerError> {
        self.change(id, None, now_ms, counts, |bucket, counts| {
            let mut held = bucket.entries.iter_mut().filter(|entry| entry.id == id);
            let held =
                held.find_map(|entry| entry.reservations.iter_mut().find(|held| held.id == reservation));
            let Some(held) = held else { return Ok(Change::Keep(())) };
            let taken = less.min(held.amount);
            held.amount = held.amount.saturating_sub(taken);
            counts.add(Counter::RefundedNanoUsd, taken.0);
            Ok(Change::Write(()))
        })
    }
}
