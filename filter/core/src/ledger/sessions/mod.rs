//! The session table: reserve, settle, refund and expire under compare-and-swap.
//!
//! Each operation reads one bucket, expires leases in it, changes one session and writes the bucket back (see
//! [`crate::ledger::table`]).
//!
//! **Room.** A bucket holds a fixed number of sessions. What makes room for a new one, in this order: a session past
//! its TTL; an idle session that has spent nothing, since only its full budget is lost; with `on_full: evict_idle` the
//! idle session unseen for longest, which moves to the bucket's short list of evicted sessions and comes back from
//! there with what it had spent. Only where that list overflows is a live session forgotten, and counted as such.
//! With `on_full: reject` no session that has spent is ever moved. A session with money outstanding never is.

pub mod bucket;
pub mod raise;

use crate::config::{LedgerConfig, OnFull};
use crate::counters::{Counter, Counts};
use crate::ledger::error::LedgerError;
use crate::ledger::sessions::bucket::{Entry, Evicted, Reservation, SessionBucket};
use crate::ledger::store::SharedStore;
use crate::ledger::table::{Change, Fresh, Table};
use crate::ledger::view::{Ending, Namespace, SessionView};
use crate::money::NanoUsd;
use crate::request::session_id::SessionId;

/// The table of sessions in one store.
pub type SessionTable<'a, S> = Table<'a, S, SessionBucket>;

/// A session as it was read, before anything is held.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Its bucket, without its entry.
    bucket: Fresh<SessionBucket>,
    entry: Entry,
    /// The session as a decision sees it.
    pub view: SessionView,
}

impl OpenSession {
    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.entry.id
    }
}

impl<'a, S: SharedStore> Table<'a, S, SessionBucket> {
    /// The table that `config` describes.
    #[must_use]
    pub fn new(store: &'a S, config: &LedgerConfig, namespace: Namespace) -> Self {
        Table::by_rules(store, *config, namespace)
    }

