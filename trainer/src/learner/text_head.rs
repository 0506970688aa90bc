//! How well each model will answer, as far as the text of the message tells: ridge regression on hashed words.
//!
//! Hoerl, Kennard: *Ridge Regression: Biased Estimation for Nonorthogonal Problems*, Technometrics 1970; solved by
//! conjugate gradients (Hestenes, Stiefel 1952) on the sparse rows.
//!
//! The text of a message says which model is worth its money, but a network that sees hundreds of word counters and a
//! few thousand different messages learns the messages by heart. So the words speak through K numbers only, the
//! predicted quality of each model, and those are fitted apart, on every message once, with a penalty that is chosen
//! by cross-validation. The head is linear, hence one `linear` in front of the policy's network, in the same graph.
//!
//! What must always hold: the learner never sees a prediction for a message that the head was fitted on. It gets the
//! prediction of a head that was fitted on the other folds (stacking, Wolpert 1992); otherwise it would trust the
//! predictions of messages known by heart and be disappointed by all others.

use std::collections::HashMap;

use seqroute_core::config::ModelConfig;
use seqroute_core::text::{TEXT_BUCKETS, TextFeatures};
use serde::{Deserialize, Serialize};

use crate::session::Session;

/// Penalties that are tried, per message: the penalty of a standardised weight is this times the number of messages. With
/// the first one the words have no say: a few messages teach nothing about others.
const PENALTIES: [f64; 8] = [1e6, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3];
/// Steps of the solver. The penalties are large, so the problem is well conditioned.
const SOLVER_STEPS: usize = 24;
/// A bucket varies when its standard deviation is at least this.
const MIN_STD: f64 = 1e-4;

/// Settings of the text head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// Folds of the cross-validation; 0 leaves the text out.
    pub folds: usize,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig { folds: 5 }
    }
}

/// Quality of K models from [`TextFeatures::scaled`], and where no text was seen the mean quality.
#[derive(Clone, Debug, PartialEq)]
pub struct TextHead {
    /// Weights, for each model one per bucket.
    pub weights: Vec<Vec<f32>>,
    /// Quality of a message without a word.
    pub biases: Vec<f32>,
    /// What is added where no text was seen.
    pub absent: Vec<f32>,
}

/// The learner's view of the text: for every turn of every session a prediction per model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    models: usize,
    /// Place of each session's first turn.
    first: Vec<usize>,
    values: Vec<f32>,
}

impl Predictions {
    /// Predictions for one turn, one per model; empty for a turn that is not there.
    #[must_use]
    pub fn of(&self, session: usize, turn: usize) -> &[f32] {
        let at = self.first.get(session).map_or(usize::MAX, |first| first + turn);
        let start = at.saturating_mul(self.models);
        self.values.get(start..start.saturating_add(self.models)).unwrap_or_default()
    }
}

/// What the fit found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextSummary {
    /// Different messages.
    pub messages: usize,
    /// The chosen penalty per message; absent where no text was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<f64>,
    /// Share of the variance of quality that the out-of-fold predictions explain, per model.
    pub explained_share: Vec<f64>,
    /// The same for the difference between a model's quality and the mean of all models': what routing lives on.
    pub explained_gap_share: Vec<f64>,
}

impl TextHead {
    /// Predicted quality of each model.
    #[must_use]
    pub fn predict(&self, text: &TextFeatures) -> Vec<f32> {
        let scaled: Vec<f32> = if text.is_empty() { Vec::new() } else { text.scaled().collect() };
        let of_model = |((weights, bias), absent): ((&Vec<f32>, &f32), &f32)| {
            let words: f32 = weights.iter().zip(&scaled).map(|(weight, value)| weight * value).sum();
            bias + if text.is_empty() { *absent } else { words }
        };
        self.weights.iter().zip(&self.biases).zip(&self.absent).map(of_model).collect()
    }
}

/// One message: its counters and the mean observed quality of each model.
struct Message {
    row: Vec<(u16, f32)>,
    quality: Vec<Option<f64>>,
    fold: usize,
}

