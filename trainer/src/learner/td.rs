//! The temporal-difference loss that `cql` and `fqi` share: double-Q targets (van Hasselt, Guez, Silver: *Deep
//! Reinforcement Learning with Double Q-learning*, AAAI 2016) for two heads, with the mask as part of the problem.
//!
//! For a batch of transitions (s, a, r, c, s', ends) of replays under a price of money λ:
//!
//! 1. a' = argmax of Q_r(s', ·) − λ · Q_c(s', ·) of the online network over the models allowed in s'.
//! 2. Targets from the target network: y_r = r − η·bankrupt + γ·Q_r(s', a'), y_c = c + γ·Q_c(s', a'); no second term
//!    where the session ends.
//! 3. Loss = Huber(Q_r(s,a), y_r) + w·Huber(Q_c(s,a), y_c), mean over the observed answers.
//!
//! λ is part of the state and the rewards are not mixed, so both heads stay in their own units (quality to go, spend
//! to go) and one network knows the policies of all λ: a* = argmax Q_r − λ·Q_c is each one's own decision rule.

use burn::tensor::Tensor;

use crate::learner::batch::Batch;
use crate::learner::network::QNetwork;

/// Names of [`Td::measures`].
pub const MEASURES: [&str; 4] = ["quality_loss", "cost_loss", "mean_quality_to_go", "mean_spend_to_go"];

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
}

/// The loss and what it was made from.
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
    let part = |values: Tensor<2>, target: Tensor<2>| {
        let errors = (values - Tensor::from_inner(target)) * observed.clone();
        huber(errors, settings.huber_delta).sum().div_scalar(rows)
    };
    let quality_loss = part(quality.clone(), quality_target);
    let cost_loss = part(cost.clone(), cost_target);
    let total = quality_loss.clone() + cost_loss.clone().mul_scalar(settings.cost_weight);
    let measures = vec![quality_loss, cost_loss, mean(quality.clone()), mean(cost)];
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

/// Huber's loss of every error: ½e² up to δ, δ·(|e| − ½δ) beyond.
fn huber(errors: Tensor<2>, delta: f32) -> Tensor<2> {
    let size = errors.abs();
    let near = size.clone().clamp_max(delta);
    (near.clone() * near.clone()).mul_scalar(0.5) + (size - near).mul_scalar(delta)
}
