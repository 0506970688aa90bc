//! Conservative Q-Learning for discrete actions.
//!
//! Kumar, Zhou, Tucker, Levine: *Conservative Q-Learning for Offline Reinforcement Learning*, NeurIPS 2020
//! (arXiv 2006.04779), in the form CQL(H), on double-Q targets (van Hasselt, Guez, Silver: *Deep Reinforcement
//! Learning with Double Q-learning*, AAAI 2016). SeqRoute (arXiv 2605.25424) uses it to route under a budget.
//!
//! Per step, for a batch of transitions (s, a, r, c, s', ends):
//!
//! 1. a' = argmax over the models allowed in s' of the online network's Q_r: the mask is part of the problem.
//! 2. Targets from the target network: y_r = r − η·bankrupt + γ·Q_r(s', a'), y_c = c + γ·Q_c(s', a'); no second
//!    term where the session ends. Q_c follows the same greedy action: it is the spend of the policy that Q_r makes.
//! 3. Loss = Huber(Q_r(s,a), y_r) + w·Huber(Q_c(s,a), y_c) + α·(log Σ_allowed exp Q_r(s,·) − Q_r(s,a)).
//! 4. Adam; the target network is a copy of the online one every so many steps. What is exported is an exponential
//!    average of the online weights: single iterates of Q-learning jitter, and so do the choices they make.

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::hbr::Transitions;
use crate::learner::network::{Normalisation, Parameters, QNetwork, numbers};

/// Settings of CQL; `examples/cql.toml` holds the defaults with comments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CqlConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Gradient steps.
    pub steps: usize,
    /// Transitions per step.
    pub batch: usize,
    /// Adam's learning rate in the first step.
    pub learning_rate: f64,
    /// Adam's learning rate in the last step; it falls along half a cosine.
    pub final_learning_rate: f64,
    /// α, weight of the conservative term.
    pub alpha: f32,
    /// γ, discount per turn. 1 is right here: sessions are finite and a late turn counts as much as an early one.
    pub gamma: f32,
    /// η, penalty of a turn that leads to bankruptcy. Turns that are not served already count 0.
    pub eta: f32,
    /// Errors above this count linearly instead of squared. Small values make Q_r a median rather than a mean.
    pub huber_delta: f32,
    /// w, weight of the spend head's loss.
    pub cost_weight: f32,
    /// Steps between copies to the target network.
    pub target_period_steps: usize,
    /// Horizon of the weight average in steps.
    pub average_steps: usize,
    /// How often the training is measured, and the best policy on validation data is kept.
    pub checkpoints: usize,
}

impl Default for CqlConfig {
    fn default() -> Self {
        CqlConfig {
            hidden: vec![64, 64],
            steps: 30_000,
            batch: 512,
            learning_rate: 1e-3,
            final_learning_rate: 2e-5,
            alpha: 0.01,
            gamma: 1.0,
            eta: 0.0,
            huber_delta: 5.0,
            cost_weight: 1.0,
            target_period_steps: 500,
            average_steps: 1000,
            checkpoints: 20,
        }
    }
}

