//! Strong while there is money, cheap once the remaining share of the budget falls under a threshold.
//!
//! The one-line heuristic of many gateways, and a strong one when tuned: every budget has its own best threshold. It
//! is tuned on other sessions than those it is compared on ([`ThresholdRouter::tuned`]).

use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::decide;
use seqroute_core::engine::{Decision, Engine};
use seqroute_core::money::NanoUsd;

use super::Router;
use crate::environment::{self, Episode, ReplayError};
use crate::session::Session;

/// Thresholds that tuning tries, in steps of this share.
const STEP: f64 = 0.05;

/// The most expensive allowed model while the free share of the budget is above a threshold, then the cheapest.
#[derive(Debug)]
pub struct ThresholdRouter {
    engine: Engine,
    threshold: f64,
}

impl ThresholdRouter {
    /// A router with a given threshold, 0 (strong to the end) to 1 (cheap from the start).
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn new(models: &[ModelConfig], threshold: f64) -> Result<Self, ReplayError> {
        let engine = environment::engine(models, Strategy::BestAffordable, None)?;
        Ok(ThresholdRouter { engine, threshold })
    }

    /// The threshold with the highest quality on `sessions` under `budget`; the first of equals.
    ///
    /// # Errors
    /// The core refuses the models, or the data lacks an answer.
    pub fn tuned(models: &[ModelConfig], sessions: &[Session], budget: NanoUsd) -> Result<Self, ReplayError> {
        let mut router = ThresholdRouter::new(models, 0.0)?;
        let mut best = (f64::MIN, 0.0);
        for step in 0..=20 {
            router.threshold = f64::from(step) * STEP;
            let mut quality = 0.0;
            for (index, session) in sessions.iter().enumerate() {
                quality += router.run(index, session, budget, 0.0)?.quality;
            }
            if quality > best.0 {
                best = (quality, router.threshold);
            }
        }
        router.threshold = best.1;
        Ok(router)
    }

    /// The threshold.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }
}

impl Router for ThresholdRouter {
    fn name(&self) -> &str {
        "threshold"
    }

    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn choose(&self, _: usize, episode: &Episode<'_>, decision: &Decision) -> Option<usize> {
        let view = episode.view();
        let free_share = view.available().0 as f64 / view.budget.0.max(1) as f64;
        if free_share > self.threshold {
            decide::most_expensive(&decision.mask, &decision.estimates)
        } else {
            decide::cheapest(&decision.mask, &decision.estimates)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{Simulator, tiers};

    #[test]
    fn the_threshold_switches_from_strong_to_cheap() {
        let session = Simulator::new(1).sessions(20).into_iter().max_by_key(|s| s.turns.len()).unwrap();
        let budget = NanoUsd(1_000_000_000_000);
        let run = |threshold| {
            let router = ThresholdRouter::new(&tiers(), threshold).unwrap();
            router.run(0, &session, budget, 0.0).unwrap().served_by
        };
        let turns = session.turns.len() as u32;
        assert_eq!((run(0.5)[2], run(1.0)[0]), (turns, turns));
    }
}
