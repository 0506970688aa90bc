//! The training loop that all learners share.
//!
//! Epoch e trains on the rows of relabelling e, in a random order; the next relabelling runs beside it, so that
//! budgets, prices and walks are fresh in every pass and no row is stored. What is exported is an exponential average
//! of the weights: single iterates of Q-learning jitter, and so do the choices they make.
//!
//! What must always hold: everything random follows from seed and epoch, and [`State`] is all that a training knows,
//! bit by bit. So a training that is interrupted and goes on from its state ends in the same weights as one that is
//! not. A batch is cut into `shards` whose gradients are added in order: the result depends on the setting, never on
//! the number of cores.

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::hbr::Transitions;
use crate::learner::Learner;
use crate::network::adam::Adam;
use crate::learner::batch::Rows;
use crate::network::{Normalisation, Parameters, QNetwork, exact, numbers};

/// Steps between two entries into the average of the weights.
const AVERAGE_EVERY_STEPS: usize = 10;

/// Settings of the loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitConfig {
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
    /// Decoupled weight decay, relative to the learning rate.
    pub weight_decay: f32,
    /// Steps between copies to the target network.
    pub target_period_steps: usize,
    /// Horizon of the weight average in steps.
    pub average_steps: usize,
    /// How often the training is measured, and the best policy on validation data is kept.
    pub checkpoints: usize,
    /// Checkpoints without a better one after which the training ends early; 0: never.
    pub patience: usize,
    /// Parts of a batch that are computed side by side. 2 pays from batches of 1024 on, with two free cores.
    pub shards: usize,
}

impl Default for FitConfig {
    fn default() -> Self {
        FitConfig {
            hidden: vec![64, 64],
            steps: 12_000,
            batch: 512,
            learning_rate: 1e-3,
            final_learning_rate: 2e-5,
            weight_decay: 0.0,
            target_period_steps: 500,
            average_steps: 1000,
            checkpoints: 12,
            patience: 0,
            shards: 1,
        }
    }
}

/// All that a training knows between two steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: usize,
    /// Number of the relabelling in use, and the place in its order.
    epoch: u64,
    at: usize,
    /// Rows seen.
    pub rows_seen: u64,
    /// Normalisation of the states.
    pub normalisation: Normalisation,
    online: Parameters,
    target: Parameters,
    average: Parameters,
    adam: Adam,
    #[serde(with = "exact")]
    sums: Vec<f32>,
    summed: usize,
    /// The best checkpoint.
    pub best: Option<Best>,
    /// Checkpoints since then.
    stale: usize,
    /// The metrics so far, one JSON object per line.
    pub metrics_jsonl: String,
}

/// A checkpoint that was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its score, as the bits of an `f64`.
    score_bits: u64,
    /// Its step.
    pub step: usize,
    /// Its averaged weights.
    pub parameters: Parameters,
}

/// Measurements since the last checkpoint, means over its steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Steps done.
    pub step: usize,
    /// Rows seen.
    pub rows_seen: u64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// The learner's measures.
    #[serde(flatten)]
    pub measures: BTreeMap<&'static str, f32>,
}

/// Whoever follows a training.
pub trait Observer {
    /// A step is done; `false` stops the training after it has been saved.
    fn step(&mut self, step: usize) -> bool;

    /// Judges the averaged weights; returns the line for the metrics and a score, higher is better.
    ///
    /// # Errors
    /// Whatever stops the training.
    fn checkpoint(
        &mut self,
        measured: &Measured,
        normalisation: &Normalisation,
        average: &Parameters,
    ) -> Result<(String, f64), String>;

    /// Keeps the state.
    ///
    /// # Errors
    /// It cannot be kept.
    fn save(&mut self, state: &State) -> Result<(), String>;
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All steps are done, or no checkpoint got better for long enough.
    Finished,
    /// The observer stopped it; it can go on from its last saved state.
    Stopped,
}

