//! Who follows a training: judges its checkpoints on validation sessions and passes on what happens.

use seqroute_core::config::{GuardConfig, ModelConfig, Strategy};
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;

use super::{CheckpointMetrics, Progress, TrainConfig, TrainingData, Wish};
use crate::artifact::{self, Origin, Trained};
use crate::hbr;
use crate::learner::training_loop::{Measured, Observer, State};
use crate::network::{Normalisation, Parameters};
use crate::text_head::TextHead;
use seqroute_sessions::environment;

/// Judges checkpoints and passes on what happens.
pub(super) struct Follower<'a> {
    pub(super) models: &'a [ModelConfig],
    pub(super) head: &'a TextHead,
    pub(super) origin: &'a Origin,
    pub(super) validator: Validator<'a>,
    pub(super) progress: &'a mut dyn FnMut(Progress<'_>) -> Result<Wish, String>,
    pub(super) failed: Option<String>,
}

impl Observer for Follower<'_> {
    fn step(&mut self, step: usize) -> bool {
        match (self.progress)(Progress::Step(step)) {
            Ok(wish) => wish == Wish::GoOn,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    fn checkpoint(
        &mut self,
        measured: &Measured,
        normalisation: &Normalisation,
        average: &Parameters,
    ) -> Result<(String, f64), String> {
        let network = Trained { parameters: average, normalisation, head: self.head };
        let archive =
            artifact::archive(&network, self.models, self.origin).map_err(|error| error.to_string())?;
        let mut metrics = CheckpointMetrics {
            learner: measured.clone(),
            validation_quality: None,
            validation_quality_by_budget: Vec::new(),
            validation_bankrupt_share: None,
        };
        self.validator.measure(&archive, &mut metrics)?;
        (self.progress)(Progress::Checkpoint(&metrics))?;
        let line = serde_json::to_string(&metrics).map_err(|error| error.to_string())?;
        Ok((line, metrics.validation_quality.unwrap_or(0.0)))
    }

    fn save(&mut self, state: &State) -> Result<(), String> {
        (self.progress)(Progress::Save(state)).map(|_| ())
    }
}

/// Plays validation sessions with a policy.
pub(super) struct Validator<'a> {
    data: &'a TrainingData<'a>,
    guard: &'a GuardConfig,
    budgets: Vec<NanoUsd>,
}

impl<'a> Validator<'a> {
    pub(super) fn new(
        data: &'a TrainingData<'a>,
        config: &TrainConfig,
        guard: &'a GuardConfig,
    ) -> Result<Self, String> {
        let engine = environment::engine(data.models, Strategy::BestAffordable, None);
        let engine = engine.map_err(|error| error.to_string())?;
        let reference = hbr::reference_cost_nano_usd(&engine, data.valid);
        let budget = |share: &f64| NanoUsd((share * reference) as u64);
        Ok(Validator { data, guard, budgets: config.validation_budget_shares.iter().map(budget).collect() })
    }

    fn measure(&self, archive: &[u8], metrics: &mut CheckpointMetrics) -> Result<(), String> {
        if self.data.valid.is_empty() {
            return Ok(());
        }
        let policy = Policy::open(archive).map_err(|error| error.to_string())?;
        let engine = environment::guarded(self.data.models, Strategy::Policy, Some(policy), self.guard);
        let engine = engine.map_err(|error| error.to_string())?;
        let mut bankrupt_share = 0.0;
        for budget in &self.budgets {
            let (mut quality, mut turns, mut bankrupt) = (0.0, 0usize, 0usize);
            for session in self.data.valid {
                let result = environment::run(&engine, session, *budget, 0.0, |_, decision| decision.chosen);
                let result = result.map_err(|error| error.to_string())?;
                quality += result.quality;
                turns += result.turns;
                bankrupt += usize::from(result.bankrupt);
            }
            metrics.validation_quality_by_budget.push(quality / turns.max(1) as f64);
            bankrupt_share += bankrupt as f64 / self.data.valid.len() as f64;
        }
        let budgets = self.budgets.len().max(1) as f64;
        let sum: f64 = metrics.validation_quality_by_budget.iter().sum();
        metrics.validation_quality = Some(sum / budgets);
        metrics.validation_bankrupt_share = Some(bankrupt_share / budgets);
        Ok(())
    }
}
