//! A rollout: one session replayed under one budget, along one random path or along every branch.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use seqroute_core::MAX_MODELS;

use super::HbrConfig;
use super::transitions::{After, State, StepLabels, Transitions};
use crate::error::TrainError;
use crate::text_head::Predictions;
use seqroute_sessions::environment::Episode;

/// Replays a session and records its transitions.
pub(super) struct Rollout<'a, 't> {
    pub(super) session: usize,
    pub(super) lambda: f32,
    pub(super) weights: Vec<f64>,
    pub(super) config: &'a HbrConfig,
    /// Indices of the features hidden from the learner.
    pub(super) silent: &'a [usize],
    pub(super) predictions: &'a Predictions,
    pub(super) transitions: &'t mut Transitions,
}

impl<'a> Rollout<'a, '_> {
    pub(super) fn state(&self, episode: &Episode<'_>, turn: usize) -> State<'a> {
        const NONE: &[f32] = &[0.0; 2 * MAX_MODELS];
        let predicted = self.predictions.of(self.session, turn);
        let predicted =
            if predicted.is_empty() { NONE.get(..2 * self.transitions.models) } else { Some(predicted) };
        let (predicted, decision) = (predicted.unwrap_or_default(), episode.decide_without_text(self.lambda));
        let mut seen = [decision.features.without_text(), predicted].concat();
        self.silent.iter().for_each(|k| seen[*k] = 0.0);
        let mask = decision.mask.as_slice();
        let mask = mask.iter().map(|allowed| *allowed || !self.config.masked).collect();
        let logged_turn = ((self.session as u64) << 32) | turn as u64;
        State { decision, logged_turn, predicted, seen, mask }
    }

    /// Records the rows of a state, then those of the states after it.
    pub(super) fn run(
        &mut self,
        mut episode: Episode<'_>,
        mut state: State<'a>,
        mut turn: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), TrainError> {
        let budget = episode.view().budget.0 as f64;
        loop {
            let mut branches = Vec::with_capacity(self.transitions.models);
            for model in state.decision.mask.allowed().filter(|model| episode.outcome(*model).is_some()) {
                let mut branch = episode;
                let step = branch.take(model)?;
                let after = match branch.turn() {
                    None => After::LastTurn,
                    Some(_) => {
                        let next = self.state(&branch, turn + 1);
                        let paid = next.decision.mask.allowed().next().is_some();
                        if paid { After::Turn(Box::new(next)) } else { After::Bankrupt }
                    }
                };
                let predicted = state.predicted.get(model).copied().unwrap_or(0.0);
                let known =
                    if self.predictions.of(self.session, turn).is_empty() || step.cut { 0.0 } else { 1.0 };
                let share = known * self.config.predicted_reward_share as f32;
                let labels = StepLabels {
                    new_state: branches.is_empty(),
                    lambda: self.lambda,
                    quality: (1.0 - share) * step.quality as f32 + share * predicted,
                    cost_share: (step.cost.0 as f64 / budget) as f32,
                };
                self.transitions.push(&state, model, &labels, &after);
                branches.push((model, branch, after, self.transitions.len() - 1));
            }
            if !self.config.masked {
                self.overspend(&episode, &state, branches.is_empty());
            }
            if self.config.all_branches {
                for (_, branch, after, row) in branches {
                    self.transitions.taken[row] = true;
                    if let After::Turn(next) = after {
                        self.run(branch, *next, turn + 1, rng)?;
                    }
                }
                return Ok(());
            }
            let weights = branches.iter().map(|(model, ..)| self.weights.get(*model).copied());
            let Some(taken) = draw(rng, weights) else {
                return Ok(());
            };
            let (_, branch, after, row) = branches.swap_remove(taken);
            self.transitions.taken[row] = true;
            let After::Turn(next) = after else {
                return Ok(());
            };
            (episode, state, turn) = (branch, *next, turn + 1);
        }
    }

    /// Rows of the models that the money does not cover: the turn is not served, and the session ends.
    fn overspend(&mut self, episode: &Episode<'_>, state: &State<'a>, mut new_state: bool) {
        let models = 0..self.transitions.models;
        for model in models.filter(|model| !state.decision.mask.allows(*model)) {
            if episode.outcome(model).is_some() {
                let labels = StepLabels { new_state, lambda: self.lambda, quality: 0.0, cost_share: 0.0 };
                self.transitions.push(state, model, &labels, &After::Bankrupt);
                new_state = false;
            }
        }
    }
}

/// Draws a position in proportion to the weights; `None` without any.
fn draw(rng: &mut ChaCha8Rng, weights: impl Iterator<Item = Option<f64>> + Clone) -> Option<usize> {
    let weights = weights.map(|weight| weight.unwrap_or(0.0));
    let mut left = rng.random::<f64>() * weights.clone().sum::<f64>();
    let last = weights.clone().count().checked_sub(1)?;
    for (position, weight) in weights.enumerate() {
        left -= weight;
        if left < 0.0 {
            return Some(position);
        }
    }
    Some(last)
}
