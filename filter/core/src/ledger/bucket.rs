//! One bucket of the session table, and its bytes in shared data.
//!
//! Layout (little endian): format version `u8`, then for each session id `[u8; 16]`, last seen `u64` ms, budget and
//! spent `u64` nano-USD, next reservation id `u64`, turns `u32`, last model `u8` (255: none),
//! last prompt tokens `u64`, last body bytes `u64`, output tokens `u64`, number of reservations `u8`, and for each of them id `u64`, amount `u64` nano-USD, lease end `u64` ms. A bucket
//! that does not read back exactly is an error, never an empty bucket: forgetting is not a repair.

use crate::ledger::SessionView;
use crate::money::NanoUsd;
use crate::session_id::SessionId;

const FORMAT: u8 = 2;
const NO_MODEL: u8 = u8::MAX;

/// Money that a turn in flight holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Unique within its session over the session's whole life.
    pub id: u64,
    /// What it holds.
    pub amount: NanoUsd,
    /// When it expires, in ms since the epoch.
    pub lease_end_ms: u64,
}

/// One session's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub id: SessionId,
    /// When it was last written, in ms since the epoch.
    pub last_seen_ms: u64,
    /// Everything but the reservations (`outstanding` and `in_flight` are derived from those).
    pub session: SessionView,
    /// Id of the next reservation.
    pub next_reservation: u64,
    /// Money of turns in flight.
    pub reservations: Vec<Reservation>,
}

impl Entry {
    /// A new session. Its reservation ids start at the time in their upper bits: a session that is forgotten and
    /// comes back reuses none, so an ending that comes late never ends a stranger.
    #[must_use]
    pub fn new(id: SessionId, budget: NanoUsd, now_ms: u64) -> Self {
        Entry {
            id,
            last_seen_ms: now_ms,
            session: SessionView::new(budget),
            next_reservation: now_ms.wrapping_shl(20),
            reservations: Vec::new(),
        }
    }

    /// Holds `amount` until `lease_end_ms` and returns the reservation's id.
    pub fn reserve(&mut self, amount: NanoUsd, lease_end_ms: u64) -> u64 {
        let id = self.next_reservation;
        self.next_reservation = id.wrapping_add(1);
        self.reservations.push(Reservation { id, amount, lease_end_ms });
        id
    }

    /// Removes a reservation and returns what it held; `None` when it has ended already.
    pub fn release(&mut self, id: u64) -> Option<NanoUsd> {
        let position = self.reservations.iter().position(|held| held.id == id)?;
        Some(self.reservations.swap_remove(position).amount)
    }

    /// The session with its outstanding money.
    #[must_use]
    pub fn view(&self) -> SessionView {
        let outstanding = self.reservations.iter().map(|reservation| reservation.amount);
        SessionView {
            outstanding: outstanding.fold(NanoUsd::ZERO, NanoUsd::saturating_add),
            in_flight: u32::try_from(self.reservations.len()).unwrap_or(u32::MAX),
            ..self.session
        }
    }

    /// Removes the reservations whose lease has ended and returns their sum.
    pub fn expire(&mut self, now_ms: u64) -> NanoUsd {
        let mut expired = NanoUsd::ZERO;
        self.reservations.retain(|reservation| {
            let keep = reservation.lease_end_ms > now_ms;
            if !keep {
                expired = expired.saturating_add(reservation.amount);
            }
            keep
        });
        expired
    }
}

/// The sessions of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// In no particular order.
    pub entries: Vec<Entry>,
}

/// Bytes that are no bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("session table: a bucket of {bytes} bytes cannot be read at byte {at}")]
pub struct BucketError {
    /// Length of the value.
    pub bytes: usize,
    /// Where reading failed.
    pub at: usize,
}

