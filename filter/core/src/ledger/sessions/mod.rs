//! The session table: reserve, settle, refund and expire under compare-and-swap.
//!
//! Each operation reads one bucket, expires leases in it, changes one session and writes the bucket back (see
//! [`crate::ledger::table`]).
//!
//! **Room.** A bucket holds a fixed number of sessions. What makes room for a new one, in this order: a session past
//! its TTL; an idle session that has spent nothing, for a fresh budget is all it had; with `on_full: evict_idle` the
//! idle session unseen for longest, which moves to the bucket's short list of evicted sessions and comes back from
//! there with what it had spent. Only where that list overflows is a live session forgotten, and counted as such.
//! With `on_full: reject` no session that has spent is ever moved. A session with money outstanding never is.

pub mod bucket;

use crate::config::{LedgerConfig, OnFull};
use crate::counters::{Counter, Counts};
use crate::ledger::sessions::bucket::{Bucket, Entry, Evicted, Reservation};
use crate::ledger::store::SharedStore;
use crate::ledger::table::{self as swap, Change};
use crate::ledger::{Books, Ending, LedgerError, SessionView};
use crate::money::NanoUsd;
use crate::request::session_id::SessionId;

/// What a decision wants from the session it saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice<T> {
    /// Hold this much money.
    Reserve(NanoUsd, T),
    /// Hold nothing: no model is affordable.
    Refuse(T),
}

/// A decision and the reservation that covers it (`None` when it was refused).
#[derive(Clone, Debug, PartialEq)]
pub struct Reserved<T> {
    /// What the decision returned.
    pub value: T,
    /// The session as the decision saw it.
    pub seen: SessionView,
    /// The reservation's id and what it holds.
    pub reservation: Option<(u64, NanoUsd)>,
}

/// The table in one store.
#[derive(Clone, Copy, Debug)]
pub struct SessionTable<'a, S> {
    store: &'a S,
    config: &'a LedgerConfig,
    books: Books,
}

impl<'a, S: SharedStore> SessionTable<'a, S> {
    /// The table that `config` describes.
    #[must_use]
    pub fn new(store: &'a S, config: &'a LedgerConfig, books: Books) -> Self {
        SessionTable { store, config, books }
    }

    /// Lets `decide` look at the session and reserves what it asks for, all on one balance.
    ///
    /// `decide` may be called several times; only its last answer counts. A session that is not in the table is
    /// created with `budget_if_new`.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing was reserved.
    pub fn reserve<T>(
        &self,
        id: SessionId,
        budget_if_new: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
        mut decide: impl FnMut(&SessionView) -> Choice<T>,
    ) -> Result<Reserved<T>, LedgerError> {
        self.change(id, now_ms, counts, |bucket, counts| {
            let mut entry = self.take(bucket, id, budget_if_new, now_ms, counts)?;
            let seen = entry.view(now_ms);
            let (amount, value) = match decide(&seen) {
                Choice::Refuse(value) => {
                    return Ok(Change::Keep(Reserved { value, seen, reservation: None }));
                }
                Choice::Reserve(amount, value) => (amount, value),
            };
            if amount > seen.available() {
                return Err(LedgerError::Overdrawn { asked: amount, free: seen.available() });
            }
            if seen.in_flight >= self.config.max_in_flight {
                return Err(LedgerError::TooManyInFlight);
            }
            let held = bucket.entries.iter().map(|entry| entry.reservations.len() as u64);
            let held = held.fold(seen.in_flight.into(), u64::saturating_add);
            if held >= u64::from(self.config.reservations_per_bucket) {
                return Err(LedgerError::Full);
            }
            let reservation = bucket.next_reservation;
            bucket.next_reservation = reservation.wrapping_add(1);
            let lease_end_ms = now_ms.saturating_add(self.config.lease_ms);
            entry.reservations.push(Reservation { id: reservation, amount, lease_end_ms });
            entry.last_seen_ms = now_ms;
            bucket.entries.push(entry);
            counts.add(Counter::GrantedNanoUsd, amount.0);
            Ok(Change::Write(Reserved { value, seen, reservation: Some((reservation, amount)) }))
        })
    }

    /// Ends a reservation. A second ending, or one after the lease expired, moves no reserved money; a late
    /// settlement still books its cost, for the answer was paid.
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
        self.change(id, now_ms, counts, |bucket, counts| {
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
            // Forgotten since: nowhere to book it, but not unnoticed.
            count_late(counts, turn.cost);
        }
        Ok(())
    }

    /// The session as it stands, leases expired; `None` when the table does not know it. Writes nothing.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn view(&self, id: SessionId, now_ms: u64) -> Result<Option<SessionView>, LedgerError> {
        let (mut bucket, _) = swap::read::<Bucket>(self.store, &self.key(id))?;
        let entry = bucket.entries.iter_mut().find(|entry| entry.id == id);
        Ok(entry.map(|entry| {
            entry.expire(now_ms, self.config.lease_ms);
            entry.view(now_ms)
        }))
    }

    /// The key of a session's bucket in shared data.
    #[must_use]
    pub fn key(&self, id: SessionId) -> String {
        let buckets = self.config.buckets;
        format!("{}/sessions/{buckets}/{}", self.books.prefix(), id.bucket(buckets))
    }

    /// Changes one bucket, after the leases in it that have ended were expired.
    fn change<R>(
        &self,
        id: SessionId,
        now_ms: u64,
        counts: &mut Counts,
        change: impl FnMut(&mut Bucket, &mut Counts) -> Result<Change<R>, LedgerError>,
    ) -> Result<R, LedgerError> {
        let expire = |bucket: &mut Bucket, counts: &mut Counts| {
            let expire = |entry: &mut Entry| entry.expire(now_ms, self.config.lease_ms);
            let mut changed = false;
            for expired in bucket.entries.iter_mut().map(expire) {
                counts.add(Counter::LeasesExpired, expired.leases);
                counts.add(Counter::ExpiredNanoUsd, expired.amount.0);
                changed = changed || expired.changed;
            }
            changed
        };
        swap::update(self.store, &self.key(id), None, counts, expire, change)
    }

    /// Takes the session's entry out of the bucket: the one that is there, the evicted one, or a new one.
    fn take(
        &self,
        bucket: &mut Bucket,
        id: SessionId,
        budget_if_new: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Entry, LedgerError> {
        let ttl_ms = self.config.session_ttl_ms;
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

    /// Makes sure that one more session fits (see the module's head for whom it may cost).
    fn make_room(&self, bucket: &mut Bucket, counts: &mut Counts) -> Result<(), LedgerError> {
        if (bucket.entries.len() as u64) < u64::from(self.config.sessions_per_bucket) {
            return Ok(());
        }
        let idle = bucket.entries.iter().enumerate().filter(|(_, entry)| entry.reservations.is_empty());
        let (unspent, spent) = (NanoUsd::ZERO, self.config.on_full == OnFull::EvictIdle);
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
    fn remember(&self, bucket: &mut Bucket, evicted: Evicted, counts: &mut Counts) {
        bucket.evicted.push(evicted);
        while bucket.evicted.len() as u64 > u64::from(self.config.evicted_per_bucket) {
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
