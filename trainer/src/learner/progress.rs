//! What a training reports while it runs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;

use super::state::State;

/// One line of `.metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckpointMetrics {
    /// Gradient steps done.
    pub step: usize,
    /// Rows seen.
    pub rows_seen: u64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// The learner's measures, means over the steps measured since the last checkpoint.
    #[serde(flatten)]
    pub measures: BTreeMap<&'static str, f32>,
    /// Performance of the averaged weights on the validation sessions.
    #[serde(flatten)]
    pub validation: Validation,
}

/// Performance of a checkpoint on the validation sessions; empty without any.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Validation {
    /// Quality per turn, mean over the budgets. Unserved turns count 0.
    #[serde(rename = "validation_quality", skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// Quality per turn at each budget.
    #[serde(rename = "validation_quality_by_budget", skip_serializing_if = "Vec::is_empty")]
    pub quality_by_budget: Vec<f64>,
    /// Share of the sessions that went bankrupt, mean over the budgets.
    #[serde(rename = "validation_bankrupt_share", skip_serializing_if = "Option::is_none")]
    pub bankrupt_share: Option<f64>,
}

/// An event in the training loop.
#[derive(Debug)]
pub enum Progress<'a> {
    /// This many steps are done. A break here saves the state and stops, except after the last step.
    Step(usize),
    /// A checkpoint was measured.
    Checkpoint(&'a CheckpointMetrics),
    /// The state to keep, so that training can resume from here.
    Save(&'a State),
}

/// Receives progress. [`ControlFlow::Break`] stops the training, which returns the break value.
pub type Observer<'a, B> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<B>;