/// Trains; `rows` makes the rows of an epoch, the same every time. `state` is where an earlier training stopped.
///
/// # Errors
/// No rows, weights that are not finite any more, or whatever `rows` or `observer` say.
pub fn fit(
    rows: &(dyn Fn(u64) -> Result<Transitions, String> + Sync),
    learner: &dyn Learner,
    config: &FitConfig,
    seed: u64,
    state: Option<State>,
    observer: &mut dyn Observer,
) -> Result<(State, Ended), String> {
    let mut first = rows(state.as_ref().map_or(0, |state| state.epoch))?;
    if first.is_empty() {
        return Err("found no transition to train on: no budget of the range pays a turn".to_owned());
    }
    let state = state.unwrap_or_else(|| State::new(&first, config, learner, seed));
    state.normalisation.apply(&mut first.states);
    state.normalisation.apply(&mut first.next_states);
    let mut rows_of_epoch = Rows::shuffled(first, learner, seed, state.epoch);
    let mut loop_ = Loop { learner, config, state, observer };
    loop {
        let normalisation = loop_.state.normalisation.clone();
        let next_epoch = loop_.state.epoch + 1;
        let (ended, next) = std::thread::scope(|scope| {
            let prepare = || -> Result<Rows, String> {
                let mut next = rows(next_epoch)?;
                normalisation.apply(&mut next.states);
                normalisation.apply(&mut next.next_states);
                Ok(Rows::shuffled(next, learner, seed, next_epoch))
            };
            // The last epoch needs no successor.
            let left = (config.steps - loop_.state.step) * config.batch;
            let needed = left > rows_of_epoch.len().saturating_sub(loop_.state.at);
            let next = needed.then(|| scope.spawn(prepare));
            let ended = loop_.epoch(&rows_of_epoch);
            (ended, next.map(|next| next.join()))
        });
        if let Some(ended) = ended? {
            return Ok((loop_.state, ended));
        }
        let next = next.ok_or("the training ran out of rows")?;
        rows_of_epoch = next.map_err(|_| "relabelling failed".to_owned())??;
        (loop_.state.epoch, loop_.state.at) = (next_epoch, 0);
    }
}

impl State {
    fn new(first: &Transitions, config: &FitConfig, learner: &dyn Learner, seed: u64) -> Self {
        let parameters = Parameters::draw(first.features, &config.hidden, 2 * first.models, seed);
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
            sums: vec![0.0; learner.measures().len()],
            summed: 0,
            best: None,
            stale: 0,
            metrics_jsonl: String::new(),
        }
    }
}

struct Loop<'a> {
    learner: &'a dyn Learner,
    config: &'a FitConfig,
    state: State,
    observer: &'a mut dyn Observer,
}

impl Loop<'_> {
    /// Trains to the end of the epoch's rows; says how the training ended, if it did.
    fn epoch(&mut self, rows: &Rows) -> Result<Option<Ended>, String> {
        let config = self.config;
        let checkpoint_every = config.steps.div_ceil(config.checkpoints).max(1);
        let mut target = QNetwork::load(&self.state.target, &Device::flex());
        while self.state.step < config.steps {
            // An epoch's last rows that fill no batch are left out, unless they are all there is.
            // A batch ends with a state, so it may be short of some rows.
            let whole = self.state.at + config.batch;
            if whole > rows.len() && self.state.at > 0 {
                return Ok(None);
            }
            let to = rows
                .boundary(whole.min(rows.len()))
                .max(rows.boundary(self.state.at + rows.transitions().models));
            let step = self.state.step + 1;
            let measured = step.is_multiple_of(AVERAGE_EVERY_STEPS) || step.is_multiple_of(checkpoint_every);
            let (gradients, measures) = gradients(
                self.learner,
                &self.state.online,
                config.shards,
                rows,
                self.state.at..to,
                &target,
                measured,
            )?;
            let rate = rate(config, step);
            let state = &mut self.state;
            state.adam.step(&mut state.online, &gradients, rate as f32, config.weight_decay);
            state.rows_seen += (to - state.at) as u64;
            (state.step, state.at) = (step, to);
            if let Some(measures) = measures {
                state.sums.iter_mut().zip(&measures).for_each(|(sum, measure)| *sum += measure);
                state.summed += 1;
            }
            if step.is_multiple_of(config.target_period_steps) {
                state.target = state.online.clone();
                target = QNetwork::load(&state.target, &Device::flex());
            }
            if step.is_multiple_of(AVERAGE_EVERY_STEPS) || step == config.steps {
                // The average is young at first: it must forget the random start, as Adam's corrected moments do.
                let horizon = (config.average_steps.min(step) as f32) / AVERAGE_EVERY_STEPS as f32;
                state.average.approach(&state.online, 1.0 / horizon.max(1.0));
            }
            let go_on = self.observer.step(step);
            if step.is_multiple_of(checkpoint_every) || step == config.steps {
                self.checkpoint(rate)?;
                let patience = config.patience;
                if patience > 0 && self.state.stale >= patience {
                    return Ok(Some(Ended::Finished));
                }
                self.observer.save(&self.state)?;
            }
            if !go_on && step < config.steps {
                self.observer.save(&self.state)?;
                return Ok(Some(Ended::Stopped));
            }
        }
        Ok(Some(Ended::Finished))
    }

    fn checkpoint(&mut self, rate: f64) -> Result<(), String> {
        let state = &mut self.state;
        if !state.average.is_finite() {
            let step = state.step;
            return Err(format!("step {step}: found weights that are not finite; lower `learning_rate`"));
        }
        let count = state.summed.max(1) as f32;
        let means = state.sums.iter().map(|sum| sum / count);
        let measured = Measured {
            step: state.step,
            rows_seen: state.rows_seen,
            learning_rate: rate,
            measures: self.learner.measures().iter().copied().zip(means).collect(),
        };
        (state.sums, state.summed) = (vec![0.0; state.sums.len()], 0);
        let (line, score) = self.observer.checkpoint(&measured, &state.normalisation, &state.average)?;
        state.metrics_jsonl += &line;
        state.metrics_jsonl.push('\n');
        // Without validation every checkpoint scores alike and the last one stays.
        if state.best.as_ref().is_none_or(|best| score >= f64::from_bits(best.score_bits)) {
            let (score_bits, parameters) = (score.to_bits(), state.average.clone());
            state.best = Some(Best { score_bits, step: state.step, parameters });
            state.stale = 0;
        } else {
            state.stale += 1;
        }
        Ok(())
    }
}