    /// Reads a session; one that is not in the table is created with `budget_if_new`.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails or the bucket is full.
    pub fn open(
        &self,
        id: SessionId,
        budget_if_new: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<OpenSession, LedgerError> {
        let mut bucket = self.read(id, now_ms)?;
        match self.remove_entry(&mut bucket, id, budget_if_new, now_ms) {
            Ok(entry) => {
                let view = entry.view(now_ms);
                Ok(OpenSession { bucket, entry, view })
            }
            Err(error) => self.write_expired(bucket, counts).and(Err(error)),
        }
    }

    /// Reserves `amount` and returns the reservation's number. `None`: another VM has changed the bucket in between.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing was reserved.
    pub fn hold(
        &self,
        open: OpenSession,
        amount: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Option<u64>, LedgerError> {
        let OpenSession { mut bucket, mut entry, view } = open;
        if let Err(error) = self.check_room(&bucket.value, &view, amount) {
            return self.write_expired(bucket, counts).and(Err(error));
        }
        let number = bucket.value.next_reservation;
        bucket.value.next_reservation = number.wrapping_add(1);
        let lease_end_ms = now_ms.saturating_add(self.rules.lease_ms);
        entry.reservations.push(Reservation { id: number, amount, lease_end_ms });
        entry.last_seen_ms = now_ms;
        bucket.value.entries.push(entry);
        bucket.counts.add(Counter::GrantedNanoUsd, amount.0);
        Ok(self.write(&bucket, counts)?.then_some(number))
    }

    /// Leaves a session as it was, but for leases that have expired.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn leave(&self, open: OpenSession, counts: &mut Counts) -> Result<(), LedgerError> {
        self.write_expired(open.bucket, counts)
    }

    /// Whether the session and its bucket can take one more reservation.
    fn check_room(
        &self,
        bucket: &SessionBucket,
        view: &SessionView,
        amount: NanoUsd,
    ) -> Result<(), LedgerError> {
        if amount > view.available() {
            return Err(LedgerError::Overdrawn { asked: amount, free: view.available() });
        }
        if view.in_flight >= self.rules.max_in_flight {
            return Err(LedgerError::TooManyInFlight);
        }
        let held = bucket.entries.iter().map(|entry| entry.reservations.len() as u64);
        let held = held.fold(view.in_flight.into(), u64::saturating_add);
        if held >= u64::from(self.rules.reservations_per_bucket) { Err(LedgerError::Full) } else { Ok(()) }
    }

    /// Ends a reservation. A second ending, or one after the lease expired, moves no reserved money; a late
    /// settlement still charges its cost, because the provider bills the answer.
    ///
    /// # Errors
    /// [`LedgerError`]; then the reservation ends by its lease.
    pub fn end(
        &self,
        id: SessionId,
        reservation: u64,
        ending: Ending,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<(), LedgerError> {
        let mut unknown = false;
        self.change(id, None, now_ms, counts, |bucket, counts| {
            let Some(entry) = bucket.entries.iter_mut().find(|entry| entry.id == id) else {
                let evicted = bucket.evicted.iter_mut().find(|evicted| evicted.id == id);
                let (Ending::Settle(turn), Some(evicted)) = (ending, evicted) else {
                    unknown = true;
                    return Ok(Change::Keep(()));
                };
                evicted.spent = evicted.spent.saturating_add(turn.cost);
                count_late(counts, turn.cost);
                return Ok(Change::Write(()));
            };
            match (ending, entry.release(reservation)) {
                (Ending::Settle(turn), Some(held)) => {
                    entry.session.settle(&turn);
                    entry.last_settled_ms = now_ms;
                    count_settlement(counts, held, turn.cost);
                }
                (Ending::Settle(turn), None) => {
                    entry.session.settle(&turn);
                    entry.last_settled_ms = now_ms;
                    count_late(counts, turn.cost);
                }
                (Ending::Refund, Some(held)) => counts.add(Counter::RefundedNanoUsd, held.0),
                (Ending::Refund, None) => return Ok(Change::Keep(())),
            }
            entry.last_seen_ms = now_ms;
            Ok(Change::Write(()))
        })?;
        if let (true, Ending::Settle(turn)) = (unknown, ending) {
            // The session was forgotten: the cost cannot be charged to it, but it is counted.
            count_late(counts, turn.cost);
        }
        Ok(())
    }

    /// The session at this time, leases expired; `None` when the table does not know it. Writes nothing.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn view(&self, id: SessionId, now_ms: u64) -> Result<Option<SessionView>, LedgerError> {
        let bucket = self.read(id, now_ms)?.value;
        let entry = bucket.entries.iter().find(|entry| entry.id == id);
        Ok(entry.map(|entry| entry.view(now_ms)))
    }

    /// Removes the session's entry from its bucket: the one that is there, the evicted one, or a new one.
    fn remove_entry(
        &self,
        bucket: &mut Fresh<SessionBucket>,
        id: SessionId,
        budget_if_new: NanoUsd,
        now_ms: u64,
    ) -> Result<Entry, LedgerError> {
        let Fresh { value: bucket, counts, .. } = bucket;
        let ttl_ms = self.rules.session_ttl_ms;
        let sessions = bucket.entries.len();
        bucket.entries.retain(|entry| !entry.is_dead(now_ms, ttl_ms));
        let dead = sessions.saturating_sub(bucket.entries.len());
        counts.add(Counter::SessionsExpired, dead as u64);
        if let Some(position) = bucket.entries.iter().position(|entry| entry.id == id) {
            return Ok(bucket.entries.swap_remove(position));
        }
        bucket.evicted.retain(|evicted| now_ms.saturating_sub(evicted.last_seen_ms) < ttl_ms);
        let evicted = bucket.evicted.iter().position(|evicted| evicted.id == id);
        let evicted = evicted.map(|position| bucket.evicted.swap_remove(position));
        self.make_room(bucket, counts)?;
        match evicted {
            Some(evicted) => {
                counts.add(Counter::SessionsRestored, 1);
                Ok(evicted.restore())
            }
            None => {
                counts.add(Counter::SessionsCreated, 1);
                Ok(Entry::new(id, budget_if_new, now_ms))
            }
        }
    }

    /// Makes sure that one more session fits (see the module's docs for which session makes room).
    fn make_room(&self, bucket: &mut SessionBucket, counts: &mut Counts) -> Result<(), LedgerError> {
        if (bucket.entries.len() as u64) < u64::from(self.rules.sessions_per_bucket) {
            return Ok(());
        }
        let idle = bucket.entries.iter().enumerate().filter(|(_, entry)| entry.reservations.is_empty());
        let (unspent, spent) = (NanoUsd::ZERO, self.rules.on_full == OnFull::EvictIdle);
        let movable = idle.filter(|(_, entry)| spent || entry.session.spent == unspent);
        let order = |entry: &Entry| (entry.session.spent > unspent, entry.last_seen_ms);
        let Some(position) = movable.min_by_key(|(_, entry)| order(entry)).map(|(position, _)| position)
        else {
            return Err(LedgerError::Full);
        };
        let entry = bucket.entries.swap_remove(position);
        counts.add(Counter::SessionsEvicted, 1);
        if entry.session.spent > unspent {
            self.remember(bucket, Evicted::of(&entry), counts);
        }
        Ok(())
    }

    /// Adds to the evicted sessions; the one unseen for longest is forgotten where they are too many.
    fn remember(&self, bucket: &mut SessionBucket, evicted: Evicted, counts: &mut Counts) {
        bucket.evicted.push(evicted);
        while bucket.evicted.len() as u64 > u64::from(self.rules.evicted_per_bucket) {
            let oldest = bucket.evicted.iter().enumerate().min_by_key(|(_, evicted)| evicted.last_seen_ms);
            let Some((position, _)) = oldest else { return };
            bucket.evicted.swap_remove(position);
            counts.add(Counter::SessionsForgotten, 1);
        }
    }
}

fn count_settlement(counts: &mut Counts, held: NanoUsd, cost: NanoUsd) {
    let overrun = cost.saturating_sub(held);
    counts.add(Counter::SettledNanoUsd, cost.0.min(held.0));
    counts.add(Counter::RefundedNanoUsd, held.saturating_sub(cost).0);
    counts.add(Counter::OverrunNanoUsd, overrun.0);
    counts.add(Counter::Overruns, u64::from(overrun > NanoUsd::ZERO));
}

fn count_late(counts: &mut Counts, cost: NanoUsd) {
    counts.add(Counter::LateSettlements, 1);
    counts.add(Counter::LateNanoUsd, cost.0);
}

#[cfg(test)]
mod tests;