impl CqlConfig {
    /// Checks that training can run.
    ///
    /// # Errors
    /// One line: field, found, expected.
    pub fn check(&self) -> Result<(), String> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f32| value.is_finite() && value >= 0.0;
        let widths = self.hidden.iter().all(|width| (1..=1024).contains(width));
        let checks: [(bool, &str, String, &str); 12] = [
            (
                !self.hidden.is_empty() && widths && self.hidden.len() <= 4,
                "hidden",
                format!("{:?}", self.hidden),
                "1 to 4 widths of 1 to 1024",
            ),
            (self.steps > 0, "steps", self.steps.to_string(), "at least 1"),
            (self.batch > 0, "batch", self.batch.to_string(), "at least 1"),
            (positive(self.learning_rate), "learning_rate", self.learning_rate.to_string(), "above 0"),
            (
                positive(self.final_learning_rate),
                "final_learning_rate",
                self.final_learning_rate.to_string(),
                "above 0",
            ),
            (not_negative(self.alpha), "alpha", self.alpha.to_string(), "at least 0"),
            ((0.0..=1.0).contains(&self.gamma), "gamma", self.gamma.to_string(), "0 to 1"),
            (not_negative(self.eta), "eta", self.eta.to_string(), "at least 0"),
            (positive(f64::from(self.huber_delta)), "huber_delta", self.huber_delta.to_string(), "above 0"),
            (not_negative(self.cost_weight), "cost_weight", self.cost_weight.to_string(), "at least 0"),
            (
                self.target_period_steps > 0,
                "target_period_steps",
                self.target_period_steps.to_string(),
                "at least 1",
            ),
            (
                self.average_steps > 0 && self.checkpoints > 0,
                "average_steps, checkpoints",
                format!("{}, {}", self.average_steps, self.checkpoints),
                "at least 1",
            ),
        ];
        match checks.iter().find(|(ok, ..)| !ok) {
            Some((_, field, found, expected)) => {
                Err(format!("field `cql.{field}`: found {found}, expected {expected}"))
            }
            None => Ok(()),
        }
    }
}

/// Measurements since the last checkpoint, means over its steps. One line of `.metrics.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CqlMetrics {
    /// Steps done.
    pub step: usize,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Huber loss of the quality head.
    pub quality_loss: f32,
    /// Huber loss of the spend head.
    pub cost_loss: f32,
    /// Conservative term before α: how much Q_r favours actions beyond the data's.
    pub conservative: f32,
    /// Mean Q_r(s, a) over the batches.
    pub mean_quality_to_go: f32,
    /// Mean Q_c(s, a) over the batches.
    pub mean_spend_to_go: f32,
}

/// What a training tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step is done.
    Step(usize),
    /// Metrics and the averaged weights at a checkpoint.
    Checkpoint(&'a CqlMetrics, &'a Parameters),
}

