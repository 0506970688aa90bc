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

    /// Adds a settled turn (without its reservation).
    pub fn settle(&mut self, turn: &SettledTurn) {
        self.spent = self.spent.saturating_add(turn.cost);
        self.turns = self.turns.saturating_add(1);
        self.last_model = Some(turn.model);
        self.last_prompt_tokens = turn.prompt_tokens;
        self.last_body_bytes = turn.body_bytes;
        self.output_tokens = self.output_tokens.saturating_add(turn.output_tokens);
    }
}

/// The figures of a settlement.
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

/// How a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An answer came: its cost is charged.
    Settle(SettledTurn),
    /// No answer came: nothing is charged.
    Refund,
}
