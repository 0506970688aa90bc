//! Plays validation sessions with a checkpoint's policy.

use seqroute_core::config::{GuardConfig, Strategy};
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;

use super::{TrainConfig, TrainingData};
use crate::error::TrainError;
use crate::hbr;
use crate::learner::progress::Validation;
use seqroute_sessions::environment;

/// The validation sessions and budgets of a run.
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
    ) -> Result<Self, TrainError> {
        let engine = environment::engine(data.models, Strategy::BestAffordable, None)?;
        let reference = hbr::reference_cost_nano_usd(&engine, data.valid);
        let budget = |share: &f64| NanoUsd((share * reference) as u64);
        Ok(Validator { data, guard, budgets: config.validation_budget_shares.iter().map(budget).collect() })
    }

    /// Plays every session under every budget.
    pub(super) fn play(&self, archive: &[u8]) -> Result<Validation, TrainError> {
        if self.data.valid.is_empty() {
            return Ok(Validation::default());
        }
        let policy = Some(Policy::open(archive)?);
        let engine = environment::guarded(self.data.models, Strategy::Policy, policy, self.guard)?;
        let (mut quality_by_budget, mut bankrupt_share) = (Vec::new(), 0.0);
        for budget in &self.budgets {
            let (mut quality, mut turns, mut bankrupt) = (0.0, 0usize, 0usize);
            for session in self.data.valid {
                let result = environment::run(&engine, session, *budget, 0.0, |_, decision| decision.chosen)?;
                quality += result.quality;
                turns += result.turns;
                bankrupt += usize::from(result.bankrupt);
            }
            quality_by_budget.push(quality / turns.max(1) as f64);
            bankrupt_share += bankrupt as f64 / self.data.valid.len() as f64;
        }
        let budgets = self.budgets.len().max(1) as f64;
        Ok(Validation {
            quality: Some(quality_by_budget.iter().sum::<f64>() / budgets),
            quality_by_budget,
            bankrupt_share: Some(bankrupt_share / budgets),
        })
    }
}
