//! Predicts quality and length of each model's answer from the text features of a message (a hashed bag of words).
//!
//! The text shows which model is worth its price, but a network that sees hundreds of hashed counts and a few thousand
//! distinct messages overfits. The text therefore enters as 2K predicted values, quality and length for each of K models,
//! fitted separately on every distinct message: first through the message's category, where the data name categories
//! ([`Topics`]), then by ridge regression on the residuals (`ridge`), with penalties chosen by cross-validation. The head
//! is part of the policy's graph.
//!
//! Invariant: the learner sees out-of-fold predictions only, those of a head fitted on the other folds (stacking,
//! Wolpert 1992). In-sample predictions are too good, and the learner would trust them too much.

pub mod effects;
mod messages;
mod ridge;
mod topics;

use seqroute_core::body::text::{TEXT_BUCKETS, TextFeatures};
use seqroute_core::config::ModelConfig;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use messages::{Message, gaps};
use ridge::Ridge;
use seqroute_sessions::session::Session;

pub use topics::Topics;

/// Penalties to choose from, per message: the penalty of a standardised weight is this times the number of messages. The
/// first one effectively removes the text: right where a few messages teach nothing about others.
const PENALTIES: [f64; 8] = [1e6, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3];

/// Settings of the text head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// Folds of the cross-validation; 0 to ignore the text.
    pub folds: usize,
    /// Width of the hidden layer of [`Topics`]; 0 to leave it out.
    pub hidden: usize,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig { folds: 5, hidden: 32 }
    }
}

/// Predicts quality and ln(1 + length) of the answers of K models from [`TextFeatures::scaled`]; without a text, their
/// means.
#[derive(Clone, Debug, PartialEq)]
pub struct TextHead {
    /// Prediction through the category, where it improves the error out of fold.
    pub topics: Option<Topics>,
    /// Ridge weights by output and bucket.
    pub weights: Vec<Vec<f32>>,
    /// By output.
    pub biases: Vec<f32>,
    /// By output, added if there is no text.
    pub absent: Vec<f32>,
}

/// Out-of-fold predictions for every turn of every session, two per model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    outputs: usize,
    /// Place of each session's first turn.
    first: Vec<usize>,
    values: Vec<f32>,
}

impl Predictions {
    /// Predictions for one turn: quality of every model, then ln(1 + length) of every model; empty for an unknown turn.
    #[must_use]
    pub fn of(&self, session: usize, turn: usize) -> &[f32] {
        let at = self.first.get(session).map_or(usize::MAX, |first| first.saturating_add(turn));
        let start = at.saturating_mul(self.outputs);
        self.values.get(start..start.saturating_add(self.outputs)).unwrap_or_default()
    }
}

/// Quality of the fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextSummary {
    /// Distinct messages.
    pub messages: usize,
    /// Whether [`Topics`] are used.
    pub topics: bool,
    /// The chosen penalty of quality per message; absent without text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<f64>,
    /// Share of the variance of quality that the out-of-fold predictions explain, per model.
    pub explained_share: Vec<f64>,
    /// Explained share of the variance of a model's quality minus the mean over the models, which routing depends on.
    pub explained_gap_share: Vec<f64>,
    /// Explained share of the variance of ln(1 + length), per model.
    pub explained_length_share: Vec<f64>,
}

impl TextHead {
    /// Predicted quality of each model, then predicted ln(1 + length) of each model's answer.
    #[must_use]
    pub fn predict(&self, text: &TextFeatures) -> Vec<f32> {
        let scaled: Vec<f32> = if text.is_empty() { Vec::new() } else { text.scaled().collect() };
        let row = scaled.iter().copied().enumerate().filter(|(_, value)| *value != 0.0);
        let topics = self.topics.as_ref().map(|topics| topics.of(row));
        let of_output = |k: usize| {
            let words: f32 = self.weights[k].iter().zip(&scaled).map(|(weight, value)| weight * value).sum();
            let topics = topics.as_ref().map_or(0.0, |topics| topics[k]);
            self.biases[k] + topics + if text.is_empty() { self.absent[k] } else { words }
        };
        (0..self.biases.len()).map(of_output).collect()
    }
}

