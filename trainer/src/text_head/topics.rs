//! A small network with one hidden layer that predicts, from text features, the mean quality of each model on the
//! message's *category*, and the length of the answers.
//!
//! A single answer is right or wrong and carries little information; the mean of its category carries more. The targets
//! are therefore shrunk category means ([`Effects`]), and the network predicts their expectation given the
//! text. Only training needs categories: the filter sees the text alone.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use seqroute_core::body::text::TEXT_BUCKETS;
use seqroute_core::policy::write::Layer;

use super::effects::Effects;
use super::messages::Message;
use crate::error::TrainError;
use crate::network::adam::Adam;
use crate::network::{Parameters, QNetwork};

/// Rows have unit length, about 0.1 per word; this scales them to the range that He initialisation assumes.
const INPUT_SCALE: f32 = 10.0;
const BATCH: usize = 128;
const EPOCHS: usize = 16;
const LEARNING_RATE: f32 = 2e-3;
const WEIGHT_DECAY: f32 = 0.1;

/// One hidden layer with ReLU on the text features; its output is added to every prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Topics {
    /// `[hidden, buckets]`.
    pub inner: Layer,
    /// `[outputs, hidden]`.
    pub outer: Layer,
}

impl Topics {
    /// Outputs for a sparse row of buckets and values.
    #[must_use]
    pub fn of(&self, row: impl Iterator<Item = (usize, f32)> + Clone) -> Vec<f32> {
        let width = self.inner.weights.len() / self.inner.biases.len().max(1);
        let bent = |(weights, bias): (&[f32], &f32)| {
            let words: f32 = row.clone().map(|(k, value)| weights[k] * value).sum();
            (bias + words).max(0.0)
        };
        let hidden: Vec<f32> =
            self.inner.weights.chunks_exact(width.max(1)).zip(&self.inner.biases).map(bent).collect();
        let output = |(weights, bias): (&[f32], &f32)| {
            bias + weights.iter().zip(&hidden).map(|(weight, value)| weight * value).sum::<f32>()
        };
        self.outer.weights.chunks_exact(hidden.len().max(1)).zip(&self.outer.biases).map(output).collect()
    }

