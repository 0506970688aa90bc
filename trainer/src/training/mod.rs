//! A training run from sessions to artifact: relabel, learn, choose the best checkpoint, check, describe.
//!
//! [`Training::prepare`] fits the text head and relabels once, [`Training::run`] trains. A run writes no file: it returns
//! the bytes, and its observer keeps the states that a later run resumes from. A checkpoint is scored by playing
//! validation sessions under several budgets with the core's decision rule, the way the policy will be used; without
//! validation sessions the last checkpoint is taken.

mod config;
mod validation;

use std::ops::ControlFlow;

use seqroute_core::body::text::TextFeatures;
use seqroute_core::config::ModelConfig;
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;
use serde::Serialize;
use serde_json::json;

use crate::artifact::{self, Origin, Trained};
use crate::error::TrainError;
use crate::hbr::{BudgetCounts, Relabeller, Transitions};
use crate::learner::progress::Observer;
use crate::learner::state::State;
use crate::learner::training_loop::TrainingLoop;
use crate::network::{Normalisation, Parameters};
use crate::text_head::{self, Predictions, TextHead, TextSummary};
use seqroute_sessions::guard;
use seqroute_sessions::session::Session;
use validation::Validator;

pub use config::TrainConfig;

/// States that the self-check compares.
const CHECKED_STATES: usize = 1000;

/// Sessions, and the models that answered them.
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

/// The first relabelling in numbers.
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
    /// Rows that were trained on, over all relabellings.
    pub rows_seen: u64,
    /// The step whose weights were taken.
    pub chosen_step: usize,
    /// Largest difference in the self-check.
    pub largest_difference: f32,
}

/// A training that can start.
pub struct Training<'a> {
    data: TrainingData<'a>,
    config: &'a TrainConfig,
    head: TextHead,
    relabeller: Relabeller<'a>,
    /// Rows of epoch 0: the summary needs them, and so does the loop.
    first: Transitions,
    /// What the text features predict.
    pub text: TextSummary,
    /// The first relabelling.
    pub relabelled: RelabelSummary,
}

/// Relabels without training: what each budget makes of the sessions.
///
/// # Errors
/// Settings out of range, or models that the core refuses.
pub fn count(data: &TrainingData<'_>, config: &TrainConfig) -> Result<Vec<BudgetCounts>, TrainError> {
    config.check()?;
    let guard = guard::measure(data.train, &config.guard);
    let relabeller = Relabeller::new(data.train, data.models, &config.hbr, guard, Predictions::default())?;
    relabeller.counts(config.seed)
}

impl<'a> Training<'a> {
    /// Fits the text head and relabels once.
    ///
    /// # Errors
    /// Settings out of range, or models that the core refuses.
    pub fn prepare(data: &TrainingData<'a>, config: &'a TrainConfig) -> Result<Self, TrainError> {
        config.check()?;
        let (head, predictions, text) = text_head::fit(data.train, data.models, &config.text)?;
        let guard = guard::measure(data.train, &config.guard);
        let relabeller = Relabeller::new(data.train, data.models, &config.hbr, guard, predictions)?;
        let first = relabeller.rows(config.seed, 0)?;
        let relabelled = RelabelSummary {
            sessions: data.train.len(),
            transitions: first.len(),
            bankrupt_share: first.bankrupt_share(),
            budget_range_nano_usd: first.budget_range_nano_usd,
        };
        Ok(Training { data: *data, config, head, relabeller, first, text, relabelled })
    }

    /// Trains a policy of this name. `state` is where an earlier run on the same data and settings stopped; the observer
    /// sees the progress and may break off.
    ///
    /// # Errors
    /// Data without an affordable turn, a training that diverges, or an archive that fails its self-check.
    pub fn run<B>(
        self,
        name: &str,
        state: Option<State>,
        observer: Observer<'_, B>,
    ) -> Result<ControlFlow<B, Finished>, TrainError> {
        let Training { data, config, head, relabeller, first, relabelled, .. } = self;
        let guard = relabeller.guard();
        let checked = states_to_check(&first, data.train);
        let origin = Origin {
            name: name.to_owned(),
            learner: json!({"algorithm": config.algorithm.name(), "config": config, "guard": guard}),
            budget_range_nano_usd: relabelled.budget_range_nano_usd,
            data_sha256: data.sha256.to_owned(),
        };
        let export = |parameters: &Parameters, normalisation: &Normalisation| {
            let network = Trained { parameters, normalisation, head: &head };
            artifact::archive(&network, data.models, &origin)
        };
        let validator = Validator::new(&data, config, guard)?;
        let learner = config.learner();
        let training_loop = TrainingLoop {
            rows: &|epoch| relabeller.rows(config.seed, epoch),
            learner: &*learner,
            config: &config.fit,
            seed: config.seed,
            validate: &|normalisation, average| validator.play(&export(average, normalisation)?),
        };
        let state = match training_loop.run(first, state, observer)? {
            ControlFlow::Continue(state) => state,
            ControlFlow::Break(value) => return Ok(ControlFlow::Break(value)),
        };
        let best = state.best.as_ref().ok_or(TrainError::NoTransitions)?;
        let network =
            Trained { parameters: &best.parameters, normalisation: &state.normalisation, head: &head };
        let archive = artifact::archive(&network, data.models, &origin)?;
        Ok(ControlFlow::Continue(Finished {
            policy_id: Policy::open(&archive)?.id(),
            largest_difference: artifact::self_check(&archive, &network, &checked)?,
            config_toml: toml::to_string(config)?,
            metrics_jsonl: state.metrics_jsonl.clone(),
            rows_seen: state.rows_seen,
            chosen_step: best.step,
            archive,
        }))
    }
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
