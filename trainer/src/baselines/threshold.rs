//! The strongest model until the remaining share of the budget falls below a threshold, then the cheapest.
//!
//! A heuristic of many gateways, and a strong baseline when tuned: every budget has its own best threshold.

use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::decide::rule;
use seqroute_core::engine::{Decision, Engine};

use super::Router;
use crate::error::TrainError;
use seqroute_sessions::environment::{self, Episode};

/// The most expensive allowed model while the unspent share of the budget is above a threshold, then the cheapest.
#[derive(Debug)]
pub struct ThresholdRouter {
    engine: Engine,
    threshold: f64,
}

impl ThresholdRouter {
    /// Thresholds to choose from in tuning.
    #[must_use]
    pub fn settings() -> Vec<f64> {
        (0..=20).map(|step| f64::from(step) * 0.05).collect()
    }

    /// A router with a given threshold, 0 (strong to the end) to 1 (cheap from the start).
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn new(models: &[ModelConfig], threshold: f64) -> Result<Self, TrainError> {
        let engine = environment::engine(models, Strategy::BestAffordable, None)?;
        Ok(ThresholdRouter { engine, threshold })
    }
}

impl Router for ThresholdRouter {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn choose(&self, _: usize, episode: &Episode<'_>, decision: &Decision) -> Option<usize> {
        let view = episode.view();
        let free_share = view.available().0 as f64 / view.budget.0.max(1) as f64;
        if free_share > self.threshold {
            rule::most_expensive(&decision.mask, &self.engine.config().models)
        } else {
            rule::cheapest(&decision.mask, &self.engine.config().models)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqroute_core::money::NanoUsd;
    use seqroute_sessions::simulator::{Simulator, tiers};

    #[test]
    fn the_threshold_switches_from_strong_to_cheap() {
        let session = Simulator::new(1).sessions(20).into_iter().max_by_key(|s| s.turns.len()).unwrap();
        let budget = NanoUsd(1_000_000_000_000);
        let run = |threshold| {
            let router = ThresholdRouter::new(&tiers(), threshold).unwrap();
            router.run(0, &session, budget).unwrap().served_by
        };
        let turns = session.turns.len() as u32;
        assert_eq!((run(0.5)[2], run(1.0)[0]), (turns, turns));
    }

    #[test]
    fn tuning_takes_the_threshold_with_the_highest_quality() {
        let sessions = Simulator::new(1).sessions(60);
        let make = |threshold| ThresholdRouter::new(&tiers(), threshold);
        let quality = |router: &ThresholdRouter, budget| {
            let run = |(i, session)| router.run(i, session, budget).unwrap().quality;
            sessions.iter().enumerate().map(run).sum::<f64>()
        };
        let budget = NanoUsd(8_000_000);
        let (best, setting) =
            super::super::tuned(&ThresholdRouter::settings(), &sessions, budget, make).unwrap();
        assert_eq!(best.threshold, setting);
        for other in ThresholdRouter::settings() {
            assert!(quality(&make(other).unwrap(), budget) <= quality(&best, budget));
        }
        // With a large budget the tuned router stays with the strongest model, with a small one it is cheap.
        let of =
            |budget| super::super::tuned(&ThresholdRouter::settings(), &sessions, budget, make).unwrap().1;
        assert!(of(NanoUsd(1_000_000_000_000)) < of(NanoUsd(3_000_000)));
    }
}
