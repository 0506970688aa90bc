//! A training run from sessions to artifact: relabel, learn, choose the best checkpoint, check, describe.
//!
//! A run writes nothing but what its caller makes of [`Progress::Save`]; it returns the bytes of the files, which the
//! command writes at once. A checkpoint is judged by playing validation sessions under several budgets with the
//! core's decision rule, the way the policy will be used; without validation sessions the last one is taken.

use std::time::Instant;

use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;
use seqroute_core::text::TextFeatures;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact::{self, Origin, Trained};
use crate::environment;
use crate::hbr::{self, HbrConfig, Relabeller, Transitions};
use crate::learner::bc::{Bc, BcConfig};
use crate::learner::cql::{Cql, CqlConfig};
use crate::learner::fit::{self, Ended, FitConfig, Measured, Observer, State};
use crate::learner::fqi::{Fqi, FqiConfig};
use crate::learner::network::{Normalisation, Parameters};
use crate::learner::text_head::{self, TextConfig, TextHead, TextSummary};
use crate::learner::{Algorithm, Learner};
use crate::session::Session;

/// States that the self-check compares.
const CHECKED_STATES: usize = 1000;

/// All settings of a training run (`--config`, TOML).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Everything random follows from this number.
    pub seed: u64,
    /// The learner.
    pub algorithm: Algorithm,
    /// Budgets at which checkpoints are validated, as shares of the mean cost of always taking the most expensive
    /// model.
    pub validation_budget_shares: Vec<f64>,
    /// How sessions are relabelled.
    pub hbr: HbrConfig,
    /// What the text of a message tells.
    pub text: TextConfig,
    /// The training loop.
    pub fit: FitConfig,
    /// Settings of `fqi`.
    pub fqi: FqiConfig,
    /// Settings of `cql`.
    pub cql: CqlConfig,
    /// Settings of `bc`.
    pub bc: BcConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            seed: 1,
            algorithm: Algorithm::default(),
            validation_budget_shares: vec![0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0],
            hbr: HbrConfig::default(),
            text: TextConfig::default(),
            fit: FitConfig::default(),
            fqi: FqiConfig::default(),
            cql: CqlConfig::default(),
            bc: BcConfig::default(),
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
        self.check_hbr()?;
        let shares = &self.validation_budget_shares;
        require(
            !shares.is_empty() && shares.iter().all(|share| share.is_finite() && *share > 0.0),
            "validation_budget_shares",
            shares,
            "numbers above 0",
        )?;
        require(self.text.folds != 1, "text.folds", &self.text.folds, "0, or at least 2")?;
        self.check_fit()?;
        for (learner, td) in [("fqi", self.fqi.td()), ("cql", self.cql.td())] {
            let not_negative = |value: f32| value.is_finite() && value >= 0.0;
            let field = |name: &str| format!("{learner}.{name}");
            require((0.0..=1.0).contains(&td.gamma), &field("gamma"), &td.gamma, "0 to 1")?;
            require(not_negative(td.eta), &field("eta"), &td.eta, "at least 0")?;
            let delta = td.huber_delta;
            require(delta.is_finite() && delta > 0.0, &field("huber_delta"), &delta, "above 0")?;
            require(not_negative(td.cost_weight), &field("cost_weight"), &td.cost_weight, "at least 0")?;
        }
        let not_negative = |value: f32| value.is_finite() && value >= 0.0;
        require(not_negative(self.cql.alpha), "cql.alpha", &self.cql.alpha, "at least 0")?;
        let penalty = self.bc.logit_penalty;
        require(not_negative(penalty), "bc.logit_penalty", &penalty, "at least 0")
    }

    fn check_hbr(&self) -> Result<(), String> {
        let hbr = &self.hbr;
        let (low, high) = (hbr.budget_min_share, hbr.budget_max_share);
        let expected = "0 < budget_min_share <= budget_max_share";
        let range = [low, high];
        require(low > 0.0 && low <= high && high.is_finite(), "hbr.budget_min_share", &range, expected)?;
        let budgets = hbr.budgets_per_session;
        require(budgets > 0, "hbr.budgets_per_session", &budgets, "at least 1")?;
        let grid = &hbr.grid_nano_usd;
        require(grid.iter().all(|budget| *budget > 0), "hbr.grid_nano_usd", grid, "budgets above 0")?;
        let spread = hbr.behaviour_spread;
        require((0.0..=10.0).contains(&spread), "hbr.behaviour_spread", &spread, "0 to 10")?;
        let factor = hbr.price_factor;
        require((1.0..=100.0).contains(&factor), "hbr.price_factor", &factor, "1 to 100")?;
        let share = hbr.lambda_share;
        require((0.0..=1.0).contains(&share), "hbr.lambda_share", &share, "0 to 1")?;
        let [low, high] = hbr.lambda_range;
        let fits = low > 0.0 && low <= high && high.is_finite();
        require(fits, "hbr.lambda_range", &hbr.lambda_range, "0 < smallest <= largest")?;
        let share = hbr.predicted_reward_share;
        require((0.0..=1.0).contains(&share), "hbr.predicted_reward_share", &share, "0 to 1")
    }

    fn check_fit(&self) -> Result<(), String> {
        let fit = &self.fit;
        let widths = fit.hidden.iter().all(|width| (1..=1024).contains(width));
        let fits = widths && (1..=4).contains(&fit.hidden.len());
        require(fits, "fit.hidden", &fit.hidden, "1 to 4 widths of 1 to 1024")?;
        for (name, value) in [
            ("steps", fit.steps),
            ("batch", fit.batch),
            ("target_period_steps", fit.target_period_steps),
            ("average_steps", fit.average_steps),
            ("checkpoints", fit.checkpoints),
            ("shards", fit.shards),
        ] {
            require(value > 0, &format!("fit.{name}"), &value, "at least 1")?;
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        require(positive(fit.learning_rate), "fit.learning_rate", &fit.learning_rate, "above 0")?;
        let last = fit.final_learning_rate;
        require(positive(last), "fit.final_learning_rate", &last, "above 0")?;
        let decay = fit.weight_decay;
        require((0.0..=1.0).contains(&decay), "fit.weight_decay", &decay, "0 to 1")
    }

    fn learner(&self) -> Box<dyn Learner> {
        match self.algorithm {
            Algorithm::Fqi => Box::new(Fqi(self.fqi.clone())),
            Algorithm::Cql => Box::new(Cql(self.cql.clone())),
            Algorithm::Bc => Box::new(Bc(self.bc.clone())),
        }
    }
}

