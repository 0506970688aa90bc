//! The rows of relabelled sessions: one per state and observed answer.

use seqroute_core::engine::Decision;
use seqroute_core::money::NanoUsd;

/// Transitions as flat arrays: row i of an array of width w is `[i·w .. (i+1)·w]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transitions {
    /// Width of a state: the features without the text block, then the text head's predictions, quality per model and
    /// ln(1 + length) per model.
    pub features: usize,
    /// Width of a mask.
    pub models: usize,
    /// Whether the row begins a state; the rows after it, up to the next such row, are other answers in the same state.
    pub new_state: Vec<bool>,
    /// The logged turn behind the row: session << 32 | turn. Rows of one logged turn under several budgets differ in
    /// budget, prices and the rollout so far, but in nothing that the client did.
    pub logged_turns: Vec<u64>,
    /// State before the turn.
    pub states: Vec<f32>,
    /// Allowed models before the turn.
    pub masks: Vec<bool>,
    /// Index of the model that answered.
    pub actions: Vec<u8>,
    /// Whether the rollout continued with this row's model, as behaviour cloning needs to know.
    pub taken: Vec<bool>,
    /// λ of the replay.
    pub lambdas: Vec<f32>,
    /// Reward: quality of the answer.
    pub qualities: Vec<f32>,
    /// Cost of the turn as a share of the session's budget.
    pub costs: Vec<f32>,
    /// State before the next turn; zeros where `terminal`.
    pub next_states: Vec<f32>,
    /// Allowed models before the next turn; none where `terminal`.
    pub next_masks: Vec<bool>,
    /// Whether the session ends with this turn.
    pub terminal: Vec<bool>,
    /// Whether it ends because no model is affordable in the next turn.
    pub bankrupt: Vec<bool>,
    /// Smallest and largest budget drawn from.
    pub budget_range_nano_usd: [NanoUsd; 2],
}

impl Transitions {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.actions.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Share of the rows after which the session is bankrupt.
    #[must_use]
    pub fn bankrupt_share(&self) -> f64 {
        self.bankrupt.iter().filter(|bankrupt| **bankrupt).count() as f64 / self.len().max(1) as f64
    }

    /// The state of row `i`.
    #[must_use]
    pub fn state(&self, i: usize) -> &[f32] {
        self.states.get(i * self.features..(i + 1) * self.features).unwrap_or_default()
    }

    pub(super) fn push(&mut self, before: &State<'_>, action: usize, step: &StepLabels, after: &After<'_>) {
        self.new_state.push(step.new_state);
        self.logged_turns.push(before.logged_turn);
        self.states.extend_from_slice(&before.seen);
        self.masks.extend_from_slice(&before.mask);
        self.actions.push(u8::try_from(action).unwrap_or(u8::MAX));
        self.taken.push(false);
        self.lambdas.push(step.lambda);
        self.qualities.push(step.quality);
        self.costs.push(step.cost_share);
        match after {
            After::Turn(next) => {
                self.next_states.extend_from_slice(&next.seen);
                self.next_masks.extend_from_slice(&next.mask);
            }
            After::LastTurn | After::Bankrupt => {
                self.next_states.resize(self.next_states.len() + self.features, 0.0);
                self.next_masks.resize(self.next_masks.len() + self.models, false);
            }
        }
        self.terminal.push(!matches!(after, After::Turn(_)));
        self.bankrupt.push(matches!(after, After::Bankrupt));
    }
}

/// A state before a turn.
pub(super) struct State<'a> {
    pub(super) decision: Decision,
    /// See [`Transitions::logged_turns`].
    pub(super) logged_turn: u64,
    pub(super) predicted: &'a [f32],
    /// The state as the learner sees it.
    pub(super) seen: Vec<f32>,
    /// The models that the learner may choose from.
    pub(super) mask: Vec<bool>,
}

/// Labels of a row.
pub(super) struct StepLabels {
    pub(super) new_state: bool,
    pub(super) lambda: f32,
    pub(super) quality: f32,
    pub(super) cost_share: f32,
}

/// What follows an answered turn.
pub(super) enum After<'a> {
    Turn(Box<State<'a>>),
    LastTurn,
    Bankrupt,
}
