//! Who makes room for whom in a full bucket, and what one party may take of it.
//!
//! A bucket holds a fixed number of sessions. What makes room for a new one, in this order:
//!
//! 1. a session past its TTL, which is short for sessions of at most one settled turn;
//! 2. an idle session that has spent nothing, since only its full budget is lost;
//! 3. with `on_full: evict_idle`: among the idle sessions of the owner that holds most places in the bucket, the one that
//!    has spent least, of several the one unseen for longest. It moves to the bucket's short list of evicted sessions
//!    and comes back from there with what it had spent. Only where that list overflows is a live session forgotten, and
//!    counted as such.
//!
//! With `on_full: reject` no session that has spent is ever moved. A session with money outstanding never is. So that
//! nobody shuts others out by turns in flight either, one owner may have half of a bucket's reservations, and turns in
//! flight in half of its places.
//!
//! The owner is a tenant with a purse of its own, or a client's address ([`crate::request::caller`]).

use std::cmp::Reverse;

use crate::config::{LedgerConfig, OnFull};
use crate::counters::{Counter, Counts};
use crate::ledger::error::LedgerError;
use crate::ledger::sessions::bucket::{Entry, Evicted, Owner, SessionBucket};
use crate::ledger::sessions::conversations::per_bucket;
use crate::money::NanoUsd;
use crate::request::session_id::SessionId;

impl SessionBucket {
    /// Removes the sessions that are over.
    pub(super) fn remove_dead(&mut self, rules: &LedgerConfig, now_ms: u64, counts: &mut Counts) {
        let sessions = self.entries.len();
        self.entries.retain(|entry| !entry.is_dead(now_ms, rules));
        let dead = sessions.saturating_sub(self.entries.len());
        counts.add(Counter::SessionsExpired, dead as u64);
    }

    /// The entry of a session that has none, not yet in the bucket, and whether it is new: otherwise it was evicted.
    pub(super) fn begin(
        &mut self,
        rules: &LedgerConfig,
        id: SessionId,
        budget_if_new: NanoUsd,
        owner: Owner,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<(Entry, bool), LedgerError> {
        self.evicted.retain(|evicted| !evicted.is_dead(now_ms, rules));
        let evicted = self.evicted.iter().position(|evicted| evicted.id == id);
        let evicted = evicted.map(|position| self.evicted.swap_remove(position));
        self.make_room(rules, counts)?;
        if let Some(evicted) = evicted {
            counts.add(Counter::SessionsRestored, 1);
            return Ok((evicted.restore(owner), false));
        }
        counts.add(Counter::SessionsCreated, 1);
        Ok((Entry::new(id, owner, budget_if_new, now_ms), true))
    }

    /// Whether a session, which is not in the bucket, may have one more turn in flight.
    pub(super) fn check_room(&self, rules: &LedgerConfig, entry: &Entry) -> Result<(), LedgerError> {
        let in_flight = entry.reservations.len() as u64;
        if in_flight >= u64::from(rules.max_in_flight) {
            return Err(LedgerError::TooManyInFlight);
        }
        let held = |entries: &mut dyn Iterator<Item = &Entry>| {
            entries.fold(in_flight, |sum, entry| sum.saturating_add(entry.reservations.len() as u64))
        };
        if held(&mut self.entries.iter()) >= u64::from(rules.reservations_per_bucket) {
            return Err(LedgerError::Full);
        }
        let own = || self.entries.iter().filter(|other| other.owner == entry.owner);
        let busy = own().filter(|other| !other.reservations.is_empty()).count() as u64;
        let too_many = held(&mut own()) >= half(rules.reservations_per_bucket)
            || (in_flight == 0 && busy >= half(rules.sessions_per_bucket));
        if too_many { Err(LedgerError::TooManyInFlight) } else { Ok(()) }
    }

    /// Forgets conversations where its sessions have too many together.
    pub(super) fn limit_conversations(&mut self, rules: &LedgerConfig) {
        let places = |sum: u64, entry: &Entry| sum.saturating_add(entry.conversations.0.len() as u64);
        while self.entries.iter().fold(0, places) > per_bucket(rules) {
            let most = self.entries.iter_mut().max_by_key(|entry| entry.conversations.0.len());
            if most.and_then(|entry| entry.conversations.0.pop()).is_none() {
                return;
            }
        }
    }

    /// Makes sure that one more session fits.
    fn make_room(&mut self, rules: &LedgerConfig, counts: &mut Counts) -> Result<(), LedgerError> {
        if (self.entries.len() as u64) < u64::from(rules.sessions_per_bucket) {
            return Ok(());
        }
        let position = self.unspent().or(self.least_spent().filter(|_| rules.on_full == OnFull::EvictIdle));
        let entry = self.entries.swap_remove(position.ok_or(LedgerError::Full)?);
        counts.add(Counter::SessionsEvicted, 1);
        if entry.session.spent > NanoUsd::ZERO {
            self.remember(Evicted::of(&entry), rules, counts);
        }
        Ok(())
    }

    /// The idle session that has spent nothing and is unseen for longest.
    fn unspent(&self) -> Option<usize> {
        let unspent = self.idle().filter(|(_, entry)| entry.session.spent == NanoUsd::ZERO);
        unspent.min_by_key(|(_, entry)| entry.last_seen_ms).map(|(position, _)| position)
    }

    /// The idle session that has spent least, of the owner that holds most places.
    fn least_spent(&self) -> Option<usize> {
        let places = |owner| self.entries.iter().filter(|entry| entry.owner == owner).count();
        let order = |entry: &Entry| (Reverse(places(entry.owner)), entry.session.spent, entry.last_seen_ms);
        self.idle().min_by_key(|(_, entry)| order(entry)).map(|(position, _)| position)
    }

    fn idle(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.reservations.is_empty())
    }

    /// Adds to the evicted sessions; the one unseen for longest is forgotten where they are too many.
    fn remember(&mut self, evicted: Evicted, rules: &LedgerConfig, counts: &mut Counts) {
        self.evicted.push(evicted);
        while self.evicted.len() as u64 > u64::from(rules.evicted_per_bucket) {
            let oldest = self.evicted.iter().enumerate().min_by_key(|(_, evicted)| evicted.last_seen_ms);
            let Some((position, _)) = oldest else { return };
            self.evicted.swap_remove(position);
            counts.add(Counter::SessionsForgotten, 1);
        }
    }
}

/// What one owner may have of a bucket's places.
fn half(places: u32) -> u64 {
    u64::from(places / 2).max(1)
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
