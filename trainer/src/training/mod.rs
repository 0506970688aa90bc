//! A training run from sessions to artifact: relabel, learn, choose the best checkpoint, check, describe.
//!
//! A run writes nothing but what its caller makes of [`Progress::Save`]; it returns the bytes of the files, which the
//! command writes at once. A checkpoint is judged by playing validation sessions under several budgets with the
//! core's decision rule, the way the policy will be used; without validation sessions the last one is taken.

mod config;
mod follower;

use std::time::Instant;

use seqroute_core::config::ModelConfig;
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;
use seqroute_core::text::TextFeatures;
use serde::Serialize;
use serde_json::json;

use crate::artifact::{self, Origin, Trained};
use crate::hbr::{Relabeller, Transitions};
use crate::learner::training_loop::{self, Ended, Measured, State};
use crate::text_head::{self, TextSummary};
use follower::{Follower, Validator};
use seqroute_sessions::guard;
use seqroute_sessions::session::Session;

pub use config::TrainConfig;

/// States that the self-check compares.
const CHECKED_STATES: usize = 1000;

/// What is trained on.
#[derive(Clone, Copy, Debug)]
pub struct TrainingData<'a> {
    /// Sessions to learn from.
    pub train: &'a [Session],
    /// Sessions to choose the checkpoint by; may be empty.
    pub valid: &'a [Session],
    /// The models.
    pub models: &'a [ModelConfig],
    /// SHA-256 of the training data, for the manifest.
    pub sha256: &'a str,
}

/// One line of `.metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckpointMetrics {
    /// What the learner measured.
    #[serde(flatten)]
    pub learner: Measured,
    /// Validation: quality per turn, mean over the budgets. Turns that were not served count 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_quality: Option<f64>,
    /// The same at each budget.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validation_quality_by_budget: Vec<f64>,
    /// Validation: share of the sessions that went bankrupt, mean over the budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_bankrupt_share: Option<f64>,
}

/// The relabelled data in numbers: those of the first relabelling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RelabelSummary {
    /// Sessions.
    pub sessions: usize,
    /// Transitions.
    pub transitions: usize,
    /// Share of them that lead to bankruptcy.
    pub bankrupt_share: f64,
    /// Smallest and largest budget.
    pub budget_range_nano_usd: [NanoUsd; 2],
}

/// What a run tells while it runs.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The text head is fitted.
    Text(&'a TextSummary),
    /// Relabelling is done.
    Data(&'a RelabelSummary),
    /// So many steps are done.
    Step(usize),
    /// A checkpoint was measured.
    Checkpoint(&'a CheckpointMetrics),
    /// The state to keep, so that the training can go on from here.
    Save(&'a State),
}

/// What a run listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    GoOn,
    /// Save the state and stop.
    Stop,
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The policy archive.
    pub archive: Vec<u8>,
    /// The policy's id.
    pub policy_id: String,
    /// All settings as TOML.
    pub config_toml: String,
    /// The metrics, one JSON object per line.
    pub metrics_jsonl: String,
    /// What the text tells.
    pub text: TextSummary,
    /// The relabelled data.
    pub data: RelabelSummary,
    /// Rows that were trained on, over all relabellings.
    pub rows_seen: u64,
    /// The step whose weights were taken.
    pub chosen_step: usize,
    /// Largest difference in the self-check.
    pub largest_difference: f32,
    /// Seconds of the loop alone.
    pub seconds: f64,
}

/// Trains a policy; `None` when `progress` wished it to stop. `state` is where an earlier run of the same data and
/// settings stopped.
///
/// # Errors
/// One line for settings, data or models that cannot be trained with, or from `progress`.
pub fn train(
    data: &TrainingData<'_>,
    config: &TrainConfig,
    name: &str,
    state: Option<State>,
    progress: &mut dyn FnMut(Progress<'_>) -> Result<Wish, String>,
) -> Result<Option<Finished>, String> {
    config.check()?;
    let started = Instant::now();
    let (head, predictions, text) = text_head::fit(data.train, data.models, &config.text)?;
    progress(Progress::Text(&text))?;
    let guard = guard::measure(data.train, &config.guard);
    let relabeller = Relabeller::new(data.train, data.models, &config.hbr, &guard, &predictions);
    let relabeller = relabeller.map_err(|error| error.to_string())?;
    let rows = |epoch: u64| relabeller.rows(config.seed, epoch, |_| {}).map_err(|error| error.to_string());
    let first = rows(0)?;
    let summary = RelabelSummary {
        sessions: data.train.len(),
        transitions: first.len(),
        bankrupt_share: first.bankrupt_share(),
        budget_range_nano_usd: first.budget_range_nano_usd,
    };
    let checked = states_to_check(&first, data.train);
    progress(Progress::Data(&summary))?;
    let origin = Origin {
        name: name.to_owned(),
        learner: json!({"algorithm": config.algorithm.name(), "config": config, "guard": guard}),
        budget_range_nano_usd: summary.budget_range_nano_usd,
        data_sha256: data.sha256.to_owned(),
    };
    let mut follower = Follower {
        models: data.models,
        head: &head,
        origin: &origin,
        validator: Validator::new(data, config, &guard)?,
        progress,
        failed: None,
    };
    // The first rows are needed for the summary and by the loop: made once, kept until the loop asks for them.
    let first = std::sync::Mutex::new(Some(first));
    let kept = |epoch: u64| {
        let kept = first.lock().ok().and_then(|mut first| first.take()).filter(|_| epoch == 0);
        kept.map_or_else(|| rows(epoch), Ok)
    };
    let (state, ended) = fit::fit(&kept, &*config.learner(), &config.fit, config.seed, state, &mut follower)?;
    if let Some(error) = follower.failed {
        return Err(error);
    }
    if ended == Ended::Stopped {
        return Ok(None);
    }
    let best = state.best.as_ref().ok_or("the training ended without a checkpoint")?;
    let network = Trained { parameters: &best.parameters, normalisation: &state.normalisation, head: &head };
    let archive = artifact::archive(&network, data.models, &origin).map_err(|error| error.to_string())?;
    let largest_difference = artifact::self_check(&archive, &network, &checked)?;
    let policy_id = Policy::open(&archive).map_err(|error| error.to_string())?.id();
    let config_toml = toml::to_string(config).map_err(|error| error.to_string())?;
    Ok(Some(Finished {
        archive,
        policy_id,
        config_toml,
        metrics_jsonl: state.metrics_jsonl.clone(),
        text,
        data: summary,
        rows_seen: state.rows_seen,
        chosen_step: best.step,
        largest_difference,
        seconds: started.elapsed().as_secs_f64(),
    }))
}

/// Evenly spaced states with messages from the same data, one without.
fn states_to_check(transitions: &Transitions, sessions: &[Session]) -> Vec<(Vec<f32>, TextFeatures)> {
    let stride = transitions.len().div_ceil(CHECKED_STATES).max(1);
    let plain = transitions.features - 2 * transitions.models;
    let rows = (0..transitions.len()).step_by(stride).map(|row| transitions.state(row));
    let texts = sessions.iter().flat_map(|session| &session.turns).map(|turn| turn.text);
    let texts = [TextFeatures::default()].into_iter().chain(texts).cycle();
    rows.zip(texts).map(|(row, text)| (row.iter().copied().take(plain).collect(), text)).collect()
}

#[cfg(test)]
#[path = "training_tests.rs"]
mod tests;
