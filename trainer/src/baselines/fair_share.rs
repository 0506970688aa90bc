//! The most expensive model that costs no more than a fair share: remaining money per expected remaining turn.
//!
//! Even spending as in pacing controllers, with a tuned factor: above 1 it spends early, below 1 it saves.

use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::decide::rule;
use seqroute_core::engine::{Decision, Engine};

use super::Router;
use crate::error::TrainError;
use seqroute_sessions::environment::{self, Episode};

/// Spends evenly over the expected remaining turns.
#[derive(Debug)]
pub struct FairShareRouter {
    engine: Engine,
    /// Expected turns after turn t, by t.
    remaining_turns: Vec<f64>,
    factor: f64,
}

impl FairShareRouter {
    /// Factors to choose from in tuning.
    #[must_use]
    pub fn settings() -> Vec<f64> {
        (-8..=8).map(|step| 2f64.powf(f64::from(step) / 3.0)).collect()
    }

    /// A router that allows a turn to cost `factor` times the fair share; `remaining_turns`: expected turns after turn t,
    /// by t.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn new(models: &[ModelConfig], remaining_turns: Vec<f64>, factor: f64) -> Result<Self, TrainError> {
        let engine = environment::engine(models, Strategy::BestAffordable, None)?;
        Ok(FairShareRouter { engine, remaining_turns, factor })
    }
}

impl Router for FairShareRouter {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn choose(&self, _: usize, episode: &Episode<'_>, decision: &Decision) -> Option<usize> {
        let view = episode.view();
        let later_turns = self.remaining_turns.get(view.turns as usize).copied().unwrap_or(0.0);
        let share = self.factor * view.available().0 as f64 / (1.0 + later_turns);
        let fits = |k: &usize| decision.estimates[*k].expected.0 as f64 <= share;
        let fair = decision.mask.allowed().filter(fits).max_by_key(|k| decision.estimates[*k].expected);
        fair.or_else(|| rule::cheapest(&decision.mask, &self.engine.config().models))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqroute_core::money::NanoUsd;
    use seqroute_sessions::simulator::{Simulator, tiers};

    #[test]
    fn a_share_for_each_turn_is_kept_until_the_last() {
        // With money for everything strong, the fair share is strong from the first turn to the last.
        let session = Simulator::new(1).sessions(20).into_iter().max_by_key(|s| s.turns.len()).unwrap();
        let turns = session.turns.len();
        let remaining: Vec<f64> = (0..turns).map(|t| (turns - 1 - t) as f64).collect();
        let served = |factor, budget| {
            let router = FairShareRouter::new(&tiers(), remaining.clone(), factor).unwrap();
            router.run(0, &session, NanoUsd(budget)).unwrap()
        };
        assert_eq!(served(1.0, 1_000_000_000_000).served_by[2], turns as u32);
        assert_eq!(served(1e-9, 1_000_000_000_000).served_by[0], turns as u32);
        assert!(!served(1.0, 30_000_000).bankrupt);
    }
}
