//! Quality at equal budget: the trained policy against everything simpler, on sessions that none of them saw.
//!
//! Budgets are shares of the mean cost of a session that the most expensive model ("strongest") answers alone. Every
//! router plays the same sessions under the same budgets, turns that it does not serve count as quality 0, and a
//! saving is never shown without the quality it was bought with. Intervals are by bootstrap over sessions
//! ([`bootstrap`]): turns of one session are not independent.

pub mod bootstrap;
pub mod table;

use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;
use serde::Serialize;

use crate::baseline::{CoreRouter, RandomRouter, Router, ThresholdRouter};
use crate::environment::{self, EpisodeResult, ReplayError};
use crate::session::Session;
use bootstrap::{Interval, Resamples};

/// What is compared on what.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The sessions, with outcomes of every model.
    pub sessions: &'a [Session],
    /// Other sessions to tune heuristics on; without them the threshold is one half.
    pub tune: &'a [Session],
    /// The models.
    pub models: &'a [ModelConfig],
    /// Budgets, as shares of the mean cost of always taking the strongest model.
    pub budget_shares: &'a [f64],
    /// λ for the trained policy.
    pub lambda: f32,
    /// Seed of the bootstrap and of the random router.
    pub seed: u64,
    /// Bootstrap resamples.
    pub resamples: usize,
}

/// One router under one budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// The router.
    pub router: String,
    /// Budget as a share of the strongest model's mean cost.
    pub budget_share: f64,
    /// Budget of every session.
    pub budget_nano_usd: NanoUsd,
    /// Quality per turn, with unserved turns as 0.
    pub quality: Interval,
    /// Mean cost of a session.
    pub cost_per_session_usd: f64,
    /// Share of the sessions that ended before their last turn.
    pub bankrupt_share: f64,
    /// Share of the sessions that ended early although always taking the cheapest model finishes them.
    pub avoidable_bankrupt_share: f64,
    /// Share of the served turns by model, in the order of the models file.
    pub served_share_by_model: Vec<f64>,
    /// The tuned threshold, where the router has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// The trained policy against the best of the others under one budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Budget as a share of the strongest model's mean cost.
    pub budget_share: f64,
    /// The other router with the highest quality on these sessions.
    pub best_other: String,
    /// Quality per turn of the policy minus that of the other, paired by session.
    pub difference: Interval,
}

/// All answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Sessions played.
    pub sessions: usize,
    /// Their turns.
    pub turns: usize,
    /// The trained policy's id.
    pub policy_id: String,
    /// λ of the trained policy.
    pub lambda: f32,
    /// The model with the highest mean cost.
    pub strongest: String,
    /// Its place in the models file.
    pub strongest_index: usize,
    /// The model with the lowest mean cost.
    pub cheapest: String,
    /// Mean cost of a session that the strongest model answers alone.
    pub reference_cost_usd: f64,
    /// One line per budget and router.
    pub measurements: Vec<Measurement>,
    /// One line per budget.
    pub comparisons: Vec<Comparison>,
}

/// The trained policy's name in tables.
pub const POLICY: &str = "seqroute";

/// Everyone who is compared, without the trained policy: the fixed routers.
///
/// # Errors
/// The core refuses the models.
pub fn contestants(models: &[ModelConfig], seed: u64) -> Result<Vec<Box<dyn Router>>, ReplayError> {
    let mut routers: Vec<Box<dyn Router>> = Vec::new();
    for model in models {
        routers.push(Box::new(CoreRouter::always(models, &model.name)?));
    }
    routers.push(Box::new(CoreRouter::myopic(models)?));
    routers.push(Box::new(RandomRouter::new(models, seed)?));
    Ok(routers)
}

