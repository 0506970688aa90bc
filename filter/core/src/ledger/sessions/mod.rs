//! The session table: reserve, settle, refund, renew and expire under compare-and-swap.
//!
//! Each operation reads one bucket, expires leases in it, changes one session and writes the bucket back (see
//! [`crate::ledger::table`]). Which session makes room for a new one, and what one party may take of a bucket, is in
//! [`room`].

pub mod bucket;
pub mod conversations;
pub mod raise;
pub mod room;

use crate::config::LedgerConfig;
use crate::counters::{Counter, Counts};
use crate::ledger::error::LedgerError;
use crate::ledger::sessions::bucket::{Entry, Evicted, Owner, Reservation, SessionBucket};
use crate::ledger::store::SharedStore;
use crate::ledger::table::{Change, Fresh, Table};
use crate::ledger::view::{Booking, Ended, Namespace, Renewal, SessionView, lease_is_due};
use crate::money::NanoUsd;
use crate::request::conversation::Conversation;
use crate::request::session_id::SessionId;

/// The table of sessions in one store.
pub type SessionTable<'a, S> = Table<'a, S, SessionBucket>;

/// A session as it was read, before anything is held.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Its bucket, without its entry.
    bucket: Fresh<SessionBucket>,
    entry: Entry,
    /// The conversation, by the name under which it is known.
    pub conversation: Conversation,
    /// The session as a decision sees it.
    pub view: SessionView,
    /// It was not in the table, nor remembered as evicted.
    pub is_new: bool,
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

    /// Reads a session; one that is not in the table is created with `budget_if_new`, and `owner` is asked for.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails or the bucket is full.
    pub fn open(
        &self,
        id: SessionId,
        conversation: Conversation,
        budget_if_new: NanoUsd,
        owner: impl FnOnce() -> Owner,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<OpenSession, LedgerError> {
        let mut bucket = self.read(id, now_ms)?;
        let Fresh { value, counts: changes, .. } = &mut bucket;
        value.remove_dead(&self.rules, now_ms, changes);
        let (entry, is_new) = match value.entries.iter().position(|entry| entry.id == id) {
            Some(position) => (value.entries.swap_remove(position), false),
            None => match value.begin(&self.rules, id, budget_if_new, owner(), now_ms, changes) {
                Ok(begun) => begun,
                Err(error) => return self.write_expired(bucket, counts).and(Err(error)),
            },
        };
        let view = entry.view(conversation, now_ms);
        let conversation = entry.conversations.name_of(conversation);
        Ok(OpenSession { bucket, entry, conversation, view, is_new })
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
        let OpenSession { mut bucket, mut entry, view, .. } = open;
        let overdrawn = LedgerError::Overdrawn { asked: amount, free: view.available() };
        let affordable = if amount > view.available() { Err(overdrawn) } else { Ok(()) };
        if let Err(error) = affordable.and(bucket.value.check_room(&self.rules, &entry)) {
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

    /// Ends a reservation of a turn of the session's own conversation ([`Table::end_in`]).
    ///
    /// # Errors
    /// [`LedgerError`]; then the reservation ends by its lease.
    pub fn end(
        &self,
        id: SessionId,
        reservation: u64,
        booking: Booking,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Ended, LedgerError> {
        self.end_in((id, Conversation::default()), reservation, booking, now_ms, counts)
    }

    /// Ends a reservation of a turn of this conversation. A second ending, or one after the lease expired, moves no reserved money; a late
    /// settlement still charges its cost, because the provider bills the answer.
    ///
    /// # Errors
    /// [`LedgerError`]; then the reservation ends by its lease.
    pub fn end_in(
        &self,
        (id, conversation): (SessionId, Conversation),
        reservation: u64,
        booking: Booking,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Ended, LedgerError> {
        let mut unknown = false;
        let ended = self.change(id, None, now_ms, counts, |bucket, counts| {
            if let Some(entry) = bucket.entries.iter_mut().find(|entry| entry.id == id) {
                let ended = end_in(entry, conversation, reservation, booking, now_ms, counts);
                bucket.limit_conversations(&self.rules);
                return Ok(ended);
            }
            if let Some(evicted) = bucket.evicted.iter_mut().find(|evicted| evicted.id == id) {
                return Ok(end_late_in(evicted, booking, counts));
            }
            unknown = true;
            // How often it was left is not known, so a leave is not free.
            Ok(Change::Keep(booking.ended(u32::MAX)))
        })?;
        if unknown && ended == Ended::Charged {
            // The session was forgotten: the cost cannot be charged to it, but it is counted.
            count_late(counts, booking.cost(u32::MAX));
        }
        Ok(ended)
    }

    /// Moves the end of a reservation's lease to one lease from now, unless more than half of it is left.
    ///
    /// # Errors
    /// [`LedgerError`]; then the lease ends as before.
    pub fn renew(
        &self,
        id: SessionId,
        reservation: u64,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Renewal, LedgerError> {
        self.change(id, None, now_ms, counts, |bucket, _| {
            let entry = bucket.entries.iter_mut().find(|entry| entry.id == id);
            let held = entry.and_then(|entry| {
                let held = entry.reservations.iter_mut().find(|held| held.id == reservation)?;
                Some((held, &mut entry.last_seen_ms))
            });
            let Some((held, last_seen_ms)) = held else { return Ok(Change::Keep(Renewal::Gone)) };
            if !lease_is_due(held.lease_end_ms, self.rules.lease_ms, now_ms) {
                return Ok(Change::Keep(Renewal::NotDue));
            }
            held.lease_end_ms = now_ms.saturating_add(self.rules.lease_ms);
            *last_seen_ms = now_ms;
            Ok(Change::Write(Renewal::Done))
        })
    }

    /// The session at this time, as its last conversation sees it, leases expired; `None` when the table does not know it. Writes nothing.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn view(&self, id: SessionId, now_ms: u64) -> Result<Option<SessionView>, LedgerError> {
        let bucket = self.read(id, now_ms)?.value;
        let entry = bucket.entries.iter().find(|entry| entry.id == id);
        Ok(entry.map(|entry| entry.last_view(now_ms)))
    }
}

/// Ends a reservation of a session that is in the table.
fn end_in(
    entry: &mut Entry,
    conversation: Conversation,
    reservation: u64,
    booking: Booking,
    now_ms: u64,
    counts: &mut Counts,
) -> Change<Ended> {
    let leaves = u32::from(entry.session.early_leaves);
    let (cost, ended) = (booking.cost(leaves), booking.ended(leaves));
    let is_free_leave = booking.is_free_leave(leaves);
    match entry.release(reservation) {
        Some(held) => count_settlement(counts, held, cost),
        None if ended == Ended::Charged => count_late(counts, cost),
        None if is_free_leave => {}
        None => return Change::Keep(ended),
    }
    if let Booking::Settle(turn) = booking {
        entry.session.charge(&turn);
        entry.conversations.settle(conversation, &turn, now_ms);
    } else {
        entry.session.spent = entry.session.spent.saturating_add(cost);
    }
    let early_leaves = entry.session.early_leaves;
    entry.session.early_leaves = early_leaves.saturating_add(u16::from(is_free_leave));
    entry.last_seen_ms = now_ms;
    Change::Write(ended)
}

/// Ends a turn of an evicted session: what it had reserved has expired.
fn end_late_in(evicted: &mut Evicted, booking: Booking, counts: &mut Counts) -> Change<Ended> {
    let leaves = u32::from(evicted.early_leaves);
    let ended = booking.ended(leaves);
    if ended == Ended::Charged {
        let cost = booking.cost(leaves);
        evicted.spent = evicted.spent.saturating_add(cost);
        count_late(counts, cost);
    } else if booking.is_free_leave(leaves) {
        evicted.early_leaves = evicted.early_leaves.saturating_add(1);
    } else {
        return Change::Keep(ended);
    }
    Change::Write(ended)
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
