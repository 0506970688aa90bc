//! Offline learners, one file each; all train the same network on the same transitions.
//!
//! A learner is a loss on one batch ([`Learner`]). What they share (batches, averages, checkpoints) is in
//! [`training_loop`], the temporal-difference part of `cql` and `fqi` in [`td`]. To add one, write a file that
//! names the paper and has its settings, and add it to [`Algorithm`] and to `TrainConfig::learner`.

pub mod batch;
pub mod bc;
pub mod cql;
pub mod fqi;
pub mod progress;
pub mod state;
pub mod td;
pub mod training_loop;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::network::QNetwork;
use batch::Batch;

/// The learners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Fitted Q iteration ([`fqi`]).
    #[default]
    Fqi,
    /// Conservative Q-Learning ([`cql`]).
    Cql,
    /// Behaviour cloning ([`bc`]).
    Bc,
}

impl Algorithm {
    /// Name in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Fqi => "fqi",
            Algorithm::Cql => "cql",
            Algorithm::Bc => "bc",
        }
    }
}

/// The loss of a batch, with measures.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The objective, a mean over the batch.
    pub total: Tensor<1>,
    /// Terms of the loss and other means over the batch, in the order of [`Learner::measures`].
    pub measures: Vec<Tensor<1>>,
}

/// A loss function on batches of transitions.
pub trait Learner: Sync {
    /// Names of the measures.
    fn measures(&self) -> &'static [&'static str];

    /// Whether only rows of the behaviour's actions are used.
    fn only_taken(&self) -> bool {
        false
    }

    /// Whether a batch needs states of the same logged turn under several budgets.
    fn pairs(&self) -> bool {
        false
    }

    /// The loss of `online` (with a graph for gradients) on a batch. `plain` is the same network without a graph, and
    /// `target` an older copy: values that need no gradient must come from these two, because a graph is freed only by a
    /// backward pass.
    fn loss(&self, online: &QNetwork, plain: &QNetwork, target: &QNetwork, batch: Batch) -> Loss;
}
