//! A table in shared data: buckets of entries, each bucket one value, changed by compare-and-swap.
//!
//! Read, change, and write unless another VM has written; on a conflict start again from the value that is there now. A
//! change that was computed from an old value is therefore never written, and counts are only reported for what was.

use crate::counters::{Counter, Counts};
use crate::ledger::error::{DecodeError, LedgerError, MAX_ATTEMPTS};
use crate::ledger::store::{CREATE, SharedStore, Swap};
use crate::ledger::view::Namespace;
use crate::request::session_id::SessionId;

/// The value of a bucket: how it is stored, and how time changes it.
pub trait Stored: Default + Clone {
    /// The settings of its table.
    type Rules: Copy;

    /// The table's name in keys.
    const NAME: &'static str;

    /// Number of buckets.
    fn buckets(rules: &Self::Rules) -> u32;

    /// Decodes a value and takes its bytes off `rest`; `None` for bytes that [`Self::to_bytes`] does not write, and
    /// then `rest` begins near the fault.
    fn decode(rest: &mut &[u8]) -> Option<Self>;

    /// The encoded value.
    fn to_bytes(&self) -> Vec<u8>;

    /// Brings the value to the present: expires leases. Returns whether any lease was removed or cut.
    fn refresh(&mut self, rules: &Self::Rules, now_ms: u64, counts: &mut Counts) -> bool;

    /// Decodes a whole value. No bytes at all are the default value.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Self::to_bytes`] does not write.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut rest = bytes;
        let value = Self::decode(&mut rest);
        value.ok_or(DecodeError { bytes: bytes.len(), at: bytes.len().saturating_sub(rest.len()) })
    }
}

/// A bucket as it was read, brought to the present.
#[derive(Clone, Debug)]
pub struct Fresh<V> {
    /// The bucket; changes to it are stored by [`Table::write`].
    pub value: V,
    /// Counts of what was changed in it; reported once it is written.
    pub counts: Counts,
    /// The bucket with nothing but its expired leases removed, and their counts; `None` where none had expired.
    expired: Option<(V, Counts)>,
    key: String,
    number: u32,
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<R> {
    /// Write the changed value, then return this.
    Write(R),
    /// Leave the stored value as it is.
    Keep(R),
}

/// A table in one store.
#[derive(Debug)]
pub struct Table<'a, S, V: Stored> {
    store: &'a S,
    pub(super) rules: V::Rules,
    namespace: Namespace,
}

impl<'a, S: SharedStore, V: Stored> Table<'a, S, V> {
    pub(super) fn by_rules(store: &'a S, rules: V::Rules, namespace: Namespace) -> Self {
        Table { store, rules, namespace }
    }

    /// The key of an id's bucket in shared data.
    #[must_use]
    pub fn key(&self, id: SessionId) -> String {
        let buckets = V::buckets(&self.rules);
        format!("{}/{}/{buckets}/{}", self.namespace.prefix(), V::NAME, id.bucket(buckets))
    }

    /// Reads the bucket of an id and expires its leases. Writes nothing.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails or the bytes are not such a bucket.
    pub fn read(&self, id: SessionId, now_ms: u64) -> Result<Fresh<V>, LedgerError> {
        let key = self.key(id);
        let (mut value, number) = match self.store.get(&key)? {
            Some((bytes, number)) => (V::from_bytes(&bytes)?, number),
            None => (V::default(), CREATE),
        };
        let mut counts = Counts::default();
        let expired = value.refresh(&self.rules, now_ms, &mut counts);
        let expired = expired.then(|| (value.clone(), counts.clone()));
        Ok(Fresh { value, counts, expired, key, number })
    }

    /// Writes a changed bucket, and reports its counts. `false`: another VM has written it in between.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn write(&self, fresh: &Fresh<V>, counts: &mut Counts) -> Result<bool, LedgerError> {
        let swap = self.store.compare_and_swap(&fresh.key, &fresh.value.to_bytes(), fresh.number)?;
        match swap {
            Swap::Done => counts.merge(&fresh.counts),
            Swap::Conflict => counts.add(Counter::CasConflicts, 1),
        }
        Ok(swap == Swap::Done)
    }

    /// Stores the bucket of an id, unless there is one. `false`: there is.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub(super) fn create(&self, id: SessionId, bucket: &V) -> Result<bool, LedgerError> {
        let key = self.key(id);
        // The bytes are not made for nothing: each VM that is configured comes here.
        if self.store.get(&key)?.is_some() {
            return Ok(false);
        }
        Ok(self.store.compare_and_swap(&key, &bucket.to_bytes(), CREATE)? == Swap::Done)
    }

    /// Leaves a bucket as it was, but for the leases that had expired when it was read.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn write_expired(&self, fresh: Fresh<V>, counts: &mut Counts) -> Result<(), LedgerError> {
        let Some((value, expired)) = fresh.expired else { return Ok(()) };
        // On a conflict the other VM's write has expired them as well.
        if self.store.compare_and_swap(&fresh.key, &value.to_bytes(), fresh.number)? == Swap::Done {
            counts.merge(&expired);
        }
        Ok(())
    }

    /// Changes the bucket of an id. `known` is the bucket if it was read before; it saves the first reading. `change`
    /// may be called several times, each time on what is stored then.
    ///
    /// # Errors
    /// What `change` returns, and [`LedgerError`] of the host; then nothing was written but expired leases.
    pub(super) fn change<R>(
        &self,
        id: SessionId,
        known: Option<Fresh<V>>,
        now_ms: u64,
        counts: &mut Counts,
        mut change: impl FnMut(&mut V, &mut Counts) -> Result<Change<R>, LedgerError>,
    ) -> Result<R, LedgerError> {
        let mut known = known;
        for _ in 0..MAX_ATTEMPTS {
            let mut fresh = match known.take() {
                Some(known) => known,
                None => self.read(id, now_ms)?,
            };
            match change(&mut fresh.value, &mut fresh.counts) {
                Ok(Change::Write(result)) => {
                    if self.write(&fresh, counts)? {
                        return Ok(result);
                    }
                }
                Ok(Change::Keep(result)) => return self.write_expired(fresh, counts).map(|()| result),
                Err(error) => return self.write_expired(fresh, counts).and(Err(error)),
            }
        }
        Err(LedgerError::Conflicts)
    }
}

/// Takes the next `N` bytes.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// Takes the next number.
pub(super) fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take::<8>(rest).map(u64::from_le_bytes)
}

/// Appends numbers.
pub(super) fn put_u64<const N: usize>(bytes: &mut Vec<u8>, numbers: [u64; N]) {
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
}