/// Fits the head on all messages and predicts every turn out of fold.
///
/// # Errors
/// The training device fails.
pub fn fit(
    sessions: &[Session],
    models: &[ModelConfig],
    config: &TextConfig,
) -> Result<(TextHead, Predictions, TextSummary), TrainError> {
    let folds = config.folds.max(2);
    let (messages, places) = messages::collect(sessions, models, folds);
    let count = models.len();
    let means = messages::means(&messages);
    let seen =
        config.folds > 0 && messages.iter().filter(|message| !message.row.is_empty()).count() >= 2 * folds;
    let mut best = Candidate::constant(&messages, &means);
    if seen {
        best = Candidate::fit(&messages, count, folds, None, vec![vec![0.0; 2 * count]; messages.len()]);
        if let Some(CrossFitted { topics, base }) =
            cross_fitted_topics(&messages, count, folds, config.hidden)?
        {
            let other = Candidate::fit(&messages, count, folds, Some(topics), base);
            if other.gap_error(&messages, count) < best.gap_error(&messages, count) {
                best = other;
            }
        }
    }
    let summary = best.summary(&messages, count);
    let predictions = Predictions {
        outputs: 2 * count,
        first: places.first,
        values: places.message.iter().flat_map(|m| &best.predicted[*m]).map(|value| *value as f32).collect(),
    };
    Ok((best.head(&messages, &means, count), predictions, summary))
}

/// Topics fitted on all messages, and by message the outputs of topics fitted on the other folds.
struct CrossFitted {
    topics: Topics,
    base: Vec<Vec<f64>>,
}

/// `None` without categories.
fn cross_fitted_topics(
    messages: &[Message],
    models: usize,
    folds: usize,
    hidden: usize,
) -> Result<Option<CrossFitted>, TrainError> {
    if hidden == 0 {
        return Ok(None);
    }
    let Some(topics) = Topics::fit(messages, models, hidden, |_| true)? else { return Ok(None) };
    let mut base = vec![vec![0.0; 2 * models]; messages.len()];
    for fold in 0..folds {
        let Some(others) = Topics::fit(messages, models, hidden, |message| message.fold != fold)? else {
            return Ok(None);
        };
        for (message, base) in messages.iter().zip(&mut base).filter(|(message, _)| message.fold == fold) {
            let row = message.row.iter().map(|(k, value)| (usize::from(*k), *value));
            *base = others.of(row).into_iter().map(f64::from).collect();
        }
    }
    Ok(Some(CrossFitted { topics, base }))
}

/// A prediction method with its out-of-fold predictions.
struct Candidate {
    topics: Option<Topics>,
    /// Out-of-fold outputs of the topics, by message.
    base: Vec<Vec<f64>>,
    /// Chosen penalties for qualities and for lengths; `None` without text.
    penalties: Option<[f64; 2]>,
    /// Out-of-fold predictions, by message.
    predicted: Vec<Vec<f64>>,
}

impl Candidate {
    fn constant(messages: &[Message], means: &[f64]) -> Candidate {
        let (base, predicted) =
            (vec![vec![0.0; means.len()]; messages.len()], vec![means.to_vec(); messages.len()]);
        Candidate { topics: None, base, penalties: None, predicted }
    }

    /// Adds a ridge regression on the residuals of the topics.
    fn fit(
        messages: &[Message],
        models: usize,
        folds: usize,
        topics: Option<Topics>,
        base: Vec<Vec<f64>>,
    ) -> Candidate {
        let mut found =
            Candidate { topics, predicted: base.clone(), base, penalties: Some([PENALTIES[0]; 2]) };
        let mut chosen = [PENALTIES[0]; 2];
        for (part, chosen) in chosen.iter_mut().enumerate() {
            let outputs = part * models..(part + 1) * models;
            let mut lowest: Option<f64> = None;
            let mut weights = vec![vec![vec![0.0; TEXT_BUCKETS]; models]; folds];
            for penalty in PENALTIES {
                let mut tried = found.predicted.clone();
                for (fold, weights) in weights.iter_mut().enumerate() {
                    for (output, weights) in outputs.clone().zip(weights) {
                        // The solution for the larger penalty is the start for the smaller one.
                        let others = |message: &Message| message.fold != fold;
                        let ridge = Ridge::new(messages, output, &found.base, others, penalty, weights);
                        for ((message, base), tried) in messages.iter().zip(&found.base).zip(&mut tried) {
                            if message.fold == fold {
                                tried[output] = base[output] + ridge.predict(&message.row);
                            }
                        }
                    }
                }
                let error = if part == 0 {
                    gap_error(messages, &tried, models)
                } else {
                    length_error(messages, &tried, models)
                };
                if lowest.is_none_or(|lowest| error < lowest) {
                    (lowest, *chosen, found.predicted) = (Some(error), penalty, tried);
                }
            }
        }
        found.penalties = Some(chosen);
        found
    }

