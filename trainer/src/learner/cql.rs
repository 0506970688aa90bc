//! Conservative Q-Learning for discrete actions.
//!
//! Kumar, Zhou, Tucker, Levine: *Conservative Q-Learning for Offline Reinforcement Learning*, NeurIPS 2020
//! (arXiv 2006.04779), in the form CQL(H), on double-Q targets. SeqRoute (arXiv 2605.25424) uses it to route under a
//! budget; `examples/paper.toml` has its settings.
//!
//! To the loss of [`crate::learner::td`] comes α·(log Σ_allowed exp Q_r(s,·) − Q_r(s,a)): actions without data
//! must not look better than those with data. The sum is over the allowed actions: a forbidden one is never chosen, so
//! its value need not be pushed down.

use serde::{Deserialize, Serialize};

use crate::learner::batch::Batch;
use crate::learner::td::{self, TdSettings};
use crate::learner::{Learner, Loss};
use crate::network::QNetwork;

/// Settings of CQL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CqlConfig {
    /// α, weight of the conservative term.
    pub alpha: f32,
    /// γ, discount per turn (the paper: 0.99).
    pub gamma: f32,
    /// η, penalty of a turn that leads to bankruptcy (the paper: 5).
    pub eta: f32,
    /// Errors above this count linearly instead of squared.
    pub huber_delta: f32,
    /// w, weight of the spend head's loss.
    pub cost_weight: f32,
    /// p, weight of the paired loss.
    pub paired_weight: f32,
}

impl Default for CqlConfig {
    fn default() -> Self {
        CqlConfig { alpha: 0.1, gamma: 1.0, eta: 0.0, huber_delta: 5.0, cost_weight: 1.0, paired_weight: 0.0 }
    }
}

impl CqlConfig {
    /// The settings of the shared loss.
    #[must_use]
    pub fn td(&self) -> TdSettings {
        let CqlConfig { alpha: _, gamma, eta, huber_delta, cost_weight, paired_weight } = *self;
        TdSettings { gamma, eta, huber_delta, cost_weight, paired_weight }
    }
}

/// Conservative Q-Learning.
#[derive(Clone, Debug)]
pub struct Cql(pub CqlConfig);

impl Learner for Cql {
    fn measures(&self) -> &'static [&'static str] {
        &[
            "quality_loss",
            "cost_loss",
            "paired_loss",
            "mean_quality_to_go",
            "mean_spend_to_go",
            "conservative",
        ]
    }

    fn pairs(&self) -> bool {
        self.0.paired_weight > 0.0
    }

    fn loss(&self, online: &QNetwork, plain: &QNetwork, target: &QNetwork, batch: Batch) -> Loss {
        let mut td = td::loss(online, plain, target, &batch, &self.0.td());
        let allowed = td.quality.clone().mask_fill(batch.forbidden, -1e9f32);
        let highest = allowed.clone().detach().max_dim(1);
        let soft = (allowed - highest.clone()).exp().sum_dim(1).log() + highest;
        let conservative = ((soft - td.quality) * td.observed).sum().div_scalar(batch.rows.max(1) as f32);
        td.measures.push(conservative.clone());
        Loss { total: td.total + conservative.mul_scalar(self.0.alpha), measures: td.measures }
    }
}