    /// Fits on the chosen messages; `None` if they have fewer than two categories.
    ///
    /// # Errors
    /// The training device fails.
    pub(super) fn fit(
        messages: &[Message],
        models: usize,
        hidden: usize,
        chosen: impl Fn(&Message) -> bool,
    ) -> Result<Option<Topics>, TrainError> {
        let known: Vec<&Message> = messages
            .iter()
            .filter(|message| chosen(message) && !message.row.is_empty() && message.category.is_some())
            .filter(|message| message.values.iter().all(Option::is_some))
            .collect();
        let Some(targets) = Targets::of(&known, models) else { return Ok(None) };
        let mut network = Parameters::draw(TEXT_BUCKETS, &[hidden], 2 * models + 2, 1);
        let mut adam = Adam::new(&network);
        let mut order: Vec<usize> = (0..known.len()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let batches = known.len().div_ceil(BATCH);
        for epoch in 0..EPOCHS {
            order.shuffle(&mut rng);
            for (number, batch) in order.chunks(BATCH).enumerate() {
                let progress = (epoch * batches + number) as f32 / (EPOCHS * batches) as f32;
                let gradients = gradients(&network, batch, &known, &targets)?;
                adam.step(&mut network, &gradients, LEARNING_RATE * (1.0 - progress), WEIGHT_DECAY);
            }
        }
        Ok(Some(targets.unscaled(&network, models)))
    }
}

fn gradients(
    network: &Parameters,
    batch: &[usize],
    known: &[&Message],
    targets: &Targets,
) -> Result<Parameters, TrainError> {
    let device = Device::flex().autodiff();
    let mut rows = vec![0f32; batch.len() * TEXT_BUCKETS];
    for (row, at) in rows.chunks_exact_mut(TEXT_BUCKETS).zip(batch) {
        for (bucket, value) in &known[*at].row {
            row[usize::from(*bucket)] = INPUT_SCALE * value;
        }
    }
    let wanted: Vec<f32> = batch.iter().flat_map(|at| &targets.rows[*at]).copied().collect();
    let width = network.outputs();
    let rows: Tensor<2> = Tensor::from_data(TensorData::new(rows, [batch.len(), TEXT_BUCKETS]), &device);
    let wanted: Tensor<2> = Tensor::from_data(TensorData::new(wanted, [batch.len(), width]), &device);
    let online = QNetwork::load(network, &device);
    let error = online.forward(rows) - wanted;
    online.gradients(&(error.clone() * error).mean(), network)
}

/// Targets, standardised: per model its quality minus the mean over the models, that mean, ln(1 + length) per model, and
/// a zero, because the network has an even number of outputs.
struct Targets {
    rows: Vec<Vec<f32>>,
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Targets {
    fn of(known: &[&Message], models: usize) -> Option<Targets> {
        let split = |message: &Message| -> Vec<f64> {
            let values: Vec<f64> = message.values.iter().flatten().copied().collect();
            let mean = values.iter().take(models).sum::<f64>() / models as f64;
            let gaps = values.iter().take(models).map(|quality| quality - mean);
            gaps.chain([mean]).chain(values.iter().skip(models).copied()).collect()
        };
        let split: Vec<Vec<f64>> = known.iter().map(|message| split(message)).collect();
        let category = |at: usize| known[at].category.as_deref().unwrap_or_default();
        let effects: Vec<Effects> = (0..=models)
            .map(|output| {
                let mut values: HashMap<String, Vec<f64>> = HashMap::new();
                for (at, row) in split.iter().enumerate() {
                    values.entry(category(at).to_owned()).or_default().push(row[output]);
                }
                if values.len() < 2 { None } else { Effects::fit(&values) }
            })
            .collect::<Option<_>>()?;
        let target = |(at, row): (usize, &Vec<f64>)| -> Vec<f64> {
            let of_category = effects.iter().map(|effects| effects.of(category(at)));
            of_category.chain(row.iter().skip(models + 1).copied()).chain([0.0]).collect()
        };
        let raw: Vec<Vec<f64>> = split.iter().enumerate().map(target).collect();
        let count = raw.len() as f64;
        let width = 2 * models + 2;
        let mean: Vec<f64> = (0..width).map(|k| raw.iter().map(|row| row[k]).sum::<f64>() / count).collect();
        let deviation = |k: usize| {
            let sum: f64 = raw.iter().map(|row| (row[k] - mean[k]).powi(2)).sum();
            (sum / count).sqrt()
        };
        let deviation: Vec<f64> = (0..width).map(deviation).collect();
        let scaled = |row: &Vec<f64>| {
            let parts = row.iter().zip(&mean).zip(&deviation);
            parts.map(|((x, mean), s)| ((x - mean) / s.max(1e-9)) as f32).collect()
        };
        Some(Targets { rows: raw.iter().map(scaled).collect(), mean, deviation })
    }

    /// The network in the units of the head's outputs: a model's quality is the sum of its difference and the mean.
    fn unscaled(&self, network: &Parameters, models: usize) -> Topics {
        let [inner, outer] = [0, 1].map(|layer| network.layer(layer));
        let width = inner.biases.len();
        let row = |k: usize| -> (Vec<f32>, f32) {
            let weights = outer.weights.iter().skip(k * width).take(width);
            let (mean, deviation) = (self.mean[k], self.deviation[k]);
            let bias = f64::from(outer.biases[k]) * deviation + mean;
            (weights.map(|weight| (f64::from(*weight) * deviation) as f32).collect(), bias as f32)
        };
        let mut found = Layer { weights: Vec::new(), biases: Vec::new() };
        let common = row(models);
        for k in 0..models {
            let gap = row(k);
            found.weights.extend(gap.0.iter().zip(&common.0).map(|(a, b)| a + b));
            found.biases.push(gap.1 + common.1);
        }
        for k in models + 1..=2 * models {
            let (weights, bias) = row(k);
            found.weights.extend(weights);
            found.biases.push(bias);
        }
        let weights = inner.weights.iter().map(|weight| weight * INPUT_SCALE).collect();
        Topics { inner: Layer { weights, biases: inner.biases }, outer: found }
    }
}