/// Trains on transitions; `observe` may stop the training by an error.
///
/// Returns the normalisation and the averaged weights after the last step.
///
/// # Errors
/// No transitions, weights that are not finite any more, or whatever `observe` says.
pub fn train(
    mut transitions: Transitions,
    config: &CqlConfig,
    seed: u64,
    mut observe: impl FnMut(&Normalisation, Event<'_>) -> Result<(), String>,
) -> Result<(Normalisation, Parameters), String> {
    config.check()?;
    if transitions.is_empty() {
        return Err("found no transition to train on: no budget of the range pays a turn".to_owned());
    }
    let (features, models) = (transitions.features, transitions.models);
    let normalisation = Normalisation::of(&transitions.states, features);
    normalisation.apply(&mut transitions.states);
    normalisation.apply(&mut transitions.next_states);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = Rows::shuffled(&transitions, &mut rng);
    drop(transitions);

    let plain = Device::flex();
    let device = plain.clone().autodiff();
    let mut average = Parameters::draw(features, &config.hidden, models, rng.random());
    let mut online = QNetwork::load(&average, &device);
    let mut target = online.valid();
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let (average_every, mut sums, mut since) = (10usize.min(config.average_steps), Sums::default(), 0usize);
    let checkpoint_every = config.steps.div_ceil(config.checkpoints).max(1);
    let mut at = 0;
    for step in 1..=config.steps {
        let batch = rows.batch(at, config.batch, config.eta, &plain, &device);
        at = rows.next(at, config.batch, &mut rng);
        let progress = step as f64 / config.steps as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        let rate = config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine;
        let measured = step % 10 == 0 || step % checkpoint_every == 0;
        let (loss, parts) = loss(&online, &target, batch, models, config, measured)?;
        let gradients = GradientsParams::from_grads(loss.backward(), &online);
        online = adam.step(rate, online, gradients);
        if let Some(parts) = parts {
            sums.add(&parts);
            since += 1;
        }
        if step % config.target_period_steps == 0 {
            target = online.valid();
        }
        if step % average_every == 0 || step == config.steps {
            // The average is young at first: it must forget the random start, as Adam's corrected moments do.
            let horizon = (config.average_steps as f32).min(step as f32) / average_every as f32;
            average.approach(&online.valid().read(models)?, 1.0 / horizon.max(1.0));
        }
        observe(&normalisation, Event::Step(step))?;
        if step % checkpoint_every == 0 || step == config.steps {
            if !average.is_finite() {
                return Err(format!("step {step}: found weights that are not finite; lower `learning_rate`"));
            }
            let metrics = sums.mean(since, step, rate);
            (sums, since) = (Sums::default(), 0);
            observe(&normalisation, Event::Checkpoint(&metrics, &average))?;
        }
    }
    Ok((normalisation, average))
}

/// One batch on the device.
struct Batch {
    states: Tensor<2>,
    forbidden: Tensor<2, Bool>,
    actions: Tensor<2, Int>,
    plain_rewards: Tensor<2>,
    plain_costs: Tensor<2>,
    plain_next_states: Tensor<2>,
    plain_next_forbidden: Tensor<2, Bool>,
    plain_continues: Tensor<2>,
}

/// The loss of one batch, and its parts where they are wanted (reading them costs a copy).
fn loss(
    online: &QNetwork,
    target: &QNetwork,
    batch: Batch,
    models: usize,
    config: &CqlConfig,
    measured: bool,
) -> Result<(Tensor<1>, Option<Vec<f32>>), String> {
    // Only `.valid()` networks may be asked without a backward pass: other graphs are never freed.
    let next = batch.plain_next_states;
    let greedy = online.valid().forward(next.clone()).narrow(1, 0, models);
    let greedy = greedy.mask_fill(batch.plain_next_forbidden, f32::MIN).argmax(1);
    let next = target.forward(next);
    let next_quality = next.clone().narrow(1, 0, models).gather(1, greedy.clone());
    let next_cost = next.narrow(1, models, models).gather(1, greedy);
    let discount = batch.plain_continues.mul_scalar(config.gamma);
    let quality_target = Tensor::from_inner(batch.plain_rewards + next_quality * discount.clone());
    let cost_target = Tensor::from_inner(batch.plain_costs + next_cost * discount);

    let values = online.forward(batch.states);
    let quality = values.clone().narrow(1, 0, models);
    let taken = quality.clone().gather(1, batch.actions.clone());
    let cost = values.narrow(1, models, models).gather(1, batch.actions);
    let quality_loss = huber(taken.clone() - quality_target, config.huber_delta);
    let cost_loss = huber(cost.clone() - cost_target, config.huber_delta);
    let mut total = quality_loss.clone() + cost_loss.clone().mul_scalar(config.cost_weight);
    let mut parts = vec![quality_loss, cost_loss];
    if config.alpha > 0.0 {
        // log Σ exp over the allowed actions: a forbidden one can never be chosen and must not be pushed down.
        let allowed = quality.mask_fill(batch.forbidden, -1e9f32);
        let highest = allowed.clone().detach().max_dim(1);
        let soft = (allowed - highest.clone()).exp().sum_dim(1).log() + highest;
        let conservative = (soft - taken.clone()).mean();
        total = total + conservative.clone().mul_scalar(config.alpha);
        parts.push(conservative);
    }
    if !measured {
        return Ok((total, None));
    }
    parts.extend([taken.mean(), cost.mean()]);
    let mut read =
        parts.into_iter().map(|part| numbers(part.inner())).collect::<Result<Vec<_>, _>>()?.concat();
    if config.alpha <= 0.0 {
        read.insert(2, 0.0);
    }
    Ok((total, Some(read)))
}

/// Mean Huber loss, divided by nothing: ½e² up to δ, δ·(|e| − ½δ) beyond.
fn huber(errors: Tensor<2>, delta: f32) -> Tensor<1> {
    let size = errors.abs();
    let near = size.clone().clamp_max(delta);
    ((near.clone() * near.clone()).mul_scalar(0.5) + (size - near).mul_scalar(delta)).mean()
}

#[derive(Default)]
struct Sums([f32; 5]);

impl Sums {
    fn add(&mut self, parts: &[f32]) {
        self.0.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }

    fn mean(&self, count: usize, step: usize, learning_rate: f64) -> CqlMetrics {
        let [quality_loss, cost_loss, conservative, mean_quality_to_go, mean_spend_to_go] =
            self.0.map(|sum| sum / count.max(1) as f32);
        CqlMetrics {
            step,
            learning_rate,
            quality_loss,
            cost_loss,
            conservative,
            mean_quality_to_go,
            mean_spend_to_go,
        }
    }
}

/// The transitions, shuffled once, so that a batch is a contiguous piece.
struct Rows {
    data: Transitions,
}

impl Rows {
    fn shuffled(data: &Transitions, rng: &mut ChaCha8Rng) -> Rows {
        let mut order: Vec<usize> = (0..data.len()).collect();
        order.shuffle(rng);
        let wide = |values: &[f32], width: usize| -> Vec<f32> {
            order.iter().flat_map(|i| &values[i * width..(i + 1) * width]).copied().collect()
        };
        let masks = |values: &[bool]| -> Vec<bool> {
            order.iter().flat_map(|i| &values[i * data.models..(i + 1) * data.models]).copied().collect()
        };
        let flags = |values: &[bool]| -> Vec<bool> { order.iter().map(|i| values[*i]).collect() };
        Rows {
            data: Transitions {
                features: data.features,
                models: data.models,
                states: wide(&data.states, data.features),
                masks: masks(&data.masks),
                actions: order.iter().map(|i| data.actions[*i]).collect(),
                qualities: wide(&data.qualities, 1),
                costs: wide(&data.costs, 1),
                next_states: wide(&data.next_states, data.features),
                next_masks: masks(&data.next_masks),
                terminal: flags(&data.terminal),
                bankrupt: flags(&data.bankrupt),
                budget_range_nano_usd: data.budget_range_nano_usd,
            },
        }
    }

    /// Where the next batch begins; each pass begins at another offset, so batches differ between passes.
    fn next(&self, at: usize, batch: usize, rng: &mut ChaCha8Rng) -> usize {
        let (length, following) = (self.data.len(), at + batch);
        if following + batch <= length { following } else { rng.random_range(0..batch.min(length)) }
    }

    fn batch(&self, at: usize, batch: usize, eta: f32, plain: &Device, device: &Device) -> Batch {
        let data = &self.data;
        let at = at.min(data.len().saturating_sub(batch));
        let count = batch.min(data.len() - at);
        let (rows, models, features) = (at..at + count, data.models, data.features);
        let floats = |values: &[f32], width: usize, device: &Device| -> Tensor<2> {
            let piece = values[rows.start * width..rows.end * width].to_vec();
            Tensor::from_data(TensorData::new(piece, [count, width]), device)
        };
        let forbidden = |values: &[bool], device: &Device| -> Tensor<2, Bool> {
            let piece: Vec<bool> =
                values[rows.start * models..rows.end * models].iter().map(|allowed| !allowed).collect();
            Tensor::from_data(TensorData::new(piece, [count, models]), device)
        };
        let rewards: Vec<f32> =
            rows.clone().map(|i| data.qualities[i] - if data.bankrupt[i] { eta } else { 0.0 }).collect();
        let continues: Vec<f32> =
            data.terminal[rows.clone()].iter().map(|ends| f32::from(u8::from(!ends))).collect();
        let actions: Vec<i64> = data.actions[rows.clone()].iter().map(|action| i64::from(*action)).collect();
        let column = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [count, 1]), plain);
        Batch {
            states: floats(&data.states, features, device),
            forbidden: forbidden(&data.masks, device),
            actions: Tensor::from_data(TensorData::new(actions, [count, 1]), device),
            plain_rewards: column(rewards),
            plain_costs: floats(&data.costs, 1, plain),
            plain_next_states: floats(&data.next_states, features, plain),
            plain_next_forbidden: forbidden(&data.next_masks, plain),
            plain_continues: column(continues),
        }
    }
}
