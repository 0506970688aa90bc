//! The state of a training, which a checkpoint file holds.

use serde::{Deserialize, Serialize};

use crate::hbr::Transitions;
use crate::network::adam::Adam;
use crate::network::{Normalisation, Parameters, exact};

/// The complete state of a training between two steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: usize,
    /// Number of the relabelling in use, and the position in its order.
    pub(super) epoch: u64,
    pub(super) at: usize,
    /// Rows seen.
    pub rows_seen: u64,
    /// Normalisation of the states.
    pub normalisation: Normalisation,
    pub(super) online: Parameters,
    pub(super) target: Parameters,
    pub(super) average: Parameters,
    pub(super) adam: Adam,
    #[serde(with = "exact")]
    pub(super) sums: Vec<f32>,
    pub(super) summed: usize,
    /// The best checkpoint.
    pub best: Option<Best>,
    /// Checkpoints since the best one.
    pub(super) stale: usize,
    /// The metrics so far, one JSON object per line.
    pub metrics_jsonl: String,
}

/// The best checkpoint so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Validation quality, as the bits of an `f64`.
    pub(super) score_bits: u64,
    /// Gradient step.
    pub step: usize,
    /// Averaged weights.
    pub parameters: Parameters,
}

impl State {
    pub(super) fn new(first: &Transitions, hidden: &[usize], measures: usize, seed: u64) -> Self {
        let parameters = Parameters::draw(first.features, hidden, 2 * first.models, seed);
        State {
            step: 0,
            epoch: 0,
            at: 0,
            rows_seen: 0,
            normalisation: Normalisation::of(&first.states, first.features),
            target: parameters.clone(),
            average: parameters.clone(),
            adam: Adam::new(&parameters),
            online: parameters,
            sums: vec![0.0; measures],
            summed: 0,
            best: None,
            stale: 0,
            metrics_jsonl: String::new(),
        }
    }
}
