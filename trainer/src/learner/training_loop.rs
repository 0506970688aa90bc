//! The training loop that all learners share.
//!
//! Epoch e trains on the rows of relabelling e in random order, while the next relabelling runs in another thread: budgets,
//! prices and rollouts are fresh in every epoch, and rows are never stored. An exponential moving average of the weights
//! is exported, because single iterates of Q-learning fluctuate, and so do their choices.
//!
//! Invariants: all randomness follows from seed and epoch, and [`State`] is the complete state of a training, bit by
//! bit. A training that is interrupted and resumed therefore ends in the same weights. A batch is split into `shards`
//! whose gradients are added in order: the result depends on that setting, never on the number of cores.

use std::ops::ControlFlow;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::hbr::Transitions;
use crate::learner::Learner;
use crate::learner::batch::Rows;
use crate::learner::progress::{CheckpointMetrics, Observer, Progress, Validation};
use crate::learner::state::{Best, State};
use crate::network::{Normalisation, Parameters, QNetwork, numbers};

/// Steps between two updates of the weight average.
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
    /// Number of evenly spaced checkpoints; the one with the best validation quality is exported.
    pub checkpoints: usize,
    /// Early stopping: checkpoints without improvement after which training ends; 0 to train to the last step.
    pub patience: usize,
    /// Parts of a batch that are computed in parallel. 2 pays off from batches of 1024 on, with two free cores.
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

/// Makes the transitions of an epoch, the same every time.
pub type RowsOfEpoch<'a> = &'a (dyn Fn(u64) -> Result<Transitions, TrainError> + Sync);

/// Plays the validation sessions with averaged weights.
pub type Validate<'a> = &'a dyn Fn(&Normalisation, &Parameters) -> Result<Validation, TrainError>;

/// A training: data, learner and settings.
pub struct TrainingLoop<'a> {
    /// Relabels the sessions.
    pub rows: RowsOfEpoch<'a>,
    /// The loss.
    pub learner: &'a dyn Learner,
    /// Settings of the loop.
    pub config: &'a FitConfig,
    /// Seed of the initial weights and of the order of the rows.
    pub seed: u64,
    /// Scores checkpoints.
    pub validate: Validate<'a>,
}

