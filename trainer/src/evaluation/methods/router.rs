//! Baselines and bounds that are routers.

use seqroute_core::money::NanoUsd;

use super::{Method, MethodKind, Routers};
use crate::error::TrainError;

/// A baseline or bound that is a router.
pub struct RouterMethod<F> {
    name: String,
    kind: MethodKind,
    make: F,
}

impl<F: Fn(NanoUsd) -> Result<Routers, TrainError> + Sync> RouterMethod<F> {
    /// A method that plays the router that `make` gives for a budget.
    pub fn new(name: impl Into<String>, kind: MethodKind, make: F) -> Self {
        RouterMethod { name: name.into(), kind, make }
    }
}

impl<F: Fn(NanoUsd) -> Result<Routers, TrainError> + Sync> Method for RouterMethod<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> MethodKind {
        self.kind
    }

    fn routers(&self, budget: NanoUsd) -> Result<Routers, TrainError> {
        (self.make)(budget)
    }
}
