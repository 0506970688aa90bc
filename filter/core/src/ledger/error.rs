//! How an operation of the ledger fails.

use crate::ledger::store::StoreError;
use crate::money::NanoUsd;

/// Attempts before a change gives up. A conflict means that another VM made progress on the same value, so many in a
/// row need as many VMs that all hit it; the bound only keeps a broken host from blocking a worker.
pub const MAX_ATTEMPTS: u32 = 1000;

/// Why an operation did not happen. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The host failed to read or write.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored bytes do not decode to a bucket.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Other VMs were faster in every attempt.
    #[error("ledger: gave up after {} conflicts", MAX_ATTEMPTS)]
    Conflicts,
    /// The bucket is full of sessions that may not be forgotten, or of reservations.
    #[error("ledger: no room in the bucket")]
    Full,
    /// The session, or the party that it belongs to, has too many turns in flight.
    #[error("ledger: too many turns of one session or party in flight")]
    TooManyInFlight,
    /// The caller has begun as many sessions as it may in this window.
    #[error("ledger: too many new sessions of one caller")]
    TooManyNewSessions {
        /// Length of the window.
        window_ms: u64,
    },
    /// A decision asked for more than was free, which is a bug in the caller.
    #[error("ledger: a decision asked for {asked} USD where {free} USD are free")]
    Overdrawn {
        /// Money that it asked for.
        asked: NanoUsd,
        /// Money that was free.
        free: NanoUsd,
    },
}

/// The bytes do not decode to a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: a bucket of {bytes} bytes cannot be decoded at byte {at}")]
pub struct DecodeError {
    /// Length of the value.
    pub bytes: usize,
    /// Where decoding failed.
    pub at: usize,
}
