//! Strategies of the core as routers: a trained policy, always one model, and best affordable.

use seqroute_core::config::{GuardConfig, LambdaRule, ModelConfig, Strategy};
use seqroute_core::engine::{Decision, Engine};
use seqroute_core::policy::Policy;

use super::Router;
use crate::error::TrainError;
use seqroute_sessions::environment::{self, Episode};

/// A strategy of the core, as the filter runs it.
#[derive(Debug)]
pub struct CoreRouter {
    engine: Engine,
    lambda: f32,
}

impl CoreRouter {
    /// A trained policy with λ = 0 and no guard.
    ///
    /// # Errors
    /// The policy is for other models.
    pub fn policy(models: &[ModelConfig], policy: Policy) -> Result<Self, TrainError> {
        CoreRouter::priced(models, policy, GuardConfig::default(), 0.0, LambdaRule::default())
    }

    /// A trained policy with a guard, λ, and the rule that λ applies to.
    ///
    /// # Errors
    /// The policy is for other models.
    pub fn priced(
        models: &[ModelConfig],
        policy: Policy,
        guard: GuardConfig,
        lambda: f32,
        rule: LambdaRule,
    ) -> Result<Self, TrainError> {
        let mut config = seqroute_sessions::models::config(models)?;
        config.guard = guard;
        config.strategy = Strategy::Policy;
        config.lambda.rule = rule;
        Ok(CoreRouter { engine: Engine::new(config, Some(policy))?, lambda })
    }

    /// Always the same model; the session ends when the budget does not cover it.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn always(models: &[ModelConfig], name: &str) -> Result<Self, TrainError> {
        let engine = environment::engine(models, Strategy::Always(name.to_owned()), None)?;
        Ok(CoreRouter { engine, lambda: 0.0 })
    }

    /// The most expensive model that the budget covers now: a router that considers one turn only.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn myopic(models: &[ModelConfig]) -> Result<Self, TrainError> {
        let engine = environment::engine(models, Strategy::BestAffordable, None)?;
        Ok(CoreRouter { engine, lambda: 0.0 })
    }
}

impl Router for CoreRouter {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn lambda(&self) -> f32 {
        self.lambda
    }

    fn choose(&self, _: usize, _: &Episode<'_>, decision: &Decision) -> Option<usize> {
        decision.chosen
    }
}