    fn gap_error(&self, messages: &[Message], models: usize) -> f64 {
        gap_error(messages, &self.predicted, models)
    }

    fn summary(&self, messages: &[Message], models: usize) -> TextSummary {
        let both = || messages.iter().zip(&self.predicted);
        let plain = |output: usize| {
            explained(
                both()
                    .filter_map(|(message, predicted)| Some((message.values[output]?, predicted[output])))
                    .collect(),
            )
        };
        let gap = |model: usize| {
            let whole = both().filter(|(message, _)| message.values.iter().all(Option::is_some));
            let pairs = whole
                .map(|(message, predicted)| gaps(&message.values[..models], &predicted[..models])[model]);
            explained(pairs.collect())
        };
        TextSummary {
            messages: messages.len(),
            topics: self.topics.is_some(),
            penalty: self.penalties.map(|[quality, _]| quality),
            explained_share: (0..models).map(plain).collect(),
            explained_gap_share: (0..models).map(gap).collect(),
            explained_length_share: (models..2 * models).map(plain).collect(),
        }
    }

    /// The head that serves: fitted on all messages.
    fn head(self, messages: &[Message], means: &[f64], models: usize) -> TextHead {
        let silent: Vec<f32> = match &self.topics {
            Some(topics) => topics.of(std::iter::empty()),
            None => vec![0.0; means.len()],
        };
        let mut head =
            TextHead { topics: self.topics, weights: Vec::new(), biases: Vec::new(), absent: Vec::new() };
        for (output, (mean, silent)) in means.iter().zip(&silent).enumerate() {
            let mut weights = vec![0.0; TEXT_BUCKETS];
            let mut ridge = Ridge { raw: weights.clone(), bias: *mean };
            if let Some(penalties) = self.penalties {
                let penalty = penalties[output / models];
                ridge = Ridge::new(messages, output, &self.base, |_| true, penalty, &mut weights);
            }
            head.weights.push(ridge.raw.iter().map(|weight| *weight as f32).collect());
            head.biases.push(ridge.bias as f32);
            head.absent.push((mean - ridge.bias) as f32 - silent);
        }
        head
    }
}

/// Squared error of the differences between models, which routing depends on.
fn gap_error(messages: &[Message], predicted: &[Vec<f64>], models: usize) -> f64 {
    let pairs = messages
        .iter()
        .zip(predicted)
        .flat_map(|(message, predicted)| gaps(&message.values[..models], &predicted[..models]));
    pairs.map(|(found, expected)| (found - expected).powi(2)).sum()
}

fn length_error(messages: &[Message], predicted: &[Vec<f64>], models: usize) -> f64 {
    let pairs = messages.iter().zip(predicted).flat_map(|(message, predicted)| {
        message
            .values
            .iter()
            .zip(predicted)
            .skip(models)
            .filter_map(|(found, expected)| Some(((*found)?, *expected)))
    });
    pairs.map(|(found, expected)| (found - expected).powi(2)).sum()
}

/// Share of the variance of the first values that the second explain.
fn explained(pairs: Vec<(f64, f64)>) -> f64 {
    let mean = pairs.iter().map(|(found, _)| found).sum::<f64>() / pairs.len().max(1) as f64;
    let total: f64 = pairs.iter().map(|(found, _)| (found - mean).powi(2)).sum();
    let left: f64 = pairs.iter().map(|(found, expected)| (found - expected).powi(2)).sum();
    if total > 0.0 { 1.0 - left / total } else { 0.0 }
}

#[cfg(test)]
#[path = "text_head_tests.rs"]
mod tests;