/// Fits the head on all messages and predicts every turn out of fold.
#[must_use]
pub fn fit(
    sessions: &[Session],
    models: &[ModelConfig],
    config: &TextConfig,
) -> (TextHead, Predictions, TextSummary) {
    let (messages, place) = messages(sessions, models, config.folds.max(2));
    let folds = config.folds.max(2);
    let seen =
        config.folds > 0 && messages.iter().filter(|message| !message.row.is_empty()).count() >= 2 * folds;
    let mut best: Option<(f64, f64, Vec<Vec<f64>>)> = None;
    let mut weights: Vec<Vec<Vec<f64>>> = vec![vec![vec![0.0; TEXT_BUCKETS]; models.len()]; folds];
    for penalty in PENALTIES.into_iter().filter(|_| seen) {
        let mut predicted = vec![vec![0.0; models.len()]; messages.len()];
        for (fold, weights) in weights.iter_mut().enumerate() {
            for (model, weights) in weights.iter_mut().enumerate() {
                // The solution for the larger penalty is the start for the smaller one.
                let fitted = Fitted::new(&messages, model, |message| message.fold != fold, penalty, weights);
                for (message, predicted) in messages.iter().zip(&mut predicted) {
                    if message.fold == fold {
                        predicted[model] = fitted.predict(&message.row);
                    }
                }
            }
        }
        let error = error(&messages, &predicted);
        if best.as_ref().is_none_or(|(lowest, ..)| error < *lowest) {
            best = Some((error, penalty, predicted));
        }
    }
    let (penalty, predicted) = match best {
        Some((_, penalty, predicted)) => (Some(penalty), predicted),
        None => (None, vec![mean_quality(&messages, models.len()); messages.len()]),
    };
    let summary = summary(&messages, &predicted, penalty, models.len());
    let predictions = Predictions {
        models: models.len(),
        first: place.first,
        values: place.message.iter().flat_map(|m| &predicted[*m]).map(|value| *value as f32).collect(),
    };
    (head(&messages, models.len(), penalty), predictions, summary)
}

/// Where the turns are: place of a session's first turn, and each turn's message.
struct Places {
    first: Vec<usize>,
    message: Vec<usize>,
}

fn messages(sessions: &[Session], models: &[ModelConfig], folds: usize) -> (Vec<Message>, Places) {
    let mut known: HashMap<&TextFeatures, usize> = HashMap::new();
    let mut sums: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut texts: Vec<&TextFeatures> = Vec::new();
    let mut places = Places { first: Vec::new(), message: Vec::new() };
    for session in sessions {
        places.first.push(places.message.len());
        for turn in &session.turns {
            let message = *known.entry(&turn.text).or_insert_with(|| {
                texts.push(&turn.text);
                sums.push(vec![(0.0, 0.0); models.len()]);
                texts.len() - 1
            });
            places.message.push(message);
            for (model, sum) in models.iter().zip(&mut sums[message]) {
                if let Some(outcome) = turn.outcome(&model.name) {
                    *sum = (sum.0 + outcome.quality, sum.1 + 1.0);
                }
            }
        }
    }
    let message = |(text, sums): (&TextFeatures, &Vec<(f64, f64)>)| {
        let scaled = text.scaled().enumerate().filter(|(_, value)| *value > 0.0);
        Message {
            row: scaled.filter_map(|(k, value)| Some((u16::try_from(k).ok()?, value))).collect(),
            quality: sums.iter().map(|(sum, count)| (*count > 0.0).then(|| sum / count)).collect(),
            fold: fold(text, folds),
        }
    };
    (texts.into_iter().zip(&sums).map(message).collect(), places)
}

