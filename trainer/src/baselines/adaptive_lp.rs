//! A linear program over contexts, solved anew in every turn with the remaining money and turns (the adaptive scheme of
//! WISERouter).
//!
//! Contexts are the classes of a [`Population`]: K-means groups of the observations, with the mean quality of every
//! model. The rate is the remaining money per expected remaining turn, times a tuned factor. A context's cost is that
//! with the present history. If the solution splits the turn's context between two models, one is drawn.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::decide::rule;
use seqroute_core::engine::{Decision, Engine};

use super::Router;
use super::lp::{self, Context};
use crate::error::TrainError;
use crate::population::Population;
use seqroute_sessions::environment::{self, Episode};

/// The adaptive linear program.
#[derive(Debug)]
pub struct AdaptiveLpRouter {
    engine: Engine,
    population: Arc<Population>,
    factor: f64,
    seed: u64,
}

impl AdaptiveLpRouter {
    /// Factors to choose from in tuning.
    #[must_use]
    pub fn settings() -> Vec<f64> {
        vec![0.4, 0.5, 0.63, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5]
    }

    /// A router that allows a turn to cost `factor` times the remaining money per remaining turn on average.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn new(
        models: &[ModelConfig],
        population: Arc<Population>,
        factor: f64,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let engine = environment::engine(models, Strategy::BestAffordable, None)?;
        Ok(AdaptiveLpRouter { engine, population, factor, seed })
    }

    /// The contexts of later turns, with their costs given this history.
    fn contexts(&self, turn: usize, history_tokens: u64) -> Vec<Context> {
        let population = &self.population;
        let mean = |points: &[f64]| points.iter().sum::<f64>() / points.len().max(1) as f64;
        let context = |class: usize| {
            let prompt = history_tokens as f64 + mean(&population.message_tokens[class]);
            let option = |(k, model): (usize, &ModelConfig)| {
                let prices = &model.prices;
                let pico = prompt * prices.input_pico_usd_per_token as f64
                    + mean(&population.output_tokens[class][k]) * prices.output_pico_usd_per_token as f64;
                (pico / 1000.0, population.quality[turn.min(population.turns() - 1)][class][k])
            };
            let options = self.engine.config().models.iter().enumerate().map(option).collect();
            Context { weight: population.shares[class], options }
        };
        population.classes().map(context).collect()
    }
}

impl Router for AdaptiveLpRouter {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn choose(&self, session: usize, episode: &Episode<'_>, decision: &Decision) -> Option<usize> {
        let (view, turn) = (episode.view(), episode.turn()?);
        let t = view.turns as usize;
        let rate = self.factor * view.available().0 as f64 / (1.0 + self.population.remaining_turns(t));
        let history_tokens = episode.prompt_tokens().saturating_sub(turn.input_tokens);
        let solution = lp::solve(&self.contexts(t, history_tokens), rate);
        let shares = solution.get(self.population.class(turn))?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(session as u64);
        rng.set_word_pos(u128::from(view.turns) * 16);
        let mut left: f64 = rng.random();
        let drawn = shares.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        let drawn = drawn.unwrap_or(shares.len().saturating_sub(1));
        if decision.mask.allows(drawn) {
            return Some(drawn);
        }
        rule::cheapest(&decision.mask, &self.engine.config().models)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqroute_core::money::NanoUsd;
    use seqroute_sessions::simulator::{Simulator, tiers};

    #[test]
    fn it_spends_most_of_the_budget_and_not_more() {
        let (train, models) = (Simulator::new(1).sessions(500), tiers());
        let population = Arc::new(Population::fit(&train, &models, 8, 1).unwrap());
        let router = AdaptiveLpRouter::new(&models, population, 1.0, 1).unwrap();
        let cost = |budget| {
            let run = |(i, session)| router.run(i, session, NanoUsd(budget)).unwrap().cost.0;
            Simulator::new(2).sessions(100).iter().enumerate().map(run).sum::<u64>() / 100
        };
        let (little, much) = (cost(4_000_000), cost(16_000_000));
        assert!(little > 1_500_000 && little <= 4_000_000, "{little}");
        assert!(much > 6_000_000 && much <= 16_000_000, "{much}");
    }
}
