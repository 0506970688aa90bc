//! A session as a decision sees it, and how its turns end.

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
    /// Turns that the client left before an answer.
    pub early_leaves: u16,
    /// The model of the conversation's last settled turn.
    pub last_model: Option<u8>,
    /// The model that the conversation goes on with where its own is not known but it is locked to one: that of the
    /// session's conversation that resembles it most, or was the last.
    pub likely_model: Option<u8>,
    /// Input tokens of the conversation's last settled turn.
    pub last_prompt_tokens: u64,
    /// Length of the request body of the conversation's last settled turn; 0 where it was unknown.
    pub last_body_bytes: u64,
    /// Tokens at the head of the conversation's prompt that its provider was seen to have cached after that turn.
    pub warm_tokens: u64,
    /// Output tokens of all settled turns.
    pub output_tokens: u64,
    /// Time since the conversation's last settled turn; `None` before the first, and where time does not pass.
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

    /// Adds a settled turn (without its reservation) of the only conversation.
    pub fn settle(&mut self, turn: &SettledTurn) {
        self.charge(turn);
        self.last_model = Some(turn.model);
        self.last_prompt_tokens = turn.prompt_tokens;
        self.last_body_bytes = turn.body_bytes;
        self.warm_tokens = turn.warm_tokens;
    }

    /// Adds a settled turn to what all conversations share.
    pub fn charge(&mut self, turn: &SettledTurn) {
        self.spent = self.spent.saturating_add(turn.cost);
        self.turns = self.turns.saturating_add(1);
        self.output_tokens = self.output_tokens.saturating_add(turn.output_tokens);
    }
}

/// The figures of a settlement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettledTurn {
    /// True cost.
    pub cost: NanoUsd,
    /// Index of the model that answered.
    pub model: u8,
    /// Input tokens.
    pub prompt_tokens: u64,
    /// Length of the request body; 0 where it was unknown or the input tokens were not reported.
    pub body_bytes: u64,
    /// Input tokens that its usage says were read from the provider's prompt cache, or written to it.
    pub warm_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

/// Which of two independent ledgers a turn belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Namespace {
    /// Money that sessions may spend.
    #[default]
    Real,
    /// Money that would have been spent, under `enforcement: shadow`; its keys are separate.
    Shadow,
}

impl Namespace {
    /// The beginning of its keys in shared data.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Namespace::Real => "seqroute",
            Namespace::Shadow => "seqroute/shadow",
        }
    }
}

/// How a turn ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An answer came: its cost is charged.
    Settle(SettledTurn),
    /// No answer came: nothing is charged.
    Refund,
    /// The client left before an answer, which the provider may bill all the same: nothing is charged the first times,
    /// later the cost. As no answer came, the figures but the cost do not become the session's.
    Left(SettledTurn),
}

/// What became of a turn's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The cost was charged.
    Charged,
    /// Nothing was charged.
    Refunded,
}

/// How one level books the end of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booking {
    /// The cost of an answer.
    Settle(SettledTurn),
    /// Nothing.
    Refund,
    /// The client left before an answer: nothing where fewer than `free_before` turns of the account ended so, else
    /// `cost`.
    Leave {
        /// What is charged, if it is.
        cost: NanoUsd,
        /// From this many on, they are charged.
        free_before: u32,
    },
}

impl Booking {
    /// What is charged to an account of which so many turns were left before.
    #[must_use]
    pub fn cost(&self, early_leaves: u32) -> NanoUsd {
        match *self {
            Booking::Settle(turn) => turn.cost,
            Booking::Leave { cost, .. } if !self.is_free_leave(early_leaves) => cost,
            Booking::Refund | Booking::Leave { .. } => NanoUsd::ZERO,
        }
    }

    /// What becomes of the money of such an account.
    #[must_use]
    pub fn ended(&self, early_leaves: u32) -> Ended {
        match self {
            Booking::Settle(_) => Ended::Charged,
            Booking::Leave { .. } if !self.is_free_leave(early_leaves) => Ended::Charged,
            Booking::Refund | Booking::Leave { .. } => Ended::Refunded,
        }
    }

    /// Whether it is a leave that costs nothing, which is counted.
    #[must_use]
    pub fn is_free_leave(&self, early_leaves: u32) -> bool {
        matches!(self, Booking::Leave { free_before, .. } if early_leaves < *free_before)
    }
}

/// What became of a lease that was to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It ends one lease from now.
    Done,
    /// More than half of it was left.
    NotDue,
    /// It had ended, or its money was settled or given back.
    Gone,
}

/// Whether at most half of a lease is left.
#[must_use]
pub fn lease_is_due(end_ms: u64, lease_ms: u64, now_ms: u64) -> bool {
    end_ms.saturating_sub(now_ms) <= lease_ms / 2
}