/// Gradients of the mean loss over a range of rows, and the learner's measures where they are wanted (reading
/// them costs a copy).
fn gradients(
    learner: &dyn Learner,
    online: &Parameters,
    shards: usize,
    rows: &Rows,
    range: std::ops::Range<usize>,
    target: &QNetwork,
    measured: bool,
) -> Result<(Parameters, Option<Vec<f32>>), String> {
    let count = range.len();
    let shards = shards.clamp(1, count.max(1));
    // Shards are cut between occasions: the answers of one are compared with each other.
    let cut = |shard: usize| match shard {
        0 => range.start,
        _ if shard == shards => range.end,
        _ => rows.occasion_boundary(range.start + count * shard / shards).max(range.start),
    };
    let shard = |shard: usize| -> Result<(Parameters, Vec<f32>), String> {
        let (plain, device) = (Device::flex(), Device::flex().autodiff());
        let (from, to) = (cut(shard), cut(shard + 1));
        if from == to {
            return Ok((online.zeros(), vec![0.0; learner.measures().len()]));
        }
        let weight = (to - from) as f32 / count.max(1) as f32;
        let batch = rows.batch(from, to, &plain, &device);
        let network = QNetwork::load(online, &device);
        let loss = learner.loss(&network, &QNetwork::load(online, &plain), target, batch);
        let gradients = network.gradients(&loss.total.mul_scalar(weight), online)?;
        let measures = loss.measures.into_iter().filter(|_| measured);
        let measures = measures.map(|measure| Ok(weight * numbers(measure.inner())?.iter().sum::<f32>()));
        Ok((gradients, measures.collect::<Result<_, String>>()?))
    };
    let shard = &shard;
    let (gradients, measures) = std::thread::scope(|scope| {
        let others: Vec<_> = (1..shards).map(|k| scope.spawn(move || shard(k))).collect();
        let mut sum = shard(0)?;
        for other in others {
            let other = other.join().map_err(|_| "a training thread failed".to_owned())??;
            sum.0.values_mut().zip(other.0.values()).for_each(|(sum, value)| *sum += value);
            sum.1.iter_mut().zip(&other.1).for_each(|(sum, value)| *sum += value);
        }
        Ok::<_, String>(sum)
    })?;
    Ok((gradients, measured.then_some(measures)))
}

/// Half a cosine from the first rate to the last.
fn rate(config: &FitConfig, step: usize) -> f64 {
    let progress = step as f64 / config.steps.max(1) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine
}