/// Plays everything; `progress` hears (played, to play) in units of one router under one budget.
///
/// # Errors
/// The policy is for other models, or the data lacks an answer.
pub fn evaluate(
    question: &Question<'_>,
    policy: Policy,
    mut progress: impl FnMut(usize, usize),
) -> Result<Report, ReplayError> {
    let Question { sessions, models, .. } = *question;
    let policy_id = policy.id();
    let engine = environment::engine(models, Strategy::BestAffordable, None)?;
    let costs: Vec<f64> = (0..models.len())
        .map(|model| environment::mean_cost_nano_usd(&engine, sessions, model))
        .collect::<Result<_, _>>()?;
    let by_cost = |a: &usize, b: &usize| costs[*a].total_cmp(&costs[*b]);
    let strongest = (0..models.len()).max_by(by_cost).unwrap_or_default();
    let cheapest = (0..models.len()).min_by(by_cost).unwrap_or_default();
    let cheapest_router = CoreRouter::always(models, &models[cheapest].name)?;
    let mut fixed: Vec<Box<dyn Router>> = vec![Box::new(CoreRouter::policy(models, policy)?)];
    fixed.extend(contestants(models, question.seed)?);

    let turns: Vec<f64> = sessions.iter().map(|session| session.turns.len() as f64).collect();
    let resamples = Resamples::draw(sessions.len(), question.resamples, question.seed);
    let to_play = question.budget_shares.len() * (fixed.len() + 1);
    let (mut measurements, mut comparisons) = (Vec::new(), Vec::new());
    for share in question.budget_shares {
        let budget = NanoUsd((share * costs[strongest]) as u64);
        let finished_cheaply: Vec<bool> =
            play(&cheapest_router, sessions, budget, 0.0)?.iter().map(|result| !result.bankrupt).collect();
        let threshold = if question.tune.is_empty() {
            ThresholdRouter::new(models, 0.5)?
        } else {
            ThresholdRouter::tuned(models, question.tune, budget)?
        };
        let others = fixed.iter().map(|router| (&**router, None));
        let routers = others.chain([(&threshold as &dyn Router, Some(threshold.threshold()))]);
        let mut qualities: Vec<(String, Vec<f64>)> = Vec::new();
        for (router, threshold) in routers {
            let results = play(router, sessions, budget, question.lambda)?;
            let quality: Vec<f64> = results.iter().map(|result| result.quality).collect();
            let measured = Played { results: &results, finished_cheaply: &finished_cheaply };
            measurements.push(Measurement {
                router: router.name().to_owned(),
                budget_share: *share,
                budget_nano_usd: budget,
                quality: resamples.ratio(&quality, &turns),
                cost_per_session_usd: measured.mean(|result| result.cost.as_usd()),
                bankrupt_share: measured.mean(|result| f64::from(u8::from(result.bankrupt))),
                avoidable_bankrupt_share: measured.avoidable_bankrupt_share(),
                served_share_by_model: measured.served_share_by_model(models.len()),
                threshold,
            });
            qualities.push((router.name().to_owned(), quality));
            progress(measurements.len(), to_play);
        }
        comparisons.extend(compare(*share, &qualities, &turns, &resamples));
    }
    Ok(Report {
        sessions: sessions.len(),
        turns: sessions.iter().map(|session| session.turns.len()).sum(),
        policy_id,
        lambda: question.lambda,
        strongest: models[strongest].name.clone(),
        strongest_index: strongest,
        cheapest: models[cheapest].name.clone(),
        reference_cost_usd: costs[strongest] / 1e9,
        measurements,
        comparisons,
    })
}

fn play(
    router: &dyn Router,
    sessions: &[Session],
    budget: NanoUsd,
    lambda: f32,
) -> Result<Vec<EpisodeResult>, ReplayError> {
    let run = |(index, session)| router.run(index, session, budget, lambda);
    sessions.iter().enumerate().map(run).collect()
}

/// The policy comes first in `qualities`.
fn compare(
    budget_share: f64,
    qualities: &[(String, Vec<f64>)],
    turns: &[f64],
    resamples: &Resamples,
) -> Option<Comparison> {
    let ((_, ours), others) = qualities.split_first()?;
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let (name, best) = others.iter().max_by(|a, b| sum(&a.1).total_cmp(&sum(&b.1)))?;
    let difference: Vec<f64> = ours.iter().zip(best).map(|(ours, best)| ours - best).collect();
    Some(Comparison {
        budget_share,
        best_other: name.clone(),
        difference: resamples.ratio(&difference, turns),
    })
}

struct Played<'a> {
    results: &'a [EpisodeResult],
    finished_cheaply: &'a [bool],
}

impl Played<'_> {
    fn mean(&self, of: impl Fn(&EpisodeResult) -> f64) -> f64 {
        self.results.iter().map(of).sum::<f64>() / self.results.len().max(1) as f64
    }

    fn avoidable_bankrupt_share(&self) -> f64 {
        let pairs = self.results.iter().zip(self.finished_cheaply);
        let avoidable = pairs.filter(|(result, cheaply)| result.bankrupt && **cheaply).count();
        avoidable as f64 / self.results.len().max(1) as f64
    }

    fn served_share_by_model(&self, models: usize) -> Vec<f64> {
        let served: usize = self.results.iter().map(|result| result.served).sum();
        let by_model =
            |model: usize| self.results.iter().map(|result| f64::from(result.served_by[model])).sum::<f64>();
        (0..models).map(|model| by_model(model) / served.max(1) as f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{Simulator, tiers};

    #[test]
    fn unbounded_budgets_bankrupt_nobody_and_tiny_ones_everybody() {
        let (models, sessions) = (tiers(), Simulator::new(2).sessions(60));
        let budgets = [(1_000_000_000_000, 0.0, 1.0), (10, 1.0, 0.0)];
        for (budget, bankrupt, served) in budgets {
            for router in contestants(&models, 1).unwrap() {
                let results = play(&*router, &sessions, NanoUsd(budget), 0.0).unwrap();
                let played = Played { results: &results, finished_cheaply: &[true; 60] };
                assert_eq!(played.mean(|result| f64::from(u8::from(result.bankrupt))), bankrupt);
                assert_eq!(played.avoidable_bankrupt_share(), bankrupt);
                let shares: f64 = played.served_share_by_model(3).iter().sum();
                assert!((shares - served).abs() < 1e-9, "{}", router.name());
            }
        }
    }

    #[test]
    fn the_best_other_is_the_best_and_the_difference_is_paired() {
        let turns = vec![2.0; 50];
        let ours: Vec<f64> = (0..50).map(f64::from).collect();
        let better: Vec<f64> = ours.iter().map(|quality| quality + 1.0).collect();
        let qualities =
            [("seqroute".into(), ours.clone()), ("worse".into(), vec![0.0; 50]), ("better".into(), better)];
        let resamples = Resamples::draw(50, 100, 1);
        let found = compare(0.2, &qualities, &turns, &resamples).unwrap();
        assert_eq!(found.best_other, "better");
        assert_eq!(found.difference, Interval { value: -0.5, low: -0.5, high: -0.5 });
    }
}
