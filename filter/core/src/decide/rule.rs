//! The decision rule: from values to one model.
//!
//! λ is the price of money: the quality that is given up to save one whole session budget. Two rules are offered
//! (DESIGN, λ-sweep): the paper's, which charges the expected cost of this turn (SeqRoute, arXiv 2605.25424), and
//! the default, which charges the whole spend to go that the policy expects. Neither needs retraining. The mask
//! overrules both, and a value that is not finite never wins.

use crate::MAX_MODELS;
use crate::config::{LambdaRule, ModelConfig};
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

/// The dearest of the allowed models: the myopic baseline.
///
/// By rank or list price, never by what this turn would cost: a warm cache makes a dear model cheaper than a cheap one
/// whose cache is cold, and a session that followed it would go to and fro between them and break the cache of both.
#[must_use]
pub fn most_expensive(mask: &ActionMask, models: &[ModelConfig]) -> Option<usize> {
    mask.allowed().max_by_key(|k| models.get(*k).map(ModelConfig::order))
}

/// The cheapest of the allowed models, by rank or list price: the fallback when a policy fails.
#[must_use]
pub fn cheapest(mask: &ActionMask, models: &[ModelConfig]) -> Option<usize> {
    mask.allowed().min_by_key(|k| models.get(*k).map(ModelConfig::order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::changed_example;
    use serde_json::json;

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
        let models = models(|_| {});
        assert_eq!(most_expensive(&mask, &models), Some(1));
        assert_eq!(cheapest(&mask, &models), Some(0));
    }

    fn models(change: impl FnOnce(&mut serde_json::Value)) -> Vec<ModelConfig> {
        let config = changed_example(|v| {
            let mut third = v["models"][1].clone();
            third["name"] = json!("huge");
            third["prices"]["output_pico_usd_per_token"] = json!(75_000_000);
            v["models"].as_array_mut().unwrap().push(third);
            change(v);
        });
        config.models
    }

    #[test]
    fn a_warm_cache_does_not_make_a_dear_model_the_cheap_one() {
        let mut estimates = estimates();
        // This turn would cost more with the cheap model, whose cache is cold.
        (estimates[0].expected, estimates[2].expected) = (NanoUsd(36), NanoUsd(23));
        let mask = ActionMask::new(&estimates, NanoUsd(1000), NanoUsd::ZERO);
        let by_price = models(|_| {});
        assert_eq!((most_expensive(&mask, &by_price), cheapest(&mask, &by_price)), (Some(2), Some(0)));
        let ranked = models(|v| (0..3).for_each(|k| v["models"][k]["rank"] = json!([5, 9, 1][k])));
        assert_eq!((most_expensive(&mask, &ranked), cheapest(&mask, &ranked)), (Some(1), Some(2)));
    }
}
