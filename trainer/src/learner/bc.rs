//! Behaviour cloning: imitates the behaviour policy of the data.
//!
//! Pomerleau: *ALVINN: An Autonomous Land Vehicle in a Neural Network*, NeurIPS 1988. The baseline of SeqRoute
//! (arXiv 2605.25424).
//!
//! The quality head's outputs are logits; on the rows of the behaviour's actions, loss = cross entropy of the
//! action among the allowed ones. The spend head is not trained.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::learner::batch::Batch;
use crate::learner::{Learner, Loss};
use crate::network::QNetwork;

/// Settings of behaviour cloning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BcConfig {
    /// Weight of the mean square of the logits, which bounds them where the behaviour is deterministic.
    pub logit_penalty: f32,
}

impl Default for BcConfig {
    fn default() -> Self {
        BcConfig { logit_penalty: 1e-3 }
    }
}

/// Behaviour cloning.
#[derive(Clone, Debug)]
pub struct Bc(pub BcConfig);

impl Learner for Bc {
    fn measures(&self) -> &'static [&'static str] {
        &["cross_entropy"]
    }

    fn only_taken(&self) -> bool {
        true
    }

    fn loss(&self, online: &QNetwork, _: &QNetwork, _: &QNetwork, batch: Batch) -> Loss {
        let logits = online.forward(batch.states).narrow(1, 0, batch.models);
        let taken = Tensor::from_inner(batch.plain_observed);
        let allowed = logits.clone().mask_fill(batch.forbidden, -1e9f32);
        let highest = allowed.clone().detach().max_dim(1);
        let soft = (allowed - highest.clone()).exp().sum_dim(1).log() + highest;
        let cross_entropy = ((soft - logits.clone()) * taken).sum().div_scalar(batch.rows.max(1) as f32);
        let size = (logits.clone() * logits).mean().mul_scalar(self.0.logit_penalty);
        Loss { total: cross_entropy.clone() + size, measures: vec![cross_entropy] }
    }
}
