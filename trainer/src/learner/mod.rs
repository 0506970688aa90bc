//! Offline learners: one file each, all from the same transitions to the same network.
//!
//! A learner is a loss on one batch ([`Learner`]). What they share (batches, averages, checkpoints) is in
//! [`training_loop`], the temporal-difference part of `cql` and `fqi` in [`td`]. To add one: a file with the paper on its first
//! lines and its settings, and a line in [`Algorithm`] and where it is turned into a learner.

pub mod batch;
pub mod bc;
pub mod cql;
pub mod fqi;
pub mod progress;
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
    /// Its name in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Fqi => "fqi",
            Algorithm::Cql => "cql",
            Algorithm::Bc => "bc",
        }
    }
}

/// A loss, and what is measured with it.
#[derive(Clone, Debug)]
pub struct Loss {
    /// What is minimised: the mean over the batch.
    pub total: Tensor<1>,
    /// Its parts and other means over the batch, in the order of [`Learner::measures`].
    pub measures: Vec<Tensor<1>>,
}

/// One way to learn from transitions.
pub trait Learner: Sync {
    /// Names of the measures.
    fn measures(&self) -> &'static [&'static str];

    /// Whether only rows that the behaviour took count.
    fn only_taken(&self) -> bool {
        false
    }

    /// Whether states of the same turn under different budgets belong side by side.
    fn pairs(&self) -> bool {
        false
    }

    /// The loss of `online` (with a graph for gradients) on a batch. `plain` is the same network without one, and
    /// `target` an older copy of it: only these may be asked without a backward pass, other graphs are never freed.
    fn loss(&self, online: &QNetwork, plain: &QNetwork, target: &QNetwork, batch: Batch) -> Loss;
}