impl TrainingLoop<'_> {
    /// Trains to the last step, or until patience runs out. `first` are the rows of epoch 0; `state` is where an earlier
    /// training stopped.
    ///
    /// # Errors
    /// No rows, diverging weights, or an error of `rows` or `validate`.
    pub fn run<B>(
        &self,
        first: Transitions,
        state: Option<State>,
        observer: Observer<'_, B>,
    ) -> Result<ControlFlow<B, State>, TrainError> {
        let (rows, learner, seed) = (self.rows, self.learner, self.seed);
        let mut first = match &state {
            Some(state) if state.epoch > 0 => rows(state.epoch)?,
            _ => first,
        };
        if first.is_empty() {
            return Err(TrainError::NoTransitions);
        }
        let mut state =
            state.unwrap_or_else(|| State::new(&first, &self.config.hidden, learner.measures().len(), seed));
        let normalisation = state.normalisation.clone();
        let prepare = |rows: &mut Transitions| {
            normalisation.apply(&mut rows.states);
            normalisation.apply(&mut rows.next_states);
        };
        prepare(&mut first);
        let mut rows_of_epoch = Rows::shuffled(first, learner, seed, state.epoch);
        loop {
            let next_epoch = state.epoch + 1;
            let (ended, next) = std::thread::scope(|scope| {
                let relabel = || -> Result<Rows, TrainError> {
                    let mut next = rows(next_epoch)?;
                    prepare(&mut next);
                    Ok(Rows::shuffled(next, learner, seed, next_epoch))
                };
                // The last epoch needs no successor.
                let left = (self.config.steps - state.step) * self.config.batch;
                let needed = left > rows_of_epoch.len().saturating_sub(state.at);
                let next = needed.then(|| scope.spawn(relabel));
                let ended = self.epoch(&mut state, &rows_of_epoch, &mut *observer);
                (ended, next.map(|next| next.join()))
            });
            match (ended?, next) {
                (Ended::Stopped(value), _) => return Ok(ControlFlow::Break(value)),
                (Ended::Finished, _) => return Ok(ControlFlow::Continue(state)),
                (Ended::OutOfRows, None) => return Err(TrainError::OutOfRows),
                (Ended::OutOfRows, Some(next)) => rows_of_epoch = next.map_err(|_| TrainError::Thread)??,
            }
            (state.epoch, state.at) = (next_epoch, 0);
        }
    }

    /// Trains to the end of the epoch's rows, unless the training ends before.
    fn epoch<B>(
        &self,
        state: &mut State,
        rows: &Rows,
        observer: Observer<'_, B>,
    ) -> Result<Ended<B>, TrainError> {
        let config = self.config;
        let checkpoint_every = config.steps.div_ceil(config.checkpoints).max(1);
        let mut target = QNetwork::load(&state.target, &Device::flex());
        while state.step < config.steps {
            let Some(to) = self.end_of_batch(state.at, rows) else { return Ok(Ended::OutOfRows) };
            let step = state.step + 1;
            let is_checkpoint = step.is_multiple_of(checkpoint_every) || step == config.steps;
            let is_average = step.is_multiple_of(AVERAGE_EVERY_STEPS);
            let measured = is_average || step.is_multiple_of(checkpoint_every);
            let (gradients, measures) =
                self.gradients(&state.online, rows, state.at..to, &target, measured)?;
            let rate = rate(config, step);
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
            if is_average || step == config.steps {
                // A shorter horizon at first, so that the average forgets the initial weights (compare Adam's bias
                // correction).
                let horizon = (config.average_steps.min(step) as f32) / AVERAGE_EVERY_STEPS as f32;
                state.average.approach(&state.online, 1.0 / horizon.max(1.0));
            }
            let stopped = observer(Progress::Step(step)).break_value().filter(|_| step < config.steps);
            if is_checkpoint {
                let metrics = self.checkpoint(state, rate)?;
                if let ControlFlow::Break(value) = observer(Progress::Checkpoint(&metrics)) {
                    return Ok(Ended::Stopped(value));
                }
                if config.patience > 0 && state.stale >= config.patience {
                    return Ok(Ended::Finished);
                }
            }
            if (is_checkpoint || stopped.is_some())
                && let ControlFlow::Break(value) = observer(Progress::Save(state))
            {
                return Ok(Ended::Stopped(value));
            }
            if let Some(value) = stopped {
                return Ok(Ended::Stopped(value));
            }
        }
        Ok(Ended::Finished)
    }

    /// Where the batch that starts at `at` ends: with a whole state, so it may be short of some rows. `None` where the
    /// epoch's last rows do not fill a batch; they are left out, unless they are all there is.
    fn end_of_batch(&self, at: usize, rows: &Rows) -> Option<usize> {
        let whole = at + self.config.batch;
        if whole > rows.len() && at > 0 {
            return None;
        }
        let at_least_one_state = rows.boundary(at + rows.transitions().models);
        Some(rows.boundary(whole.min(rows.len())).max(at_least_one_state))
    }

    /// Validates the averaged weights and keeps the best.
    fn checkpoint(&self, state: &mut State, rate: f64) -> Result<CheckpointMetrics, TrainError> {
        if !state.average.is_finite() {
            return Err(TrainError::Diverged { step: state.step });
        }
        let count = state.summed.max(1) as f32;
        let means = state.sums.iter().map(|sum| sum / count);
        let metrics = CheckpointMetrics {
            step: state.step,
            rows_seen: state.rows_seen,
            learning_rate: rate,
            measures: self.learner.measures().iter().copied().zip(means).collect(),
            validation: (self.validate)(&state.normalisation, &state.average)?,
        };
        (state.sums, state.summed) = (vec![0.0; state.sums.len()], 0);
        state.metrics_jsonl += &serde_json::to_string(&metrics)?;
        state.metrics_jsonl.push('\n');
        // Without validation every checkpoint scores alike and the last one stays.
        let score = metrics.validation.quality.unwrap_or(0.0);
        if state.best.as_ref().is_none_or(|best| score >= f64::from_bits(best.score_bits)) {
            let (score_bits, parameters) = (score.to_bits(), state.average.clone());
            state.best = Some(Best { score_bits, step: state.step, parameters });
            state.stale = 0;
        } else {
            state.stale += 1;
        }
        Ok(metrics)
    }

    /// Gradients of the mean loss over a range of rows, and the learner's measures if `measured` (reading them costs a
    /// copy).
    fn gradients(
        &self,
        online: &Parameters,
        rows: &Rows,
        range: std::ops::Range<usize>,
        target: &QNetwork,
        measured: bool,
    ) -> Result<(Parameters, Option<Vec<f32>>), TrainError> {
        let (learner, count) = (self.learner, range.len());
        let shards = self.config.shards.clamp(1, count.max(1));
        // Shards are cut between logged turns: the answers of one are compared with each other.
        let cut = |shard: usize| match shard {
            0 => range.start,
            _ if shard == shards => range.end,
            _ => rows.logged_turn_boundary(range.start + count * shard / shards).max(range.start),
        };
        let shard = |shard: usize| -> Result<(Parameters, Vec<f32>), TrainError> {
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
            Ok((gradients, measures.collect::<Result<_, TrainError>>()?))
        };
        let shard = &shard;
        let (gradients, measures) = std::thread::scope(|scope| {
            let others: Vec<_> = (1..shards).map(|k| scope.spawn(move || shard(k))).collect();
            let mut sum = shard(0)?;
            for other in others {
                let other = other.join().map_err(|_| TrainError::Thread)??;
                sum.0.values_mut().zip(other.0.values()).for_each(|(sum, value)| *sum += value);
                sum.1.iter_mut().zip(&other.1).for_each(|(sum, value)| *sum += value);
            }
            Ok::<_, TrainError>(sum)
        })?;
        Ok((gradients, measured.then_some(measures)))
    }
}

/// How an epoch ended.
enum Ended<B> {
    /// The next relabelling is due.
    OutOfRows,
    /// All steps are done, or patience ran out.
    Finished,
    /// The observer stopped the training.
    Stopped(B),
}

/// Learning rate: half a cosine from the first to the last.
fn rate(config: &FitConfig, step: usize) -> f64 {
    let progress = step as f64 / config.steps.max(1) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine
}
