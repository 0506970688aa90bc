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
//! Sessions live in a table of a fixed number of buckets ([`table`]), each one value in shared data ([`bucket`]),
//! changed only by compare-and-swap ([`store`]). Memory is bounded by the configuration, whatever clients send.

pub mod bucket;
pub mod store;
pub mod table;

use crate::money::NanoUsd;

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
        self.budget.saturating_sub(self.spent).saturating_sub(self.outstanding)
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

/// How a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An answer came: its cost is booked.
    Settle(SettledTurn),
    /// No answer came: nothing is charged.
    Refund,
}
