//! Hindsight Budget Relabeling (SeqRoute, arXiv 2605.25424): one logged session, replayed under many budgets.
//!
//! Money is known bookkeeping, so a session logged under one budget tells exactly what would have happened to the
//! remaining money, the mask and the end of the session under any other, as long as the answers stay the same.
//! Budgets are drawn log-uniformly over a range, stratified per session, so the policy sees no gaps between them.
//!
//! A random behaviour walks through every session: it draws weights over the models once per session and budget (so
//! nearly-always-cheap and nearly-always-strong walks both occur), then one of the allowed models each turn. At
//! every visited state one [`Transitions`] row is made **per option with a logged outcome that is allowed**. No
//! answer is ever invented: with single-path logs only the logged action has a row, and where the budget forbids it
//! the walk is cut without saying that the session ended.
//!
//! A row ends its session (`terminal`) when the turn was the last one, or when no model is allowed afterwards
//! (`bankrupt`).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::engine::{Decision, Engine};
use seqroute_core::features;
use seqroute_core::money::NanoUsd;
use serde::{Deserialize, Serialize};

use crate::environment::{self, Episode, ReplayError};
use crate::session::Session;

/// How sessions are relabelled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HbrConfig {
    /// Smallest budget, as a share of the mean cost of a session that the most expensive model answers alone.
    pub budget_min_share: f64,
    /// Largest budget, as such a share.
    pub budget_max_share: f64,
    /// Budgets that every session is replayed under.
    pub budgets_per_session: usize,
    /// Spread of the behaviour's log-weights over the models: 0 walks uniformly, large walks stay with one model.
    pub behaviour_spread: f64,
}

impl Default for HbrConfig {
    fn default() -> Self {
        HbrConfig {
            budget_min_share: 0.03,
            budget_max_share: 1.5,
            budgets_per_session: 12,
            behaviour_spread: 2.0,
        }
    }
}

/// Transitions as flat arrays: row i of an array of width w is `[i·w .. (i+1)·w]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transitions {
    /// Width of a state.
    pub features: usize,
    /// Width of a mask.
    pub models: usize,
    /// State before the turn.
    pub states: Vec<f32>,
    /// Allowed models before the turn.
    pub masks: Vec<bool>,
    /// The model that answered.
    pub actions: Vec<u8>,
    /// Quality of its answer.
    pub qualities: Vec<f32>,
    /// Cost of the turn as a share of the session's budget.
    pub costs: Vec<f32>,
    /// State before the next turn; zeros where `terminal`.
    pub next_states: Vec<f32>,
    /// Allowed models before the next turn; none where `terminal`.
    pub next_masks: Vec<bool>,
    /// The session ends with this turn.
    pub terminal: Vec<bool>,
    /// It ends because the next turn cannot be paid.
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

    fn push(&mut self, before: &Decision, action: usize, quality: f64, cost_share: f64, after: &After) {
        self.states.extend_from_slice(before.features.as_slice());
        self.masks.extend_from_slice(before.mask.as_slice());
        self.actions.push(u8::try_from(action).unwrap_or(u8::MAX));
        self.qualities.push(quality as f32);
        self.costs.push(cost_share as f32);
        match after {
            After::Turn(next) => {
                self.next_states.extend_from_slice(next.features.as_slice());
                self.next_masks.extend_from_slice(next.mask.as_slice());
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

/// What follows a turn.
enum After {
    Turn(Box<Decision>),
    LastTurn,
    Bankrupt,
}

/// Relabels every session; `progress` hears how many sessions are done.
///
/// # Errors
/// The core refuses the models, or no outcome of the most expensive model is known to set the range by.
pub fn relabel(
    sessions: &[Session],
    models: &[ModelConfig],
    config: &HbrConfig,
    seed: u64,
    mut progress: impl FnMut(usize),
) -> Result<Transitions, ReplayError> {
    let engine = environment::engine(models, Strategy::BestAffordable, None)?;
    let reference = reference_cost_nano_usd(&engine, sessions);
    let amount = |share: f64| NanoUsd((reference * share).round().max(1.0) as u64);
    let (low, high) = (config.budget_min_share.ln(), config.budget_max_share.ln());
    let mut transitions = Transitions {
        features: features::names(models.len()).len(),
        models: models.len(),
        budget_range_nano_usd: [amount(config.budget_min_share), amount(config.budget_max_share)],
        ..Transitions::default()
    };
    for (index, session) in sessions.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index as u64);
        for stratum in 0..config.budgets_per_session {
            let position = (stratum as f64 + rng.random::<f64>()) / config.budgets_per_session as f64;
            let budget = amount((low + (high - low) * position).exp());
            let weights: Vec<f64> =
                models.iter().map(|_| (config.behaviour_spread * normal(&mut rng)).exp()).collect();
            walk(Episode::new(&engine, session, budget), &weights, &mut rng, &mut transitions)?;
        }
        progress(index + 1);
    }
    Ok(transitions)
}

/// Mean cost of a session by the costliest path that was logged: with outcomes of every model, that of always taking
/// the most expensive one.
#[must_use]
pub fn reference_cost_nano_usd(engine: &Engine, sessions: &[Session]) -> f64 {
    let always = (0..engine.config().models.len())
        .filter_map(|model| environment::mean_cost_nano_usd(engine, sessions, model).ok());
    if let Some(highest) = always.reduce(f64::max) {
        return highest;
    }
    let logged = sessions.iter().map(|session| {
        let mut episode = Episode::new(engine, session, NanoUsd(u64::MAX));
        while episode.turn().is_some() {
            let models = 0..engine.config().models.len();
            let costliest = models
                .filter_map(|model| {
                    let mut branch = episode;
                    branch.take(model).ok().map(|step| (step.cost, branch))
                })
                .max_by_key(|(cost, _)| *cost);
            match costliest {
                Some((_, branch)) => episode = branch,
                None => break,
            }
        }
        episode.view().spent.0 as f64
    });
    logged.sum::<f64>() / sessions.len().max(1) as f64
}

/// Walks once through a session and records the rows of every visited state.
fn walk(
    mut episode: Episode<'_>,
    weights: &[f64],
    rng: &mut ChaCha8Rng,
    transitions: &mut Transitions,
) -> Result<(), ReplayError> {
    let budget = episode.view().budget.0 as f64;
    let mut decision = episode.decide(0.0);
    loop {
        let mut branches = Vec::with_capacity(transitions.models);
        for model in decision.mask.allowed().filter(|model| episode.outcome(*model).is_some()) {
            let mut branch = episode;
            let step = branch.take(model)?;
            let after = match branch.turn() {
                None => After::LastTurn,
                Some(_) => {
                    let next = branch.decide(0.0);
                    let paid = next.mask.allowed().next().is_some();
                    if paid { After::Turn(Box::new(next)) } else { After::Bankrupt }
                }
            };
            transitions.push(&decision, model, step.quality, step.cost.0 as f64 / budget, &after);
            branches.push((model, branch, after));
        }
        let Some(taken) = draw(rng, branches.iter().map(|(model, ..)| weights.get(*model).copied())) else {
            return Ok(());
        };
        match branches.swap_remove(taken) {
            (_, branch, After::Turn(next)) => {
                episode = branch;
                decision = *next;
            }
            _ => return Ok(()),
        }
    }
}

/// Draws a position in proportion to the weights; `None` when there is none.
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

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

#[cfg(test)]
#[path = "hbr_tests.rs"]
mod tests;
