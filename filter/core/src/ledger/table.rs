//! The session table: reserve, settle, refund and expire under compare-and-swap.
//!
//! Each operation reads one bucket, expires leases in it, changes one session and writes the bucket back if nobody
//! else has; on a conflict it starts again from what is there now. A decision made on an old balance is therefore
//! never written. Counts are only reported for what was written.

use crate::config::{LedgerConfig, OnFull};
use crate::counters::{Counter, Counts};
use crate::ledger::bucket::{Bucket, BucketError, Entry};
use crate::ledger::store::{CREATE, SharedStore, StoreError, Swap};
use crate::ledger::{Ending, SessionView};
use crate::money::NanoUsd;
use crate::session_id::SessionId;

/// Attempts before an operation gives up. A conflict means that another VM made progress in the same bucket, so
/// many in a row need as many VMs that all hit it; the bound only keeps a broken host from holding a worker.
const MAX_ATTEMPTS: u32 = 1000;

/// Why an operation did not happen. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The host failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored bytes are no bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Other VMs won every attempt.
    #[error("session table: gave up after {MAX_ATTEMPTS} conflicts")]
    Conflicts,
    /// The bucket is full of sessions that may not be forgotten.
    #[error("session table: no room for a new session")]
    Full,
    /// The session has too many turns in flight.
    #[error("session table: too many turns of one session in flight")]
    TooManyInFlight,
}

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
    /// The reservation's id.
    pub reservation: Option<u64>,
}

/// The table in one store.
#[derive(Clone, Copy, Debug)]
pub struct SessionTable<'a, S> {
    store: &'a S,
    config: &'a LedgerConfig,
}

enum Change<R> {
    Write(R),
    Keep(R),
}

impl<'a, S: SharedStore> SessionTable<'a, S> {
    /// The table that `config` describes.
    #[must_use]
    pub fn new(store: &'a S, config: &'a LedgerConfig) -> Self {
        SessionTable { store, config }
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
            let known = bucket.entries.iter().position(|entry| entry.id == id);
            if known.is_none() {
                self.make_room(bucket, now_ms, counts)?;
                bucket.entries.push(Entry::new(id, budget_if_new, now_ms));
                counts.add(Counter::SessionsCreated, 1);
            }
            let position = known.unwrap_or(bucket.entries.len().saturating_sub(1));
            let entry = bucket.entries.get_mut(position).ok_or(LedgerError::Full)?;
            let seen = entry.view();
            let (amount, value) = match decide(&seen) {
                Choice::Refuse(value) => {
                    return Ok(Change::Keep(Reserved { value, seen, reservation: None }));
                }
                Choice::Reserve(amount, value) => (amount, value),
            };
            if seen.in_flight >= self.config.max_in_flight {
                return Err(LedgerError::TooManyInFlight);
            }
            let reservation = entry.reserve(amount, now_ms.saturating_add(self.config.lease_ms));
            entry.last_seen_ms = now_ms;
            counts.add(Counter::GrantedNanoUsd, amount.0);
            Ok(Change::Write(Reserved { value, seen, reservation: Some(reservation) }))
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
        self.change(id, now_ms, counts, |bucket, counts| {
            let Some(entry) = bucket.entries.iter_mut().find(|entry| entry.id == id) else {
                if let Ending::Settle(turn) = ending {
                    count_late(counts, turn.cost);
                }
                return Ok(Change::Keep(()));
            };
            match (ending, entry.release(reservation)) {
                (Ending::Settle(turn), Some(held)) => {
                    entry.session.settle(&turn);
                    count_settlement(counts, held, turn.cost);
                }
                (Ending::Settle(turn), None) => {
                    entry.session.settle(&turn);
                    count_late(counts, turn.cost);
                }
                (Ending::Refund, Some(held)) => counts.add(Counter::RefundedNanoUsd, held.0),
                (Ending::Refund, None) => return Ok(Change::Keep(())),
            }
            entry.last_seen_ms = now_ms;
            Ok(Change::Write(()))
        })
    }

    /// The session as it stands, leases expired; `None` when the table does not know it. Writes nothing.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn view(&self, id: SessionId, now_ms: u64) -> Result<Option<SessionView>, LedgerError> {
        let (mut bucket, _) = self.read(&self.key(id))?;
        let entry = bucket.entries.iter_mut().find(|entry| entry.id == id);
        Ok(entry.map(|entry| {
            entry.expire(now_ms);
            entry.view()
        }))
    }

    fn key(&self, id: SessionId) -> String {
        format!("seqroute/sessions/{}/{}", self.config.buckets, id.bucket(self.config.buckets))
    }

    fn read(&self, key: &str) -> Result<(Bucket, u32), LedgerError> {
        match self.store.get(key)? {
            Some((bytes, number)) => Ok((Bucket::from_bytes(&bytes)?, number)),
            None => Ok((Bucket::default(), CREATE)),
        }
    }

    fn change<R>(
        &self,
        id: SessionId,
        now_ms: u64,
        counts: &mut Counts,
        mut change: impl FnMut(&mut Bucket, &mut Counts) -> Result<Change<R>, LedgerError>,
    ) -> Result<R, LedgerError> {
        let key = self.key(id);
        for _ in 0..MAX_ATTEMPTS {
            let (mut bucket, number) = self.read(&key)?;
            let mut written = Counts::default();
            let expired = bucket.entries.iter_mut().map(|entry| entry.expire(now_ms));
            written.add(Counter::ExpiredNanoUsd, expired.fold(NanoUsd::ZERO, NanoUsd::saturating_add).0);
            let result = match change(&mut bucket, &mut written)? {
                Change::Keep(result) => {
                    counts.add(Counter::LateSettlements, written.get(Counter::LateSettlements));
                    counts.add(Counter::LateNanoUsd, written.get(Counter::LateNanoUsd));
                    return Ok(result);
                }
                Change::Write(result) => result,
            };
            if self.store.compare_and_swap(&key, &bucket.to_bytes(), number)? == Swap::Done {
                counts.merge(&written);
                return Ok(result);
            }
            counts.add(Counter::CasConflicts, 1);
        }
        Err(LedgerError::Conflicts)
    }

    /// Makes sure that one more session fits. A session with money outstanding is never forgotten.
    fn make_room(&self, bucket: &mut Bucket, now_ms: u64, counts: &mut Counts) -> Result<(), LedgerError> {
        if (bucket.entries.len() as u64) < u64::from(self.config.sessions_per_bucket) {
            return Ok(());
        }
        let idle = bucket.entries.iter().enumerate().filter(|(_, entry)| entry.reservations.is_empty());
        let oldest = idle.min_by_key(|(_, entry)| entry.last_seen_ms);
        let Some((position, entry)) = oldest else {
            return Err(LedgerError::Full);
        };
        let dead = now_ms.saturating_sub(entry.last_seen_ms) >= self.config.session_ttl_ms;
        if !dead && self.config.on_full == OnFull::Reject {
            return Err(LedgerError::Full);
        }
        bucket.entries.swap_remove(position);
        counts.add(Counter::SessionsEvicted, 1);
        Ok(())
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
#[path = "table_tests.rs"]
mod tests;