fn require(ok: bool, field: &str, found: &dyn std::fmt::Debug, expected: &str) -> Result<(), String> {
    if ok { Ok(()) } else { Err(format!("field `{field}`: found {found:?}, expected {expected}")) }
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
    let (head, predictions, text) = text_head::fit(data.train, data.models, &config.text);
    progress(Progress::Text(&text))?;
    let relabeller = Relabeller::new(data.train, data.models, &config.hbr, &predictions);
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
        learner: json!({"algorithm": config.algorithm.name(), "config": config}),
        budget_range_nano_usd: summary.budget_range_nano_usd,
        data_sha256: data.sha256.to_owned(),
    };
    let mut follower = Follower {
        models: data.models,
        head: &head,
        origin: &origin,
        validator: Validator::new(data, config)?,
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
    let plain = transitions.features - transitions.models;
    let rows = (0..transitions.len()).step_by(stride).map(|row| transitions.state(row));
    let texts = sessions.iter().flat_map(|session| &session.turns).map(|turn| turn.text);
    let texts = [TextFeatures::default()].into_iter().chain(texts).cycle();
    rows.zip(texts).map(|(row, text)| (row.iter().copied().take(plain).collect(), text)).collect()
}

/// Judges checkpoints and passes on what happens.
struct Follower<'a> {
    models: &'a [ModelConfig],
    head: &'a TextHead,
    origin: &'a Origin,
    validator: Validator<'a>,
    progress: &'a mut dyn FnMut(Progress<'_>) -> Result<Wish, String>,
    failed: Option<String>,
}

impl Observer for Follower<'_> {
    fn step(&mut self, step: usize) -> bool {
        match (self.progress)(Progress::Step(step)) {
            Ok(wish) => wish == Wish::GoOn,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    fn checkpoint(
        &mut self,
        measured: &Measured,
        normalisation: &Normalisation,
        average: &Parameters,
    ) -> Result<(String, f64), String> {
        let network = Trained { parameters: average, normalisation, head: self.head };
        let archive =
            artifact::archive(&network, self.models, self.origin).map_err(|error| error.to_string())?;
        let mut metrics = CheckpointMetrics {
            learner: measured.clone(),
            validation_quality: None,
            validation_quality_by_budget: Vec::new(),
            validation_bankrupt_share: None,
        };
        self.validator.measure(&archive, &mut metrics)?;
        (self.progress)(Progress::Checkpoint(&metrics))?;
        let line = serde_json::to_string(&metrics).map_err(|error| error.to_string())?;
        Ok((line, metrics.validation_quality.unwrap_or(0.0)))
    }

    fn save(&mut self, state: &State) -> Result<(), String> {
        (self.progress)(Progress::Save(state)).map(|_| ())
    }
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
