//! Quality at equal budget: the trained policy against simpler methods and both bounds, on sessions that none of them
//! saw.
//!
//! Budgets are shares of the mean cost of a session that the most expensive model ("strongest") answers alone. Every
//! method plays the same sessions under the same budgets, turns that it does not serve and answers that were cut
//! count as quality 0, and a saving is never shown without the quality it was bought with. Intervals are by bootstrap
//! over sessions ([`bootstrap`]): turns of one session are not independent.

pub mod bootstrap;
pub mod frontier;
pub mod measurement;
pub mod methods;
pub mod probe;
pub mod report;
mod spec;
pub mod standard;

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::money::NanoUsd;

use crate::baselines::CoreRouter;
use crate::error::TrainError;
use bootstrap::Resamples;
use measurement::{Table, qualities};
use methods::{Method, Played};
use report::Report;
use seqroute_sessions::environment;
use seqroute_sessions::session::Session;

pub use spec::EvaluationSpec;

/// Plays all methods on all cores; `progress` gets (played, total) in units of one method under one budget.
///
/// # Errors
/// A policy is for other models, or the data lack an answer.
pub fn evaluate(
    spec: &EvaluationSpec<'_>,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Report, TrainError> {
    let EvaluationSpec { sessions, models, .. } = *spec;
    let mut all: Vec<Box<dyn Method + '_>> = Vec::new();
    for policy in spec.policies {
        all.push(Box::new(policy.clone()));
    }
    all.extend(standard::methods(spec)?);
    let reference = Reference::measure(models, sessions)?;
    let budgets: Vec<NanoUsd> = spec
        .budget_shares
        .iter()
        .map(|share| NanoUsd((share * reference.cost_nano_usd).round() as u64))
        .collect();

    let jobs: Vec<_> =
        budgets.iter().flat_map(|budget| all.iter().map(move |method| (*budget, method))).collect();
    let done = AtomicUsize::new(0);
    let played = jobs.par_iter().map(|(budget, method)| {
        let played = method.play(sessions, *budget);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, jobs.len());
        played
    });
    let played: Vec<Played> = played.collect::<Result<_, _>>()?;

    let turns: Vec<f64> = sessions.iter().map(|session| session.turns.len() as f64).collect();
    let resamples = Resamples::draw(sessions.len(), spec.resamples, spec.seed);
    let mut report = Report {
        sessions: sessions.len(),
        turns: sessions.iter().map(|session| session.turns.len()).sum(),
        strongest: models[reference.strongest].name.clone(),
        strongest_index: reference.strongest,
        cheapest: models[reference.cheapest].name.clone(),
        reference_cost_usd: reference.cost_nano_usd / 1e9,
        methods: all.iter().map(|method| (method.name().to_owned(), method.kind())).collect(),
        finished_cheaply_share: Vec::new(),
        measurements: Vec::new(),
        comparisons: Vec::new(),
        sweep: Vec::new(),
        savings: Vec::new(),
        probes: Vec::new(),
    };
    let cheapest = CoreRouter::always(models, &report.cheapest)?;
    for ((share, budget), played) in spec.budget_shares.iter().zip(&budgets).zip(played.chunks(all.len())) {
        let finished: Vec<bool> =
            methods::play(&cheapest, sessions, *budget)?.iter().map(|result| !result.bankrupt).collect();
        let finished_share =
            finished.iter().filter(|finished| **finished).count() as f64 / finished.len() as f64;
        report.finished_cheaply_share.push(finished_share);
        let table = Table {
            turns: &turns,
            resamples: &resamples,
            budget_share: *share,
            budget: *budget,
            reference_nano_usd: reference.cost_nano_usd,
            finished_cheaply: &finished,
            models: models.len(),
        };
        let lines = all
            .par_iter()
            .zip(played)
            .map(|(method, played)| table.measure(method.name(), method.kind(), played));
        report.measurements.extend(lines.collect::<Vec<_>>());
        if let Some((ours, others)) = played.split_first().filter(|_| !spec.policies.is_empty()) {
            let ours = qualities(ours);
            let lines = all[1..].par_iter().zip(others);
            let lines = lines
                .map(|(method, other)| table.compare(&ours, method.name(), method.kind(), &qualities(other)));
            report.comparisons.extend(lines.collect::<Vec<_>>());
        }
    }
    let (strongest, reference_nano_usd) = (reference.strongest, reference.cost_nano_usd);
    if let Some(policy) = spec.policies.first() {
        report.sweep = frontier::sweep(policy, sessions, spec.sweep_shares, reference_nano_usd)?;
        report.savings = frontier::savings(&report.sweep, &report.measurements);
    }
    report.probes = probe::probe(&all, spec, &budgets, strongest, reference_nano_usd)?;
    Ok(report)
}

/// Mean cost of a session of `sessions` that the most expensive model answers alone: 100 % of a budget share.
///
/// # Errors
/// The data lack an answer.
pub fn reference_nano_usd(models: &[ModelConfig], sessions: &[Session]) -> Result<f64, TrainError> {
    Reference::measure(models, sessions).map(|reference| reference.cost_nano_usd)
}

/// The unit of budget shares.
struct Reference {
    strongest: usize,
    cheapest: usize,
    /// Mean cost of a session that the strongest model answers alone.
    cost_nano_usd: f64,
}

impl Reference {
    fn measure(models: &[ModelConfig], sessions: &[Session]) -> Result<Reference, TrainError> {
        let engine = environment::engine(models, Strategy::BestAffordable, None)?;
        let costs: Vec<f64> = (0..models.len())
            .map(|model| environment::mean_cost_nano_usd(&engine, sessions, model))
            .collect::<Result<_, _>>()?;
        let by_cost = |a: &usize, b: &usize| costs[*a].total_cmp(&costs[*b]);
        let strongest = (0..models.len()).max_by(by_cost).unwrap_or_default();
        let cheapest = (0..models.len()).min_by(by_cost).unwrap_or_default();
        Ok(Reference { strongest, cheapest, cost_nano_usd: costs[strongest] })
    }
}

#[cfg(test)]
#[path = "evaluation_tests.rs"]
mod tests;
