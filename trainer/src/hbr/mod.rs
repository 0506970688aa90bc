//! Hindsight Budget Relabeling (SeqRoute, arXiv 2605.25424): one logged session, replayed under many budgets.
//!
//! Money is exact accounting, so a session logged under one budget determines the remaining money, the mask and the end
//! of the session under any other budget, as long as the answers stay the same.
//! Budgets are drawn log-uniformly over a range, stratified per session, so the policy sees no gaps between them.
//!
//! A random behaviour policy replays every session (a *rollout*): it draws weights over the models once per session and
//! budget (so nearly-always-cheap and nearly-always-strong rollouts both occur), then one of the allowed models each
//! turn. In every visited state, each **allowed option with a logged outcome** gives one row of [`Transitions`]. No
//! answer is invented: single-path logs give rows for the logged action only, and where the budget forbids it the
//! rollout stops without a terminal row.
//!
//! A row is `terminal` if the turn was the last one, or if no model is allowed afterwards (`bankrupt`).

mod counts;
mod rollout;
pub mod transitions;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use seqroute_core::config::{GuardConfig, ModelConfig, Strategy};
use seqroute_core::decide::features;
use seqroute_core::engine::Engine;
use seqroute_core::money::NanoUsd;
use seqroute_core::prices::{LongContext, Prices};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::text_head::Predictions;
use seqroute_sessions::environment::{self, Episode};
use seqroute_sessions::session::Session;

pub use counts::BudgetCounts;
use rollout::Rollout;
pub use transitions::Transitions;

/// How sessions are relabelled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HbrConfig {
    /// Smallest budget, as a share of the mean cost of a session that the most expensive model answers alone.
    pub budget_min_share: f64,
    /// Largest budget, as the same kind of share.
    pub budget_max_share: f64,
    /// Number of budgets that every session is replayed under.
    pub budgets_per_session: usize,
    /// Fixed budgets in nano-USD, such as the paper's grid, instead of drawn ones; empty to draw.
    pub grid_nano_usd: Vec<u64>,
    /// Spread of the behaviour's log-weights over the models: 0 is uniform, large values stay with one model.
    pub behaviour_spread: f64,
    /// Follow every option of every turn instead of one rollout (the paper's tree); for short sessions and few models.
    pub all_branches: bool,
    /// Prices are relabelled too: those of each model are multiplied by a factor between 1/this and this, drawn
    /// log-uniformly per replay. 1 keeps prices.
    pub price_factor: f64,
    /// Share of the replays with λ above 0.
    pub lambda_share: f64,
    /// The λ of those is drawn log-uniformly from this range.
    pub lambda_range: [f64; 2],
    /// The state includes the money left. Without it (an ablation) these features are 0 in training, and the policy
    /// ignores them.
    pub budget_in_state: bool,
    /// The mask limits the actions. Without it (an ablation, and the paper's way) every model may be chosen, and one
    /// that the money does not cover ends the session with quality 0.
    pub masked: bool,
    /// Share of a turn's reward that is the quality predicted from its text instead of the observed one. Observed
    /// quality is often 0 or 1; the policy cannot predict which, so its mean suffices and is less noisy.
    pub predicted_reward_share: f64,
}

impl Default for HbrConfig {
    fn default() -> Self {
        HbrConfig {
            budget_min_share: 0.03,
            budget_max_share: 2.5,
            budgets_per_session: 12,
            grid_nano_usd: Vec::new(),
            behaviour_spread: 2.0,
            all_branches: false,
            price_factor: 4.0,
            lambda_share: 0.25,
            lambda_range: [0.03, 30.0],
            budget_in_state: true,
            masked: true,
            predicted_reward_share: 0.0,
        }
    }
}

/// Price settings drawn per relabelling; each replay uses one of them.
const PRICE_DRAWS: usize = 256;

/// Relabels every session once, without text or guard.
///
/// # Errors
/// As [`Relabeller::new`] and [`Relabeller::rows`].
pub fn relabel(
    sessions: &[Session],
    models: &[ModelConfig],
    config: &HbrConfig,
    seed: u64,
) -> Result<Transitions, TrainError> {
    Relabeller::new(sessions, models, config, GuardConfig::default(), Predictions::default())?.rows(seed, 0)
}

