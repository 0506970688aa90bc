//! The temporal-difference loss that `cql` and `fqi` share: double-Q targets (van Hasselt, Guez, Silver: *Deep
//! Reinforcement Learning with Double Q-learning*, AAAI 2016) for two heads, with masked actions.
//!
//! For a batch of transitions (s, a, r, c, s', terminal) of replays with a price of money λ:
//!
//! 1. a' = argmax of Q_r(s', ·) − λ · Q_c(s', ·) of the online network over the models allowed in s'.
//! 2. Targets from the target network: y_r = r − η·bankrupt + γ·Q_r(s', a'), y_c = c + γ·Q_c(s', a'); no second term
//!    where the session ends.
//! 3. With e = Q − y of a head, the head's loss is Huber(e) + p·Huber(e − ē), mean over the observed answers. ē is the mean
//!    of e over the answers of the same logged turn that are adjacent in the batch: those of two replays, usually
//!    under two budgets. Loss = that of Q_r + w times that of Q_c.
//!
//! The paired part is there because most of a target's variance has nothing to do with the choice: whether the session
//! continues, and how, is up to the client and the same under every budget, while choices differ by some hundredths.
//! Hindsight relabelling replays one logged turn under many budgets, so the client's part cancels when a turn is compared
//! with itself (common random numbers in simulation). The first part alone determines the level.
//!
//! λ is part of the state and the rewards are not mixed, so both heads keep their units (quality to go, spend to go) and
//! one network represents the policies of all λ, with the decision rule a* = argmax Q_r − λ·Q_c.

use burn::tensor::{Tensor, TensorData};

use crate::learner::batch::Batch;
use crate::network::QNetwork;

/// Names of [`Td::measures`].
pub const MEASURES: [&str; 5] =
    ["quality_loss", "cost_loss", "paired_loss", "mean_quality_to_go", "mean_spend_to_go"];

/// Settings of the targets and the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TdSettings {
    /// γ, discount per turn.
    pub gamma: f32,
    /// η, penalty of a turn that leads to bankruptcy.
    pub eta: f32,
    /// Errors above this count linearly instead of squared.
    pub huber_delta: f32,
    /// w, weight of the spend head's loss.
    pub cost_weight: f32,
    /// p, weight of the paired loss.
    pub paired_weight: f32,
}

/// The loss and its parts.
#[derive(Clone, Debug)]
pub struct Td {
    /// The loss.
    pub total: Tensor<1>,
    /// See [`MEASURES`].
    pub measures: Vec<Tensor<1>>,
    /// Q_r(s, ·), with its graph, `[G, K]`.
    pub quality: Tensor<2>,
    /// 1 where an answer was observed, `[G, K]`.
    pub observed: Tensor<2>,
}

/// Computes the loss of one batch.
#[must_use]
pub fn loss(
    online: &QNetwork,
    plain: &QNetwork,
    target: &QNetwork,
    batch: &Batch,
    settings: &TdSettings,
) -> Td {
    let [quality_target, cost_target] = targets(plain, target, batch, settings);
    let (models, rows) = (batch.models, batch.rows.max(1) as f32);
    let observed = Tensor::from_inner(batch.plain_observed.clone());
    let values = online.forward(batch.states.clone());
    let quality = values.clone().narrow(1, 0, models);
    let cost = values.narrow(1, models, models);
    let mean = |values: Tensor<2>| (values * observed.clone()).sum().div_scalar(rows);
    let logged_turns = (settings.paired_weight > 0.0).then(|| LoggedTurns::of(batch, &observed));
    let part = |values: Tensor<2>, target: Tensor<2>| {
        let errors = (values - Tensor::from_inner(target)) * observed.clone();
        let huber = |errors: Tensor<2>| huber(errors, settings.huber_delta).sum().div_scalar(rows);
        let paired =
            logged_turns.as_ref().map(|logged_turns| huber(logged_turns.centred(errors.clone(), &observed)));
        (huber(errors), paired)
    };
    let (quality_loss, quality_paired) = part(quality.clone(), quality_target);
    let (cost_loss, cost_paired) = part(cost.clone(), cost_target);
    let both = |quality: Tensor<1>, cost: Tensor<1>| quality + cost.mul_scalar(settings.cost_weight);
    let mut total = both(quality_loss.clone(), cost_loss.clone());
    let paired_loss = match quality_paired.zip(cost_paired) {
        Some((quality, cost)) => both(quality, cost),
        None => total.clone().zeros_like(),
    };
    if settings.paired_weight > 0.0 {
        total = total + paired_loss.clone().mul_scalar(settings.paired_weight);
    }
    let measures = vec![quality_loss, cost_loss, paired_loss, mean(quality.clone()), mean(cost)];
    Td { total, measures, quality, observed }
}

/// y_r and y_c, `[G, K]`.
fn targets(plain: &QNetwork, target: &QNetwork, batch: &Batch, settings: &TdSettings) -> [Tensor<2>; 2] {
    let models = batch.models;
    let next = batch.plain_next_states.clone();
    let values = plain.forward(next.clone());
    let scores = values.clone().narrow(1, 0, models)
        - values.narrow(1, models, models) * batch.plain_next_lambdas.clone();
    let greedy = scores.mask_fill(batch.plain_next_forbidden.clone(), f32::MIN).argmax(1);
    let next = target.forward(next);
    let [states, _] = batch.plain_observed.dims();
    let later = |head: usize| {
        let values = next.clone().narrow(1, head * models, models).gather(1, greedy.clone());
        values.select(0, batch.plain_places.clone()).reshape([states, models])
    };
    let discount = batch.plain_continues.clone().mul_scalar(settings.gamma);
    let rewards = batch.plain_qualities.clone() - batch.plain_bankrupt.clone().mul_scalar(settings.eta);
    [rewards + later(0) * discount.clone(), batch.plain_costs.clone() + later(1) * discount]
}

