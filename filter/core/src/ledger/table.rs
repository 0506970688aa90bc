//! One value in shared data, changed under compare-and-swap.
//!
//! Read, change, write if nobody else has; on a conflict start again from what is there now. A change that was
//! computed from an old value is therefore never written, and counts are only reported for what was.

use crate::counters::{Counter, Counts};
use crate::ledger::LedgerError;
use crate::ledger::sessions::bucket::BucketError;
use crate::ledger::store::{CREATE, SharedStore, Swap, Versioned};

/// Attempts before a change gives up. A conflict means that another VM made progress on the same value, so many in a
/// row need as many VMs that all hit it; the bound only keeps a broken host from holding a worker.
pub const MAX_ATTEMPTS: u32 = 1000;

/// A value with bytes of its own. No bytes at all are the default value.
pub trait Stored: Default + Clone {
    /// Reads it.
    ///
    /// # Errors
    /// [`BucketError`] for anything that [`Self::to_bytes`] does not write.
    fn from_bytes(bytes: &[u8]) -> Result<Self, BucketError>;

    /// Its bytes.
    fn to_bytes(&self) -> Vec<u8>;
}

/// What a change wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<R> {
    /// Write the changed value, then return this.
    Write(R),
    /// Leave the stored value as it is.
    Keep(R),
}

/// Reads a value and the number to swap it with.
///
/// # Errors
/// [`LedgerError`] when the host fails or the bytes are no such value.
pub fn read<V: Stored>(store: &impl SharedStore, key: &str) -> Result<(V, u32), LedgerError> {
    decode(store.get(key)?)
}

fn decode<V: Stored>(stored: Option<Versioned>) -> Result<(V, u32), LedgerError> {
    match stored {
        Some((bytes, number)) => Ok((V::from_bytes(&bytes)?, number)),
        None => Ok((V::default(), CREATE)),
    }
}

/// Changes the value under `key`. `known` is what was read there before, if it was; it saves the first reading.
///
/// `refresh` brings a value to the present (leases that have ended) and says whether that changed anything; then it is
/// written even if `change` keeps the rest as it is, or fails. Both may be called several times, each time on what is
/// stored then.
///
/// # Errors
/// What `change` returns, and [`LedgerError`] of the host; then nothing but the refreshed value was written.
pub fn update<V: Stored, R>(
    store: &impl SharedStore,
    key: &str,
    known: Option<(V, u32)>,
    counts: &mut Counts,
    refresh: impl Fn(&mut V, &mut Counts) -> bool,
    mut change: impl FnMut(&mut V, &mut Counts) -> Result<Change<R>, LedgerError>,
) -> Result<R, LedgerError> {
    let mut known = known;
    for _ in 0..MAX_ATTEMPTS {
        let (mut value, number) = match known.take() {
            Some(known) => known,
            None => read(store, key)?,
        };
        let mut written = Counts::default();
        let refreshed = refresh(&mut value, &mut written).then(|| (value.clone(), written.clone()));
        let result = match change(&mut value, &mut written) {
            Ok(Change::Write(result)) => result,
            kept => {
                if let Some((value, written)) = refreshed
                    && store.compare_and_swap(key, &value.to_bytes(), number)? == Swap::Done
                {
                    // On a conflict the other VM's write has refreshed the value as well.
                    counts.merge(&written);
                }
                return kept.map(|(Change::Write(result) | Change::Keep(result))| result);
            }
        };
        if store.compare_and_swap(key, &value.to_bytes(), number)? == Swap::Done {
            counts.merge(&written);
            return Ok(result);
        }
        counts.add(Counter::CasConflicts, 1);
    }
    Err(LedgerError::Conflicts)
}
