//! A training run from sessions to artifact: relabel, learn, choose the best checkpoint, check, describe.
//!
//! The run writes nothing; it returns the bytes of the three files, which the command writes at once. A checkpoint is
//! judged by playing validation sessions under several budgets with the core's decision rule, the way the policy
//! will be used; without validation sessions the last one is taken.

use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact::{self, Origin};
use crate::environment;
use crate::hbr::{self, HbrConfig};
use crate::learner::cql::{self, CqlConfig, CqlMetrics, Event};
use crate::learner::network::Parameters;
use crate::session::Session;

/// States that the self-check compares.
const CHECKED_STATES: usize = 1000;

/// All settings of a training run (`--config`, TOML).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Everything random follows from this number.
    pub seed: u64,
    /// Budgets at which checkpoints are validated, as shares of the mean cost of always taking the most expensive
    /// model.
    pub validation_budget_shares: Vec<f64>,
    /// How sessions are relabelled.
    pub hbr: HbrConfig,
    /// The learner.
    pub cql: CqlConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            seed: 1,
            validation_budget_shares: vec![0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0],
            hbr: HbrConfig::default(),
            cql: CqlConfig::default(),
        }
    }
}

impl TrainConfig {
    /// Reads TOML; what it does not name keeps its default.
    ///
    /// # Errors
    /// One line: place, field, found, expected.
    pub fn from_toml(text: &str) -> Result<TrainConfig, String> {
        let config: TrainConfig = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            format!("line {}: {}", before.matches('\n').count() + 1, error.message().replace('\n', " "))
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks that training can run.
    ///
    /// # Errors
    /// One line: field, found, expected.
    pub fn check(&self) -> Result<(), String> {
        let (low, high) = (self.hbr.budget_min_share, self.hbr.budget_max_share);
        if !(low > 0.0 && low <= high && high.is_finite()) {
            let expected = "0 < budget_min_share <= budget_max_share";
            return Err(format!("field `hbr.budget_min_share`: found {low} and {high}, expected {expected}"));
        }
        if self.hbr.budgets_per_session == 0 {
            return Err("field `hbr.budgets_per_session`: found 0, expected at least 1".to_owned());
        }
        let spread = self.hbr.behaviour_spread;
        if !(0.0..=10.0).contains(&spread) {
            return Err(format!("field `hbr.behaviour_spread`: found {spread}, expected 0 to 10"));
        }
        let shares = &self.validation_budget_shares;
        if shares.is_empty() || !shares.iter().all(|share| share.is_finite() && *share > 0.0) {
            return Err(format!(
                "field `validation_budget_shares`: found {shares:?}, expected numbers above 0"
            ));
        }
        self.cql.check()
    }
}

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
    pub learner: CqlMetrics,
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

/// The relabelled data in numbers.
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
    /// So many sessions are relabelled.
    Relabelled(usize),
    /// Relabelling is done.
    Data(&'a RelabelSummary),
    /// So many steps are done.
    Step(usize),
    /// A checkpoint was measured.
    Checkpoint(&'a CheckpointMetrics),
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The policy archive.
    pub archive: Vec<u8>,
    /// The policy's id.
    pub policy_id: String,
    /// All settings as TOML.
    pub config_toml: String,
    /// The metrics, one JSON object per line.
    pub metrics_jsonl: String,
    /// The relabelled data.
    pub data: RelabelSummary,
    /// The step whose weights were taken.
    pub chosen_step: usize,
    /// Largest difference in the self-check.
    pub largest_difference: f32,
}

/// Trains a policy.
///
/// # Errors
/// One line for settings, data or models that cannot be trained with.
pub fn train(
    data: &TrainingData<'_>,
    config: &TrainConfig,
    name: &str,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Trained, String> {
    config.check()?;
    let relabelled = hbr::relabel(data.train, data.models, &config.hbr, config.seed, |done| {
        progress(Progress::Relabelled(done));
    });
    let transitions = relabelled.map_err(|error| error.to_string())?;
    let summary = RelabelSummary {
        sessions: data.train.len(),
        transitions: transitions.len(),
        bankrupt_share: transitions.bankrupt_share(),
        budget_range_nano_usd: transitions.budget_range_nano_usd,
    };
    progress(Progress::Data(&summary));
    let origin = Origin {
        name: name.to_owned(),
        learner: json!({"algorithm": "cql", "config": config}),
        budget_range_nano_usd: summary.budget_range_nano_usd,
        data_sha256: data.sha256.to_owned(),
    };
    let validator = Validator::new(data, config)?;
    let checked = evenly_spaced_states(&transitions, CHECKED_STATES);
    let mut best: Option<(f64, usize, Parameters)> = None;
    let mut metrics_jsonl = String::new();
    let (normalisation, _) =
        cql::train(transitions, &config.cql, config.seed, |normalisation, event| match event {
            Event::Step(step) => {
                progress(Progress::Step(step));
                Ok(())
            }
            Event::Checkpoint(learner, parameters) => {
                let archive = artifact::archive(parameters, normalisation, data.models, &origin);
                let mut metrics = CheckpointMetrics {
                    learner: learner.clone(),
                    validation_quality: None,
                    validation_quality_by_budget: Vec::new(),
                    validation_bankrupt_share: None,
                };
                validator.measure(&archive.map_err(|error| error.to_string())?, &mut metrics)?;
                // Without validation every checkpoint scores alike and the last one stays.
                let score = metrics.validation_quality.unwrap_or(0.0);
                if best.as_ref().is_none_or(|(highest, ..)| score >= *highest) {
                    best = Some((score, learner.step, parameters.clone()));
                }
                progress(Progress::Checkpoint(&metrics));
                metrics_jsonl += &serde_json::to_string(&metrics).map_err(|error| error.to_string())?;
                metrics_jsonl.push('\n');
                Ok(())
            }
        })?;
    let (_, chosen_step, parameters) = best.ok_or("the training ended without a checkpoint")?;
    let archive = artifact::archive(&parameters, &normalisation, data.models, &origin);
    let archive = archive.map_err(|error| error.to_string())?;
    let largest_difference = artifact::self_check(&archive, &parameters, &normalisation, &checked)?;
    let policy_id = Policy::open(&archive).map_err(|error| error.to_string())?.id();
    let config_toml = toml::to_string(config).map_err(|error| error.to_string())?;
    Ok(Trained {
        archive,
        policy_id,
        config_toml,
        metrics_jsonl,
        data: summary,
        chosen_step,
        largest_difference,
    })
}

fn evenly_spaced_states(transitions: &hbr::Transitions, count: usize) -> Vec<f32> {
    let stride = transitions.len().div_ceil(count).max(1);
    let rows = (0..transitions.len()).step_by(stride);
    rows.flat_map(|row| transitions.state(row)).copied().collect()
}

/// Plays validation sessions with a policy.
struct Validator<'a> {
    data: &'a TrainingData<'a>,
    budgets: Vec<NanoUsd>,
}

impl<'a> Validator<'a> {
    fn new(data: &'a TrainingData<'a>, config: &TrainConfig) -> Result<Self, String> {
        let engine = environment::engine(data.models, Strategy::BestAffordable, None);
        let engine = engine.map_err(|error| error.to_string())?;
        let reference = hbr::reference_cost_nano_usd(&engine, data.valid);
        let budget = |share: &f64| NanoUsd((share * reference) as u64);
        Ok(Validator { data, budgets: config.validation_budget_shares.iter().map(budget).collect() })
    }

    fn measure(&self, archive: &[u8], metrics: &mut CheckpointMetrics) -> Result<(), String> {
        if self.data.valid.is_empty() {
            return Ok(());
        }
        let policy = Policy::open(archive).map_err(|error| error.to_string())?;
        let engine = environment::engine(self.data.models, Strategy::Policy, Some(policy));
        let engine = engine.map_err(|error| error.to_string())?;
        let mut bankrupt_share = 0.0;
        for budget in &self.budgets {
            let (mut quality, mut turns, mut bankrupt) = (0.0, 0usize, 0usize);
            for session in self.data.valid {
                let result = environment::run(&engine, session, *budget, 0.0, |_, decision| decision.chosen);
                let result = result.map_err(|error| error.to_string())?;
                quality += result.quality;
                turns += result.turns;
                bankrupt += usize::from(result.bankrupt);
            }
            metrics.validation_quality_by_budget.push(quality / turns.max(1) as f64);
            bankrupt_share += bankrupt as f64 / self.data.valid.len() as f64;
        }
        let budgets = self.budgets.len().max(1) as f64;
        let sum: f64 = metrics.validation_quality_by_budget.iter().sum();
        metrics.validation_quality = Some(sum / budgets);
        metrics.validation_bankrupt_share = Some(bankrupt_share / budgets);
        Ok(())
    }
}

#[cfg(test)]
#[path = "training_tests.rs"]
mod tests;