/// Which states of a batch share a logged turn; for both heads.
struct LoggedTurns {
    /// 1 where a state belongs to a logged turn, `[T, G]`.
    members: Tensor<2>,
    /// Observed answers of each, at least 1, `[T, 1]`.
    counts: Tensor<2>,
}

impl LoggedTurns {
    fn of(batch: &Batch, observed: &Tensor<2>) -> Self {
        let states = batch.logged_turns.len();
        let logged_turns = batch.logged_turns.last().map_or(0, |last| last + 1);
        let mut members = vec![0f32; logged_turns * states];
        batch
            .logged_turns
            .iter()
            .enumerate()
            .for_each(|(state, logged_turn)| members[logged_turn * states + state] = 1.0);
        let members =
            Tensor::<2>::from_data(TensorData::new(members, [logged_turns, states]), &observed.device());
        let counts = members.clone().matmul(observed.clone().sum_dim(1)).clamp_min(1.0);
        LoggedTurns { members, counts }
    }

    /// Errors less the mean error of their logged turn; 0 where nothing was observed.
    fn centred(&self, errors: Tensor<2>, observed: &Tensor<2>) -> Tensor<2> {
        let sums = self.members.clone().matmul(errors.clone().sum_dim(1));
        (errors - self.members.clone().transpose().matmul(sums / self.counts.clone())) * observed.clone()
    }
}

/// Huber loss of every error: ½e² up to δ, δ·(|e| − ½δ) beyond.
fn huber(errors: Tensor<2>, delta: f32) -> Tensor<2> {
    let size = errors.abs();
    let near = size.clone().clamp_max(delta);
    (near.clone() * near.clone()).mul_scalar(0.5) + (size - near).mul_scalar(delta)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::hbr::{self, HbrConfig};
    use crate::learner::Learner;
    use crate::learner::batch::Rows;
    use crate::learner::bc::{Bc, BcConfig};
    use crate::learner::cql::{Cql, CqlConfig};
    use crate::learner::fqi::{Fqi, FqiConfig};
    use crate::network::{Parameters, numbers};
    use burn::tensor::Device;
    use seqroute_sessions::simulator::{Simulator, tiers};

    fn batch() -> Batch {
        let sessions = Simulator::new(1).sessions(10);
        let data = hbr::relabel(&sessions, &tiers(), &HbrConfig::default(), 1).unwrap();
        let rows = Rows::shuffled(data, &Fqi(FqiConfig::default()), 1, 0);
        rows.batch(0, rows.boundary(300), &Device::flex(), &Device::flex())
    }

    #[test]
    fn what_all_answers_of_a_logged_turn_share_is_not_a_paired_error() {
        let batch = batch();
        let observed = batch.plain_observed.clone();
        let [states, models] = observed.dims();
        let tensor = |of: &dyn Fn(usize, usize) -> f32| {
            let values = (0..states * models).map(|at| of(at / models, at % models)).collect::<Vec<f32>>();
            Tensor::<2>::from_data(TensorData::new(values, [states, models]), &Device::flex())
                * observed.clone()
        };
        let logged_turns = LoggedTurns::of(&batch, &observed);
        let paired = |errors| numbers(logged_turns.centred(errors, &observed)).unwrap();
        let luck = tensor(&|state, _| batch.logged_turns[state] as f32 - 3.5);
        assert!(paired(luck.clone()).iter().all(|error| error.abs() < 1e-4));
        let choice = tensor(&|state, model| 0.01 * (state * models + model) as f32);
        let (alone, with_luck) = (paired(choice.clone()), paired(choice + luck));
        assert!(alone.iter().zip(&with_luck).all(|(one, other)| (one - other).abs() < 1e-4));
        assert!(alone.iter().any(|error| error.abs() > 0.005));
        assert!(alone.iter().sum::<f32>().abs() < 1e-2);
    }

    #[test]
    fn every_learner_measures_what_it_names() {
        let (batch, device) = (batch(), Device::flex());
        let network =
            QNetwork::load(&Parameters::draw(batch.states.dims()[1], &[8], 2 * batch.models, 1), &device);
        let learners: [&dyn Learner; 3] =
            [&Fqi(FqiConfig::default()), &Cql(CqlConfig::default()), &Bc(BcConfig::default())];
        for learner in learners {
            let names = learner.measures();
            let measures = learner.loss(&network, &network, &network, batch.clone()).measures;
            assert_eq!(names.len(), measures.len(), "{names:?}");
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn without_a_weight_there_is_no_paired_loss() {
        let (batch, device) = (batch(), Device::flex());
        let inputs = batch.states.dims()[1];
        let network = QNetwork::load(&Parameters::draw(inputs, &[8], 2 * batch.models, 1), &device);
        let of = |paired_weight| {
            let settings = FqiConfig { paired_weight, ..FqiConfig::default() }.td();
            let td = loss(&network, &network, &network, &batch, &settings);
            let measures: Vec<f32> =
                td.measures.into_iter().flat_map(|measure| numbers(measure).unwrap()).collect();
            (numbers(td.total).unwrap()[0], measures)
        };
        let ((plain, plain_measures), (whole, measures)) = (of(0.0), of(10.0));
        assert_eq!((plain_measures[2], plain_measures[..2].to_vec()), (0.0, measures[..2].to_vec()));
        assert!(measures[2] > 0.0 && (whole - plain - 10.0 * measures[2]).abs() < 1e-4 * whole);
    }
}