impl Bucket {
    /// Reads a bucket. No bytes are an empty bucket.
    ///
    /// # Errors
    /// [`BucketError`] for anything that [`Self::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Bucket, BucketError> {
        let mut bucket = Bucket::default();
        if bytes.is_empty() {
            return Ok(bucket);
        }
        let mut rest = bytes;
        let failed =
            |rest: &[u8]| BucketError { bytes: bytes.len(), at: bytes.len().saturating_sub(rest.len()) };
        if take::<1>(&mut rest) != Some([FORMAT]) {
            return Err(failed(rest));
        }
        while !rest.is_empty() {
            let entry = read_entry(&mut rest).ok_or_else(|| failed(rest))?;
            bucket.entries.push(entry);
        }
        Ok(bucket)
    }

    /// The bucket's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for entry in &self.entries {
            let session = &entry.session;
            bytes.extend_from_slice(&entry.id.0);
            for number in [entry.last_seen_ms, session.budget.0, session.spent.0, entry.next_reservation] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.extend_from_slice(&session.turns.to_le_bytes());
            bytes.push(session.last_model.unwrap_or(NO_MODEL));
            bytes.extend_from_slice(&session.last_prompt_tokens.to_le_bytes());
            bytes.extend_from_slice(&session.last_body_bytes.to_le_bytes());
            bytes.extend_from_slice(&session.output_tokens.to_le_bytes());
            bytes.push(u8::try_from(entry.reservations.len()).unwrap_or(u8::MAX));
            for reservation in entry.reservations.iter().take(usize::from(u8::MAX)) {
                for number in [reservation.id, reservation.amount.0, reservation.lease_end_ms] {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        bytes
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take::<8>(rest).map(u64::from_le_bytes)
}

fn read_entry(rest: &mut &[u8]) -> Option<Entry> {
    let id = SessionId(take::<16>(rest)?);
    let last_seen_ms = take_u64(rest)?;
    let mut session = SessionView::new(NanoUsd(take_u64(rest)?));
    session.spent = NanoUsd(take_u64(rest)?);
    let next_reservation = take_u64(rest)?;
    session.turns = take::<4>(rest).map(u32::from_le_bytes)?;
    let [model] = take::<1>(rest)?;
    session.last_model = (model != NO_MODEL).then_some(model);
    session.last_prompt_tokens = take_u64(rest)?;
    session.last_body_bytes = take_u64(rest)?;
    session.output_tokens = take_u64(rest)?;
    let [count] = take::<1>(rest)?;
    let mut reservations = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (id, amount, lease_end_ms) = (take_u64(rest)?, NanoUsd(take_u64(rest)?), take_u64(rest)?);
        reservations.push(Reservation { id, amount, lease_end_ms });
    }
    Some(Entry { id, last_seen_ms, session, next_reservation, reservations })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_entry() -> impl Strategy<Value = Entry> {
        let reservations = proptest::collection::vec(any::<[u64; 3]>(), 0..4);
        (any::<[u8; 16]>(), any::<[u64; 7]>(), any::<u32>(), proptest::option::of(0u8..8), reservations)
            .prop_map(|(id, numbers, turns, last_model, reservations)| Entry {
                id: SessionId(id),
                last_seen_ms: numbers[0],
                session: SessionView {
                    spent: NanoUsd(numbers[2]),
                    turns,
                    last_model,
                    last_prompt_tokens: numbers[3],
                    output_tokens: numbers[4],
                    last_body_bytes: numbers[6],
                    ..SessionView::new(NanoUsd(numbers[1]))
                },
                next_reservation: numbers[5],
                reservations: reservations
                    .into_iter()
                    .map(|[id, amount, lease_end_ms]| Reservation {
                        id,
                        amount: NanoUsd(amount),
                        lease_end_ms,
                    })
                    .collect(),
            })
    }

    proptest! {
        #[test]
        fn writing_and_reading_is_the_identity(entries in proptest::collection::vec(any_entry(), 0..5)) {
            let bucket = Bucket { entries };
            prop_assert_eq!(Bucket::from_bytes(&bucket.to_bytes()), Ok(bucket));
        }

        #[test]
        fn a_cut_bucket_is_an_error(entry in any_entry(), cut in 1usize..60) {
            let bytes = Bucket { entries: vec![entry] }.to_bytes();
            let cut = cut.min(bytes.len() - 2);
            prop_assert!(Bucket::from_bytes(&bytes[..bytes.len() - cut]).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(bucket) = Bucket::from_bytes(&bytes) && !bytes.is_empty() {
                prop_assert_eq!(bucket.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn an_expired_lease_is_removed_once() {
        let mut entry = Entry::new(SessionId([1; 16]), NanoUsd(100), 0);
        entry.reserve(NanoUsd(30), 10);
        entry.reserve(NanoUsd(20), 20);
        assert_eq!(entry.view().available(), NanoUsd(50));
        assert_eq!(entry.expire(10), NanoUsd(30));
        assert_eq!(entry.expire(10), NanoUsd::ZERO);
        assert_eq!(entry.view().available(), NanoUsd(80));
    }
}
