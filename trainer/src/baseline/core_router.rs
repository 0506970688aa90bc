//! Routers that the core itself can be: the trained policy, always one model, and best affordable.

use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::engine::{Decision, Engine};
use seqroute_core::policy::Policy;

use super::Router;
use crate::environment::{self, Episode, ReplayError};

/// A strategy of the core, exactly as the filter runs it.
#[derive(Debug)]
pub struct CoreRouter {
    name: String,
    engine: Engine,
}

impl CoreRouter {
    /// The trained policy, `seqroute` in tables.
    ///
    /// # Errors
    /// The policy is for other models.
    pub fn policy(models: &[ModelConfig], policy: Policy) -> Result<Self, ReplayError> {
        let engine = environment::engine(models, Strategy::Policy, Some(policy))?;
        Ok(CoreRouter { name: "seqroute".to_owned(), engine })
    }

    /// Always the same model; the session ends where the budget does not cover it.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn always(models: &[ModelConfig], name: &str) -> Result<Self, ReplayError> {
        let engine = environment::engine(models, Strategy::Always(name.to_owned()), None)?;
        Ok(CoreRouter { name: format!("always {name}"), engine })
    }

    /// The most expensive model that the budget covers now: what a router does that sees one turn only.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn myopic(models: &[ModelConfig]) -> Result<Self, ReplayError> {
        let engine = environment::engine(models, Strategy::BestAffordable, None)?;
        Ok(CoreRouter { name: "myopic".to_owned(), engine })
    }
}

impl Router for CoreRouter {
    fn name(&self) -> &str {
        &self.name
    }

    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn choose(&self, _: usize, _: &Episode<'_>, decision: &Decision) -> Option<usize> {
        decision.chosen
    }
}
