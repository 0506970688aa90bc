//! Trained policies.

use seqroute_core::config::{GuardConfig, LambdaRule, ModelConfig};
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;

use super::{Method, MethodKind, Routers};
use crate::baselines::{CoreRouter, Router};
use crate::error::TrainError;
use seqroute_sessions::guard;

/// A trained policy; several archives if it was trained with several seeds.
#[derive(Clone, Debug)]
pub struct PolicyMethod {
    /// Its name.
    pub name: String,
    /// Its group.
    pub kind: MethodKind,
    /// The models.
    pub models: Vec<ModelConfig>,
    /// The archives, one per seed.
    pub archives: Vec<Vec<u8>>,
    /// Whether each plays with the guard that it was trained with.
    pub guarded: bool,
    /// λ of its decisions.
    pub lambda: f32,
    /// What λ is multiplied by.
    pub rule: LambdaRule,
}

impl PolicyMethod {
    /// The routers, one per archive.
    ///
    /// # Errors
    /// An archive cannot serve these models, or its manifest has no readable guard.
    fn core_routers(&self) -> Result<Vec<CoreRouter>, TrainError> {
        let router = |archive: &Vec<u8>| {
            let policy = Policy::open(archive)?;
            let guard = if self.guarded { guard::of(&policy)? } else { GuardConfig::default() };
            CoreRouter::priced(&self.models, policy, guard, self.lambda, self.rule)
        };
        self.archives.iter().map(router).collect()
    }
}

impl Method for PolicyMethod {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> MethodKind {
        self.kind
    }

    fn routers(&self, _: NanoUsd) -> Result<Routers, TrainError> {
        let boxed = |router| Box::new(router) as Box<dyn Router>;
        Ok(Routers { routers: self.core_routers()?.into_iter().map(boxed).collect(), setting: None })
    }
}
