//! The most expensive model that leaves enough money for the remaining turns at the cheapest model.
//!
//! The core's own guard (`guard.remaining_turns`) with the strategy `best_affordable`. Its table is the expected number
//! of remaining turns times a tuned factor; with 0 it is the myopic router.

use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::engine::{Decision, Engine};

use super::Router;
use crate::error::TrainError;
use seqroute_sessions::environment::Episode;

/// Largest entry of the guard's table.
const MAX_TURNS: f64 = 1000.0;

/// Best affordable with a guard.
#[derive(Debug)]
pub struct ReserveGuardRouter {
    engine: Engine,
}

impl ReserveGuardRouter {
    /// Factors to choose from in tuning.
    #[must_use]
    pub fn settings() -> Vec<f64> {
        let spread = (-4..=14).map(|step| 2f64.powf(f64::from(step) / 3.0));
        [0.0].into_iter().chain(spread).chain([50.0, 200.0]).collect()
    }

    /// A router that keeps `factor` times the cheapest model's cost of the remaining turns; `remaining_turns`: expected
    /// turns after turn t, by t.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn new(models: &[ModelConfig], remaining_turns: &[f64], factor: f64) -> Result<Self, TrainError> {
        let mut config = seqroute_sessions::models::config(models)?;
        config.strategy = Strategy::BestAffordable;
        let scaled = remaining_turns.iter().map(|turns| (factor * turns).min(MAX_TURNS) as f32);
        config.guard.remaining_turns = scaled.collect();
        Ok(ReserveGuardRouter { engine: Engine::new(config, None)? })
    }
}

impl Router for ReserveGuardRouter {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn choose(&self, _: usize, _: &Episode<'_>, decision: &Decision) -> Option<usize> {
        decision.chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqroute_core::money::NanoUsd;
    use seqroute_sessions::simulator::{Simulator, tiers};

    #[test]
    fn a_larger_reserve_leaves_fewer_sessions_bankrupt() {
        let (sessions, models) = (Simulator::new(1).sessions(100), tiers());
        let remaining: Vec<f64> = (0..16).map(|t| f64::from(16 - t) / 3.0).collect();
        let bankrupt = |factor| {
            let router = ReserveGuardRouter::new(&models, &remaining, factor).unwrap();
            let run = |(i, session)| router.run(i, session, NanoUsd(10_000_000)).unwrap().bankrupt;
            sessions.iter().enumerate().filter(|turn| run(*turn)).count()
        };
        assert!(bankrupt(0.0) > bankrupt(1.0) && bankrupt(1.0) > bankrupt(4.0));
    }
}