/// A message's fold depends on its words alone, so no fold knows a message of another one.
fn fold(text: &TextFeatures, folds: usize) -> usize {
    let mix = |hash: u64, count: &u8| (hash ^ u64::from(*count)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = text.counts().iter().fold(0xcbf2_9ce4_8422_2325, mix);
    ((hash >> 32) as usize) % folds
}

fn mean_quality(messages: &[Message], models: usize) -> Vec<f64> {
    let mean = |model: usize| {
        let known: Vec<f64> = messages.iter().filter_map(|message| message.quality[model]).collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    };
    (0..models).map(mean).collect()
}

/// A message's quality without what all models share; as it is where one was not observed.
fn gaps(quality: &[Option<f64>], predicted: &[f64]) -> Vec<(f64, f64)> {
    let known: Option<Vec<f64>> = quality.iter().copied().collect();
    match known {
        Some(known) => {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            let (found, expected) = (mean(&known), mean(predicted));
            known.iter().zip(predicted).map(|(a, b)| (a - found, b - expected)).collect()
        }
        None => quality.iter().zip(predicted).filter_map(|(a, b)| Some(((*a)?, *b))).collect(),
    }
}

/// Squared error of the gaps: routing needs the differences between models.
fn error(messages: &[Message], predicted: &[Vec<f64>]) -> f64 {
    let pairs =
        messages.iter().zip(predicted).flat_map(|(message, predicted)| gaps(&message.quality, predicted));
    pairs.map(|(found, expected)| (found - expected).powi(2)).sum()
}

fn summary(messages: &[Message], predicted: &[Vec<f64>], penalty: Option<f64>, models: usize) -> TextSummary {
    let explained = |pairs: Vec<(f64, f64)>| {
        let mean = pairs.iter().map(|(found, _)| found).sum::<f64>() / pairs.len().max(1) as f64;
        let total: f64 = pairs.iter().map(|(found, _)| (found - mean).powi(2)).sum();
        let left: f64 = pairs.iter().map(|(found, expected)| (found - expected).powi(2)).sum();
        if total > 0.0 { 1.0 - left / total } else { 0.0 }
    };
    let both = || messages.iter().zip(predicted);
    let plain = |model: usize| {
        explained(
            both()
                .filter_map(|(message, predicted)| Some((message.quality[model]?, predicted[model])))
                .collect(),
        )
    };
    let gap = |model: usize| {
        let whole = both().filter(|(message, _)| message.quality.iter().all(Option::is_some));
        explained(whole.map(|(message, predicted)| gaps(&message.quality, predicted)[model]).collect())
    };
    TextSummary {
        messages: messages.len(),
        penalty,
        explained_share: (0..models).map(plain).collect(),
        explained_gap_share: (0..models).map(gap).collect(),
    }
}

/// The head that serves: fitted on all messages.
fn head(messages: &[Message], models: usize, penalty: Option<f64>) -> TextHead {
    let mut head = TextHead { weights: Vec::new(), biases: Vec::new(), absent: Vec::new() };
    let mean = mean_quality(messages, models);
    for (model, mean) in mean.into_iter().enumerate() {
        let mut weights = vec![0.0; TEXT_BUCKETS];
        let (mut bias, mut raw) = (mean, weights.clone());
        if let Some(penalty) = penalty {
            let fitted = Fitted::new(messages, model, |_| true, penalty, &mut weights);
            (raw, bias) = (fitted.raw.clone(), fitted.bias);
        }
        head.weights.push(raw.iter().map(|weight| *weight as f32).collect());
        head.biases.push(bias as f32);
        head.absent.push((mean - bias) as f32);
    }
    head
}

/// A fitted regression for one model: `quality = bias + raw · x`.
struct Fitted {
    raw: Vec<f64>,
    bias: f64,
}

impl Fitted {
    /// Minimises Σ (y − ȳ − A w)² + penalty · n · |w|² over the chosen messages, where A are the standardised rows;
    /// `weights` is the start and becomes the solution.
    fn new(
        messages: &[Message],
        model: usize,
        chosen: impl Fn(&Message) -> bool,
        penalty: f64,
        weights: &mut [f64],
    ) -> Fitted {
        let rows: Vec<(&[(u16, f32)], f64)> = messages
            .iter()
            .filter(|message| chosen(message) && !message.row.is_empty())
            .filter_map(|message| Some((message.row.as_slice(), message.quality[model]?)))
            .collect();
        let design = Design::new(&rows);
        let count = rows.len().max(1) as f64;
        let mean = rows.iter().map(|(_, quality)| quality).sum::<f64>() / count;
        let residual: Vec<f64> = rows.iter().map(|(_, quality)| quality - mean).collect();
        let ridge = penalty * count;
        // Conjugate gradients on (AᵀA + ridge) w = Aᵀ residual.
        let product = |w: &[f64]| -> Vec<f64> {
            let mut product = design.transposed(&design.times(w));
            product.iter_mut().zip(w).for_each(|(product, w)| *product += ridge * w);
            product
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let start = product(weights);
        let mut left: Vec<f64> =
            design.transposed(&residual).iter().zip(&start).map(|(b, a)| b - a).collect();
        let mut direction = left.clone();
        let mut size = dot(&left, &left);
        let enough = 1e-12 * size.max(1e-12);
        for _ in 0..SOLVER_STEPS {
            if size <= enough {
                break;
            }
            let along = product(&direction);
            let step = size / dot(&direction, &along);
            weights.iter_mut().zip(&direction).for_each(|(w, direction)| *w += step * direction);
            left.iter_mut().zip(&along).for_each(|(left, along)| *left -= step * along);
            let next = dot(&left, &left);
            direction
                .iter_mut()
                .zip(&left)
                .for_each(|(direction, left)| *direction = left + next / size * *direction);
            size = next;
        }
        let raw: Vec<f64> = weights.iter().zip(&design.scale).map(|(w, scale)| w * scale).collect();
        let bias = mean - dot(&raw, &design.mean);
        Fitted { raw, bias }
    }

    fn predict(&self, row: &[(u16, f32)]) -> f64 {
        self.bias + row.iter().map(|(k, value)| self.raw[usize::from(*k)] * f64::from(*value)).sum::<f64>()
    }
}

/// Sparse rows and what standardises them: A = (X − mean) · scale.
struct Design<'a> {
    rows: &'a [(&'a [(u16, f32)], f64)],
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl<'a> Design<'a> {
    fn new(rows: &'a [(&'a [(u16, f32)], f64)]) -> Self {
        let count = rows.len().max(1) as f64;
        let (mut sums, mut squares) = (vec![0.0; TEXT_BUCKETS], vec![0.0; TEXT_BUCKETS]);
        for (k, value) in rows.iter().flat_map(|(row, _)| *row) {
            sums[usize::from(*k)] += f64::from(*value);
            squares[usize::from(*k)] += f64::from(*value).powi(2);
        }
        let mean: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
        let std =
            squares.iter().zip(&mean).map(|(square, mean)| (square / count - mean * mean).max(0.0).sqrt());
        let scale = std.map(|std| if std < MIN_STD { 0.0 } else { 1.0 / std }).collect();
        Design { rows, mean, scale }
    }

    /// A w
    fn times(&self, w: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64> = w.iter().zip(&self.scale).map(|(w, scale)| w * scale).collect();
        let shift: f64 = scaled.iter().zip(&self.mean).map(|(w, mean)| w * mean).sum();
        let row = |row: &[(u16, f32)]| -> f64 {
            row.iter().map(|(k, value)| scaled[usize::from(*k)] * f64::from(*value)).sum()
        };
        self.rows.iter().map(|(entries, _)| row(entries) - shift).collect()
    }

    /// Aᵀ r
    fn transposed(&self, r: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; TEXT_BUCKETS];
        for ((row, _), r) in self.rows.iter().zip(r) {
            row.iter().for_each(|(k, value)| sums[usize::from(*k)] += f64::from(*value) * r);
        }
        let total: f64 = r.iter().sum();
        let of_bucket = |((sum, mean), scale): ((&f64, &f64), &f64)| (sum - mean * total) * scale;
        sums.iter().zip(&self.mean).zip(&self.scale).map(of_bucket).collect()
    }
}