/// Relabels the same sessions once per epoch, each time with fresh budgets, prices and rollouts.
#[derive(Debug)]
pub struct Relabeller<'a> {
    sessions: &'a [Session],
    models: &'a [ModelConfig],
    config: &'a HbrConfig,
    guard: GuardConfig,
    predictions: Predictions,
    /// By model: mean cost of a session that it answers alone; of the most expensive logged path if no model has all
    /// outcomes.
    costs_nano_usd: Vec<f64>,
}

/// Prices of one replay.
struct Market {
    engine: Engine,
    reference_nano_usd: f64,
}

impl<'a> Relabeller<'a> {
    /// Prepares to relabel these sessions with a guard. Predictions come from [`crate::text_head`]; without them those
    /// entries of the states are 0.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn new(
        sessions: &'a [Session],
        models: &'a [ModelConfig],
        config: &'a HbrConfig,
        guard: GuardConfig,
        predictions: Predictions,
    ) -> Result<Self, TrainError> {
        let engine = environment::engine(models, Strategy::BestAffordable, None)?;
        let costs: Vec<Option<f64>> = (0..models.len())
            .map(|model| environment::mean_cost_nano_usd(&engine, sessions, model).ok())
            .collect();
        let costs_nano_usd = if costs.iter().any(Option::is_some) {
            costs.into_iter().map(Option::unwrap_or_default).collect()
        } else {
            vec![reference_cost_nano_usd(&engine, sessions); models.len()]
        };
        Ok(Relabeller { sessions, models, config, guard, predictions, costs_nano_usd })
    }

    /// The guard that the sessions are replayed behind.
    #[must_use]
    pub fn guard(&self) -> &GuardConfig {
        &self.guard
    }

    /// Smallest and largest budget at the models' own prices.
    #[must_use]
    pub fn budget_range_nano_usd(&self) -> [NanoUsd; 2] {
        let grid = &self.config.grid_nano_usd;
        if let (Some(low), Some(high)) = (grid.iter().min(), grid.iter().max()) {
            return [NanoUsd(*low), NanoUsd(*high)];
        }
        let reference = self.costs_nano_usd.iter().copied().fold(0.0, f64::max);
        [self.config.budget_min_share, self.config.budget_max_share].map(|share| amount(reference, share))
    }

    /// One relabelling; the same seed and epoch give the same rows.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn rows(&self, seed: u64, epoch: u64) -> Result<Transitions, TrainError> {
        let mut transitions = self.empty();
        self.relabel(seed, epoch, &mut transitions, |_, _, _| {})?;
        Ok(transitions)
    }

    /// What the first relabelling makes of each budget, without keeping its rows: one entry per budget of the grid, or
    /// per part of the range that budgets are drawn from.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn counts(&self, seed: u64) -> Result<Vec<BudgetCounts>, TrainError> {
        let mut counts = vec![BudgetCounts::default(); self.replays()];
        let mut transitions = self.empty();
        self.relabel(seed, 0, &mut transitions, |replay, budget, rows| {
            counts[replay].add(budget, rows);
            *rows = self.empty();
        })?;
        Ok(counts)
    }

    fn empty(&self) -> Transitions {
        Transitions {
            features: features::names_without_text(self.models.len()).len() + 2 * self.models.len(),
            models: self.models.len(),
            budget_range_nano_usd: self.budget_range_nano_usd(),
            ..Transitions::default()
        }
    }

    /// How often each session is replayed.
    fn replays(&self) -> usize {
        let grid = self.config.grid_nano_usd.len();
        if grid == 0 { self.config.budgets_per_session } else { grid }
    }

    /// Replays every session; `replayed` gets the replay's number, its budget and all rows after each replay.
    fn relabel(
        &self,
        seed: u64,
        epoch: u64,
        transitions: &mut Transitions,
        mut replayed: impl FnMut(usize, NanoUsd, &mut Transitions),
    ) -> Result<(), TrainError> {
        let config = self.config;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX - epoch);
        let markets = self.markets(&mut rng)?;
        let silent = if config.budget_in_state { Vec::new() } else { money_features(self.models.len()) };
        let (low, high) = (config.budget_min_share.ln(), config.budget_max_share.ln());
        let replays = self.replays();
        for (index, session) in self.sessions.iter().enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(epoch * self.sessions.len() as u64 + index as u64);
            for replay in 0..replays {
                let market = &markets[rng.random_range(0..markets.len())];
                let position = (replay as f64 + rng.random::<f64>()) / replays as f64;
                let share = (low + (high - low) * position).exp();
                let budget = config.grid_nano_usd.get(replay);
                let budget =
                    budget.map_or_else(|| amount(market.reference_nano_usd, share), |grid| NanoUsd(*grid));
                let lambda = self.lambda(&mut rng);
                let weights = self.models.iter().map(|_| (config.behaviour_spread * normal(&mut rng)).exp());
                let mut rollout = Rollout {
                    silent: &silent,
                    session: index,
                    lambda,
                    weights: weights.collect(),
                    config,
                    predictions: &self.predictions,
                    transitions,
                };
                let episode = Episode::new(&market.engine, session, budget);
                let first = rollout.state(&episode, 0);
                rollout.run(episode, first, 0, &mut rng)?;
                replayed(replay, budget, transitions);
            }
        }
        Ok(())
    }

    fn lambda(&self, rng: &mut ChaCha8Rng) -> f32 {
        let [low, high] = self.config.lambda_range.map(f64::ln);
        let (drawn, position): (f64, f64) = (rng.random(), rng.random());
        if drawn < self.config.lambda_share { (low + (high - low) * position).exp() as f32 } else { 0.0 }
    }

    fn markets(&self, rng: &mut ChaCha8Rng) -> Result<Vec<Market>, TrainError> {
        let spread = self.config.price_factor.ln();
        let draws = if spread > 0.0 { PRICE_DRAWS } else { 1 };
        let market = |_| {
            let mut models = self.models.to_vec();
            let mut reference_nano_usd = 0.0f64;
            for (model, cost) in models.iter_mut().zip(&self.costs_nano_usd) {
                let factor = (spread * (2.0 * rng.random::<f64>() - 1.0)).exp();
                model.prices = multiplied(&model.prices, factor);
                reference_nano_usd = reference_nano_usd.max(cost * factor);
            }
            let engine = environment::guarded(&models, Strategy::BestAffordable, None, &self.guard)?;
            Ok(Market { engine, reference_nano_usd })
        };
        (0..draws).map(market).collect()
    }
}

