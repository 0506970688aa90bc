//! The ledger: every session's budget, kept in data that all workers share.
//!
//! A turn reserves its upper cost, and the reservation ends exactly once: it is settled with the true cost, refunded
//! when no answer came, or expires with its lease when nobody can end it any more (its VM died). So at every moment
//!
//! ```text
//! granted = settled + refunded + expired + outstanding
//! ```
//!
//! and `spent + outstanding` of a session exceeds its budget only by what settlements cost beyond their
//! reservations, which is counted as overrun.
//!
//! Sessions live in a table of a fixed number of buckets ([`sessions`]), each one value in shared data ([`sessions::bucket`]),
//! changed only by compare-and-swap ([`table`], [`store`]). Memory is bounded by the configuration, whatever clients
//! send ([`crate::config::LedgerConfig::max_bytes`]). A second level, the tenants' budgets, is kept beside it in the
//! same way ([`tenants`]); [`accounts`] reserves and ends a turn on both.

pub mod accounts;
pub mod sessions;
pub mod store;
pub mod table;
pub mod tenants;

use crate::ledger::sessions::bucket::BucketError;
use crate::ledger::store::StoreError;
use crate::money::NanoUsd;

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
    #[error("ledger: gave up after {} conflicts", table::MAX_ATTEMPTS)]
    Conflicts,
    /// The bucket has no room: it is full of sessions that may not be forgotten, or of reservations.
    #[error("ledger: no room in the bucket")]
    Full,
    /// The session has too many turns in flight.
    #[error("ledger: too many turns of one session in flight")]
    TooManyInFlight,
    /// A decision asked for more than was free: a defect of the caller, stopped here.
    #[error("ledger: a decision asked for {asked} USD where {free} USD are free")]
    Overdrawn {
        /// What it asked for.
        asked: NanoUsd,
        /// What was free.
        free: NanoUsd,
    },
}

/// A session as a decision sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionView {
    /// What the session may spend in all.
    pub budget: NanoUsd,
    /// What settled turns have cost.
    pub spent: NanoUsd,
    /// What turns in flight have reserved.
    pub outstanding: NanoUsd,
    /// Settled turns.
    pub turns: u32,
    /// Turns in flight.
    pub in_flight: u32,
    /// The model of the last settled turn.
    pub last_model: Option<u8>,
    /// Input tokens of the last settled turn.
    pub last_prompt_tokens: u64,
    /// Length of the last settled turn's request body; 0 where it was unknown.
    pub last_body_bytes: u64,
    /// Output tokens of all settled turns.
    pub output_tokens: u64,
    /// Time since the last settled turn; `None` before the first, and where time does not pass.
    pub idle_ms: Option<u64>,
    /// What an outer budget (the tenant's) still allows; `None` where there is none.
    pub outer_available: Option<NanoUsd>,
}

impl SessionView {
    /// A session before its first turn.
    #[must_use]
    pub fn new(budget: NanoUsd) -> Self {
        SessionView { budget, ..SessionView::default() }
    }

    /// What may still be reserved.
    #[must_use]
    pub fn available(&self) -> NanoUsd {
        let own = self.budget.saturating_sub(self.spent).saturating_sub(self.outstanding);
        self.outer_available.map_or(own, |outer| own.min(outer))
    }

    /// Books a settled turn (without its reservation).
    pub fn settle(&mut self, turn: &SettledTurn) {
        self.spent = self.spent.saturating_add(turn.cost);
        self.turns = self.turns.saturating_add(1);
        self.last_model = Some(turn.model);
        self.last_prompt_tokens = turn.prompt_tokens;
        self.last_body_bytes = turn.body_bytes;
        self.output_tokens = self.output_tokens.saturating_add(turn.output_tokens);
    }
}

/// What a settlement books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledTurn {
    /// True cost.
    pub cost: NanoUsd,
    /// Index of the model that answered.
    pub model: u8,
    /// Input tokens.
    pub prompt_tokens: u64,
    /// Length of the request body; 0 where it was unknown or the input tokens were not reported.
    pub body_bytes: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

/// Which books a turn is kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Books {
    /// Money that sessions may spend.
    #[default]
    Real,
    /// What would have been spent: a shadow's, with keys of their own.
    Shadow,
}

impl Books {
    /// The head of their keys in shared data.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Books::Real => "seqroute",
            Books::Shadow => "seqroute/shadow",
        }
    }
}

/// How a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An answer came: its cost is booked.
    Settle(SettledTurn),
    /// No answer came: nothing is charged.
    Refund,
}
