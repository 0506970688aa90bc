//! Fitted Q iteration.
//!
//! Ernst, Geurts, Wehenkel: *Tree-Based Batch Mode Reinforcement Learning*, JMLR 2005; with a neural network
//! Riedmiller: *Neural Fitted Q Iteration*, ECML 2005.
//!
//! The default for relabelled data: if every allowed model has an outcome, or if logs cover the actions well, no
//! conservative term is needed. Every step minimises the loss of [`crate::learner::td`]; the target network is copied from
//! the online one every `target_period_steps`, so one such period is one iteration of the method.

use serde::{Deserialize, Serialize};

use crate::learner::batch::Batch;
use crate::learner::td::{self, TdSettings};
use crate::learner::{Learner, Loss};
use crate::network::QNetwork;

/// Settings of fitted Q iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FqiConfig {
    /// γ, discount per turn; 1 by default: sessions are finite, and a late turn counts as much as an early one.
    pub gamma: f32,
    /// η, penalty of a turn that leads to bankruptcy. Unserved turns already count 0.
    pub eta: f32,
    /// Errors above this count linearly instead of squared. Small values estimate a median rather than a mean.
    pub huber_delta: f32,
    /// w, weight of the spend head's loss.
    pub cost_weight: f32,
    /// p, weight of the paired loss.
    pub paired_weight: f32,
}

impl Default for FqiConfig {
    fn default() -> Self {
        FqiConfig { gamma: 1.0, eta: 0.0, huber_delta: 5.0, cost_weight: 1.0, paired_weight: 10.0 }
    }
}

impl FqiConfig {
    /// The settings of the shared loss.
    #[must_use]
    pub fn td(&self) -> TdSettings {
        let FqiConfig { gamma, eta, huber_delta, cost_weight, paired_weight } = *self;
        TdSettings { gamma, eta, huber_delta, cost_weight, paired_weight }
    }
}

/// Fitted Q iteration.
#[derive(Clone, Debug)]
pub struct Fqi(pub FqiConfig);

impl Learner for Fqi {
    fn measures(&self) -> &'static [&'static str] {
        &td::MEASURES
    }

    fn pairs(&self) -> bool {
        self.0.paired_weight > 0.0
    }

    fn loss(&self, online: &QNetwork, plain: &QNetwork, target: &QNetwork, batch: Batch) -> Loss {
        let td = td::loss(online, plain, target, &batch, &self.0.td());
        Loss { total: td.total, measures: td.measures }
    }
}