/// Indices of the features that show what money is left.
fn money_features(models: usize) -> Vec<usize> {
    let names = features::names_without_text(models);
    let shows_money = |name: &String| {
        ["spent_share", "runway_turns_ln"].contains(&name.as_str())
            || name.ends_with("_turns_left_ln")
            || name.ends_with("_allowed")
    };
    names.iter().enumerate().filter(|(_, name)| shows_money(name)).map(|(k, _)| k).collect()
}

fn amount(reference_nano_usd: f64, share: f64) -> NanoUsd {
    NanoUsd((reference_nano_usd * share).round().max(1.0) as u64)
}

/// All prices times a factor; a price above 0 stays above 0.
fn multiplied(prices: &Prices, factor: f64) -> Prices {
    let scaled = |price: u64| if price == 0 { 0 } else { (price as f64 * factor).round().max(1.0) as u64 };
    Prices {
        input_pico_usd_per_token: scaled(prices.input_pico_usd_per_token),
        cached_input_pico_usd_per_token: prices.cached_input_pico_usd_per_token.map(scaled),
        cache_write_pico_usd_per_token: prices.cache_write_pico_usd_per_token.map(scaled),
        long_cache_write_pico_usd_per_token: prices.long_cache_write_pico_usd_per_token.map(scaled),
        output_pico_usd_per_token: scaled(prices.output_pico_usd_per_token),
        long_context: prices.long_context.map(|long| LongContext {
            above_input_tokens: long.above_input_tokens,
            input_pico_usd_per_token: scaled(long.input_pico_usd_per_token),
            cached_input_pico_usd_per_token: long.cached_input_pico_usd_per_token.map(scaled),
            cache_write_pico_usd_per_token: long.cache_write_pico_usd_per_token.map(scaled),
            long_cache_write_pico_usd_per_token: long.long_cache_write_pico_usd_per_token.map(scaled),
            output_pico_usd_per_token: scaled(long.output_pico_usd_per_token),
        }),
    }
}

/// Mean cost of a session on its most expensive logged path: with outcomes of every model, that of always choosing the
/// most expensive one.
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
            let most_expensive = models
                .filter_map(|model| {
                    let mut branch = episode;
                    branch.take(model).ok().map(|step| (step.cost, branch))
                })
                .max_by_key(|(cost, _)| *cost);
            match most_expensive {
                Some((_, branch)) => episode = branch,
                None => break,
            }
        }
        episode.view().spent.0 as f64
    });
    logged.sum::<f64>() / sessions.len().max(1) as f64
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

#[cfg(test)]
#[path = "hbr_tests.rs"]
mod tests;
