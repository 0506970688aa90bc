//! How many sessions each caller has begun in the present window: the cap above session budgets.
//!
//! A session that is not in the table, and a turn without a session, claims one of its caller's `new_sessions`; beyond
//! them it is refused until the window ends. A session that is in the table touches nothing here. So over n windows one
//! caller costs at most
//!
//! ```text
//! n · new_sessions · (largest session budget + what early leaves and turns in flight may cost beyond it)
//! ```
//!
//! A claim is written before the session is, so no session exists without one; a VM that dies in between has claimed for
//! nothing. Callers are tenants with a purse of their own, which bounds them already and is not counted here, or client
//! addresses ([`crate::request::caller`]): who has many addresses has many caps.
//!
//! **Room.** In a full bucket the caller with the fewest claims makes room, and begins anew if it comes back. Nobody is
//! refused for lack of room, and a caller at its cap is forgotten only when as many others as a bucket holds have
//! reached it too.
//!
//! Layout (little endian): format `u8`, then per caller id `[u8; 16]`, window `u64`, claims `u32`.

use crate::config::CallerConfig;
use crate::counters::{Counter, Counts};
use crate::ledger::error::LedgerError;
use crate::ledger::store::SharedStore;
use crate::ledger::table::{Change, Fresh, Stored, Table, put_u64, take, take_u64};
use crate::ledger::view::Namespace;
use crate::ledger::window;
use crate::request::session_id::SessionId;

const FORMAT: u8 = 1;
/// Bytes of a bucket without callers.
pub const HEADER_BYTES: u64 = 1;
/// Bytes of a caller.
pub const CALLER_BYTES: u64 = 28;

/// The table of callers in one store.
pub type CallerTable<'a, S> = Table<'a, S, CallerBucket>;

/// What a caller has begun in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claims {
    id: SessionId,
    window: u64,
    count: u32,
}

/// The callers of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerBucket {
    callers: Vec<Claims>,
}

/// A new session that was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    caller: SessionId,
    window: u64,
}

/// A caller's count as it was read, before anything is claimed.
#[derive(Clone, Debug)]
pub struct OpenCaller {
    id: SessionId,
    bucket: Fresh<CallerBucket>,
}

impl<'a, S: SharedStore> Table<'a, S, CallerBucket> {
    /// The table that `config` describes.
    #[must_use]
    pub fn new(store: &'a S, config: &CallerConfig, namespace: Namespace) -> Self {
        Table::by_rules(store, *config, namespace)
    }

    /// Reads whether a caller may begin one more session. Writes nothing.
    ///
    /// # Errors
    /// [`LedgerError::TooManyNewSessions`] where it may not, or what the host fails with.
    pub fn open(&self, id: SessionId, now_ms: u64) -> Result<OpenCaller, LedgerError> {
        let bucket = self.read(id, now_ms)?;
        self.check_cap(bucket.value.count(id))?;
        Ok(OpenCaller { id, bucket })
    }

    /// Claims one new session.
    ///
    /// # Errors
    /// As [`Self::open`]; then nothing was claimed.
    pub fn claim(&self, open: OpenCaller, now_ms: u64, counts: &mut Counts) -> Result<Claim, LedgerError> {
        let OpenCaller { id, bucket } = open;
        self.change(id, Some(bucket), now_ms, counts, |bucket, counts| {
            let mut claims = self.remove(bucket, id, now_ms, counts);
            self.check_cap(claims.count)?;
            claims.count = claims.count.saturating_add(1);
            bucket.callers.push(claims);
            Ok(Change::Write(Claim { caller: id, window: claims.window }))
        })
    }

    /// Takes a claim back: no session was begun.
    ///
    /// # Errors
    /// [`LedgerError`] of the host; then the claim stays.
    pub fn give_back(&self, claim: Claim, now_ms: u64, counts: &mut Counts) -> Result<(), LedgerError> {
        let Claim { caller, window } = claim;
        self.change(caller, None, now_ms, counts, |bucket, _| {
            let mut callers = bucket.callers.iter_mut();
            let Some(claims) = callers.find(|claims| (claims.id, claims.window) == (caller, window)) else {
                return Ok(Change::Keep(()));
            };
            claims.count = claims.count.saturating_sub(1);
            Ok(Change::Write(()))
        })
    }

    fn check_cap(&self, count: u32) -> Result<(), LedgerError> {
        let window_ms = self.rules.window_ms;
        if count < self.rules.new_sessions {
            Ok(())
        } else {
            Err(LedgerError::TooManyNewSessions { window_ms })
        }
    }

    /// Removes a caller's count from the bucket, or makes one.
    fn remove(&self, bucket: &mut CallerBucket, id: SessionId, now_ms: u64, counts: &mut Counts) -> Claims {
        let callers = &mut bucket.callers;
        if let Some(position) = callers.iter().position(|claims| claims.id == id) {
            return callers.swap_remove(position);
        }
        while callers.len() as u64 >= u64::from(self.rules.callers_per_bucket) {
            let fewest = callers.iter().enumerate().min_by_key(|(_, claims)| claims.count);
            let Some((position, _)) = fewest else { break };
            callers.swap_remove(position);
            counts.add(Counter::CallersForgotten, 1);
        }
        Claims { id, window: window::number(self.rules.window_ms, now_ms), count: 0 }
    }
}

impl CallerBucket {
    /// What a caller has claimed in the present window.
    #[must_use]
    pub fn count(&self, id: SessionId) -> u32 {
        self.callers.iter().find(|claims| claims.id == id).map_or(0, |claims| claims.count)
    }
}

impl Stored for CallerBucket {
    type Rules = CallerConfig;

    const NAME: &'static str = "callers";

    fn buckets(rules: &CallerConfig) -> u32 {
        rules.buckets
    }

    fn decode(rest: &mut &[u8]) -> Option<CallerBucket> {
        if take::<1>(rest)? != [FORMAT] {
            return None;
        }
        let mut bucket = CallerBucket::default();
        while !rest.is_empty() {
            let (id, window) = (SessionId(take::<16>(rest)?), take_u64(rest)?);
            let count = take::<4>(rest).map(u32::from_le_bytes)?;
            bucket.callers.push(Claims { id, window, count });
        }
        Some(bucket)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for Claims { id, window, count } in &self.callers {
            bytes.extend_from_slice(&id.0);
            put_u64(&mut bytes, [*window]);
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes
    }

    /// Forgets callers whose window is over. They hold no lease, so nothing needs to be written for it.
    fn refresh(&mut self, rules: &CallerConfig, now_ms: u64, _: &mut Counts) -> bool {
        let present = window::number(rules.window_ms, now_ms);
        self.callers.retain(|claims| !window::is_over(claims.window, present));
        false
    }
}

#[cfg(test)]
#[path = "callers_tests.rs"]
mod tests;
