//! The decision rule: from values to one model.
//!
//! λ is the price of money: the quality that is given up to save one whole session budget. Two rules are offered
//! (DESIGN, λ-sweep): the paper's, which charges the expected cost of this turn (SeqRoute, arXiv 2605.25424), and
//! the default, which charges the whole spend to go that the policy expects. Neither needs retraining. The mask
//! overrules both, and a value that is not finite never wins.

use crate::MAX_MODELS;
use crate::config::LambdaRule;
use crate::decide::estimate::CostEstimate;
use crate::decide::mask::ActionMask;
use crate::money::NanoUsd;

/// The outputs of a policy for one state; only the first K of each are meaningful.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QValues {
    /// Quality to go (sum over this and later turns) with each model.
    pub quality: [f32; MAX_MODELS],
    /// Spend to go with each model, as a share of the session's budget.
    pub cost: [f32; MAX_MODELS],
}

/// The allowed model with the highest score; the first of equals. `None` when no allowed model has a finite score.
#[must_use]
pub fn best(
    values: &QValues,
    mask: &ActionMask,
    estimates: &[CostEstimate],
    budget: NanoUsd,
    lambda: f32,
    rule: LambdaRule,
) -> Option<usize> {
    let score = |k: usize| Some((k, score(k, values, estimates, budget, lambda, rule)?));
    let scored = mask.allowed().filter_map(score);
    scored.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(k, _)| k)
}

/// The score of model `k`; `None` when it is not finite.
#[must_use]
pub fn score(
    k: usize,
    values: &QValues,
    estimates: &[CostEstimate],
    budget: NanoUsd,
    lambda: f32,
    rule: LambdaRule,
) -> Option<f32> {
    let quality = values.quality.get(k)?;
    let cost = match rule {
        LambdaRule::SpendToGo => *values.cost.get(k)?,
        LambdaRule::NextCost => (estimates.get(k)?.expected.0 as f64 / budget.0.max(1) as f64) as f32,
    };
    // With λ = 0 the cost head must not matter, whatever it says.
    let score = if lambda == 0.0 { *quality } else { quality - lambda * cost };
    score.is_finite().then_some(score)
}

/// The allowed model with the highest expected cost: the myopic baseline.
#[must_use]
pub fn most_expensive(mask: &ActionMask, estimates: &[CostEstimate]) -> Option<usize> {
    mask.allowed().max_by_key(|k| estimates.get(*k).map(|estimate| estimate.expected))
}

/// The allowed model with the lowest expected cost: the fallback when a policy fails.
#[must_use]
pub fn cheapest(mask: &ActionMask, estimates: &[CostEstimate]) -> Option<usize> {
    mask.allowed().min_by_key(|k| estimates.get(*k).map(|estimate| estimate.expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimates() -> [CostEstimate; 3] {
        [10, 50, 100].map(|cost| CostEstimate {
            expected: NanoUsd(cost),
            least: NanoUsd(cost),
            upper: NanoUsd(cost),
            fits_context: true,
        })
    }

    fn values(quality: [f32; 3], cost: [f32; 3]) -> QValues {
        let mut values = QValues::default();
        values.quality[..3].copy_from_slice(&quality);
        values.cost[..3].copy_from_slice(&cost);
        values
    }

    fn choose(values: &QValues, available: u64, lambda: f32, rule: LambdaRule) -> Option<usize> {
        let mask = ActionMask::new(&estimates(), NanoUsd(available), NanoUsd::ZERO);
        best(values, &mask, &estimates(), NanoUsd(200), lambda, rule)
    }

    #[test]
    fn lambda_moves_the_choice_towards_cheaper_models() {
        let values = values([1.0, 1.5, 1.6], [0.1, 0.3, 0.9]);
        assert_eq!(choose(&values, 200, 0.0, LambdaRule::SpendToGo), Some(2));
        assert_eq!(choose(&values, 200, 1.0, LambdaRule::SpendToGo), Some(1));
        assert_eq!(choose(&values, 200, 9.0, LambdaRule::SpendToGo), Some(0));
    }

    #[test]
    fn the_papers_rule_charges_this_turn_only() {
        let values = values([1.0, 1.5, 1.6], [0.9, 0.9, 0.0]);
        assert_eq!(choose(&values, 200, 1.0, LambdaRule::NextCost), Some(1));
    }

    #[test]
    fn a_masked_model_never_wins() {
        let values = values([0.0, 0.1, 9.0], [0.0; 3]);
        assert_eq!(choose(&values, 99, 0.0, LambdaRule::SpendToGo), Some(1));
        assert_eq!(choose(&values, 9, 0.0, LambdaRule::SpendToGo), None);
    }

    #[test]
    fn a_value_that_is_not_finite_never_wins() {
        let values = values([0.5, f32::NAN, f32::INFINITY], [0.0; 3]);
        assert_eq!(choose(&values, 200, 0.0, LambdaRule::SpendToGo), Some(0));
        let invalid = values_of_nan();
        assert_eq!(choose(&invalid, 200, 1.0, LambdaRule::SpendToGo), None);
    }

    fn values_of_nan() -> QValues {
        values([f32::NAN; 3], [f32::NAN; 3])
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(choose(&values([1.0; 3], [0.0; 3]), 200, 0.0, LambdaRule::SpendToGo), Some(0));
    }

    #[test]
    fn the_baselines_pick_the_most_and_the_least_expensive_affordable_model() {
        let mask = ActionMask::new(&estimates(), NanoUsd(60), NanoUsd::ZERO);
        assert_eq!(most_expensive(&mask, &estimates()), Some(1));
        assert_eq!(cheapest(&mask, &estimates()), Some(0));
    }
}
