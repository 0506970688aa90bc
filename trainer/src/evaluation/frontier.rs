//! One policy under many values of λ: the sweep, and its cost at the quality of other methods.

use rayon::prelude::*;
use seqroute_core::config::LambdaRule;
use seqroute_core::money::NanoUsd;
use serde::Serialize;

use super::measurement::Measurement;
use super::methods::{Method, MethodKind, PolicyMethod};
use crate::error::TrainError;
use seqroute_sessions::session::Session;

/// Values of λ above 0, evenly spaced in the logarithm.
const LAMBDAS: usize = 13;
/// Smallest and largest of them.
const LAMBDA_RANGE: [f64; 2] = [0.03, 1000.0];

/// The policy under one λ and budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepPoint {
    /// `spend_to_go` (ours) or `next_cost` (the paper's).
    pub rule: LambdaRule,
    /// λ.
    pub lambda: f32,
    /// Budget as a share of the strongest model's mean cost.
    pub budget_share: f64,
    /// Mean cost of a session as such a share.
    pub cost_share: f64,
    /// Quality per turn.
    pub quality: f64,
    /// Share of the sessions that went bankrupt.
    pub bankrupt_share: f64,
}

/// The policy's cost where its quality is at least that of another method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saving {
    /// The other method.
    pub other: String,
    /// The other's budget as a share of the reference.
    pub budget_share: f64,
    /// The other's mean cost of a session as such a share.
    pub other_cost_share: f64,
    /// The policy's, interpolated between points of its frontier; `None` if it never reaches the quality.
    pub our_cost_share: Option<f64>,
    /// 1 − ours / other's.
    pub reduction: Option<f64>,
    /// The policy's quality per turn at the other's cost, minus the other's; `None` if it never costs so little.
    pub gain: Option<f64>,
}

/// Plays the policy (its first seed) under every λ by both rules.
///
/// # Errors
/// The archive cannot serve the models, or the data lack an answer.
pub fn sweep(
    policy: &PolicyMethod,
    sessions: &[Session],
    budget_shares: &[f64],
    reference_nano_usd: f64,
) -> Result<Vec<SweepPoint>, TrainError> {
    let mut jobs = Vec::new();
    for share in budget_shares {
        for rule in [LambdaRule::SpendToGo, LambdaRule::NextCost] {
            jobs.extend(lambdas().map(|lambda| (*share, rule, lambda)));
        }
    }
    let point = |(budget_share, rule, lambda): (f64, LambdaRule, f32)| {
        let archives = policy.archives.iter().take(1).cloned().collect();
        let priced = PolicyMethod { archives, lambda, rule, ..policy.clone() };
        let played = priced.play(sessions, NanoUsd((budget_share * reference_nano_usd) as u64))?;
        let results = played.seeds.iter().flatten();
        let (mut quality, mut cost, mut bankrupt, mut turns) = (0.0, 0.0, 0.0, 0.0);
        for result in results {
            quality += result.quality;
            cost += result.cost.0 as f64;
            bankrupt += f64::from(u8::from(result.bankrupt));
            turns += result.turns as f64;
        }
        let count = sessions.len().max(1) as f64;
        let cost_share = cost / count / reference_nano_usd;
        let quality = quality / f64::max(turns, 1.0);
        Ok(SweepPoint { rule, lambda, budget_share, cost_share, quality, bankrupt_share: bankrupt / count })
    };
    jobs.into_par_iter().map(point).collect()
}

fn lambdas() -> impl Iterator<Item = f32> {
    let [low, high] = LAMBDA_RANGE.map(f64::ln);
    let spaced =
        (0..LAMBDAS).map(move |i| (low + (high - low) * i as f64 / (LAMBDAS - 1) as f64).exp() as f32);
    std::iter::once(0.0).chain(spaced)
}

/// For every measurement of another router, the cost of its quality on the policy's frontier, which has the points of
/// the sweep and those of the policy under each budget.
#[must_use]
pub fn savings(sweep: &[SweepPoint], measurements: &[Measurement]) -> Vec<Saving> {
    let swept = sweep.iter().map(|point| (point.cost_share, point.quality));
    let ours = measurements.iter().filter(|line| line.kind == MethodKind::Ours);
    let frontier = pareto(swept.chain(ours.map(|line| (line.cost_share, line.quality.value))).collect());
    let others =
        measurements.iter().filter(|line| matches!(line.kind, MethodKind::Learned | MethodKind::Baseline));
    let saving = |line: &Measurement| {
        let our_cost_share = cost_of(&frontier, line.quality.value);
        Saving {
            other: line.name.clone(),
            budget_share: line.budget_share,
            other_cost_share: line.cost_share,
            our_cost_share,
            reduction: our_cost_share.map(|cost| 1.0 - cost / line.cost_share),
            gain: quality_at(&frontier, line.cost_share).map(|quality| quality - line.quality.value),
        }
    };
    others.map(saving).collect()
}

/// The Pareto-optimal points, by rising cost and quality.
fn pareto(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut highest = f64::MIN;
    points.retain(|(_, quality)| {
        let better = *quality > highest;
        highest = highest.max(*quality);
        better
    });
    points
}

/// The cost at which a frontier reaches a quality.
fn cost_of(frontier: &[(f64, f64)], quality: f64) -> Option<f64> {
    let at = frontier.partition_point(|point| point.1 < quality);
    let above = frontier.get(at)?;
    let Some(below) = at.checked_sub(1).and_then(|at| frontier.get(at)) else {
        return Some(above.0);
    };
    Some(below.0 + (above.0 - below.0) * (quality - below.1) / (above.1 - below.1))
}

/// The quality that a frontier reaches at a cost.
fn quality_at(frontier: &[(f64, f64)], cost: f64) -> Option<f64> {
    // Rounding must not push the cheapest point out of its own reach.
    let at = frontier.partition_point(|point| point.0 <= cost + 1e-12);
    let below = frontier.get(at.checked_sub(1)?)?;
    let Some(above) = frontier.get(at) else { return Some(below.1) };
    Some(below.1 + (above.1 - below.1) * ((cost - below.0) / (above.0 - below.0)).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontier_drops_dominated_points_and_is_linear_between_the_others() {
        let frontier = pareto(vec![(0.4, 0.8), (0.1, 0.5), (0.2, 0.4), (0.2, 0.6)]);
        assert_eq!(frontier, [(0.1, 0.5), (0.2, 0.6), (0.4, 0.8)]);
        assert!((cost_of(&frontier, 0.7).unwrap() - 0.3).abs() < 1e-12);
        assert_eq!(cost_of(&frontier, 0.2), Some(0.1));
        assert_eq!(cost_of(&frontier, 0.9), None);
        assert!((quality_at(&frontier, 0.3).unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(quality_at(&frontier, 0.1), Some(0.5));
        assert_eq!((quality_at(&frontier, 0.05), quality_at(&frontier, 9.0)), (None, Some(0.8)));
    }

    #[test]
    fn the_sweep_starts_without_a_price_and_rises() {
        let all: Vec<f32> = lambdas().collect();
        assert_eq!((all[0], all.len()), (0.0, LAMBDAS + 1));
        assert!(all.is_sorted());
    }
}
