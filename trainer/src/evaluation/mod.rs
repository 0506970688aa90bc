//! Quality at equal budget: the trained policy against everything simpler and both bounds, on sessions that none of
//! them saw.
//!
//! Budgets are shares of the mean cost of a session that the most expensive model ("strongest") answers alone. Every
//! contestant plays the same sessions under the same budgets, turns that it does not serve and answers that were cut
//! count as quality 0, and a saving is never shown without the quality it was bought with. Intervals are by bootstrap
//! over sessions ([`bootstrap`]): turns of one session are not independent.

pub mod bootstrap;
pub mod contestant;
pub mod csv;
pub mod frontier;
pub mod html;
pub mod measurement;
pub mod probe;
pub mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::money::NanoUsd;
use serde::Serialize;

use crate::baselines::{
    self, AdaptiveLpRouter, CoreRouter, FairShareRouter, RandomRouter, ReserveGuardRouter, ThresholdRouter,
};
use crate::bounds::hindsight::{self, Hindsight};
use crate::bounds::dynamic_program::{Programme, ProgrammeRouter, Resolution};
use crate::population::{self, Population};
use bootstrap::Resamples;
use contestant::{Contestant, Entered, HindsightContestant, Kind, Played, PolicyContestant, Recipe};
use frontier::{Saving, SweepPoint};
use measurement::{Comparison, Measurement, Table, qualities};
use probe::Probe;
use seqroute_sessions::environment::{self, ReplayError};
use seqroute_sessions::session::Session;

/// What is compared on what.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The sessions, with outcomes of every model.
    pub sessions: &'a [Session],
    /// Sessions that statistics are taken from (dynamic programme, linear programme, turns to come); may be empty.
    pub train: &'a [Session],
    /// Sessions to tune heuristics on, with outcomes of every model; may be empty.
    pub tune: &'a [Session],
    /// The models.
    pub models: &'a [ModelConfig],
    /// The policies, the one in question first.
    pub policies: &'a [PolicyContestant],
    /// Budgets, as shares of the mean cost of always taking the strongest model.
    pub budget_shares: &'a [f64],
    /// Budgets at which the first policy is played under many λ; may be empty.
    pub sweep_shares: &'a [f64],
    /// Seed of the bootstrap and of everything random.
    pub seed: u64,
    /// Bootstrap resamples.
    pub resamples: usize,
}

/// All answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Sessions played.
    pub sessions: usize,
    /// Their turns.
    pub turns: usize,
    /// The model with the highest mean cost.
    pub strongest: String,
    /// Its place in the models file.
    pub strongest_index: usize,
    /// The model with the lowest mean cost.
    pub cheapest: String,
    /// Mean cost of a session that the strongest model answers alone.
    pub reference_cost_usd: f64,
    /// Names and kinds of the contestants, in the order of the tables.
    pub contestants: Vec<(String, Kind)>,
    /// By budget, share of the sessions that always taking the cheapest model finishes.
    pub finished_cheaply_share: Vec<f64>,
    /// One line per budget and contestant.
    pub measurements: Vec<Measurement>,
    /// One line per budget and contestant but the first policy.
    pub comparisons: Vec<Comparison>,
    /// The first policy under many prices of money.
    pub sweep: Vec<SweepPoint>,
    /// What it spends for the quality of the others.
    pub savings: Vec<Saving>,
    /// When each router takes the strongest model.
    pub probes: Vec<Probe>,
}

/// Baselines and bounds that the question's data allow.
///
/// # Errors
/// The core refuses the models.
pub fn contestants<'a>(question: &Question<'a>) -> Result<Vec<Box<dyn Contestant + 'a>>, ReplayError> {
    let Question { models, sessions, train, seed, .. } = *question;
    let mut found: Vec<Box<dyn Contestant + 'a>> = fixed(models, seed);
    if !question.tune.is_empty() {
        let tune = question.tune;
        found.push(Box::new(Recipe::new("threshold", Kind::Baseline, move |budget| {
            let make = |threshold| ThresholdRouter::new(models, threshold);
            baseline::tuned(&ThresholdRouter::settings(), tune, budget, make).map(Entered::tuned)
        })));
    }
    if let Some(population) = Population::fit(train, models, population::CLASSES, seed) {
        let turns: Vec<f64> = (0..population.turns()).map(|t| population.remaining_turns(t)).collect();
        if !question.tune.is_empty() {
            found.extend(tuned_with(question, turns));
        }
        let by_words = Population::fit_by_words(train, models, population::CLASSES, seed);
        let by_words = by_words.map_err(ReplayError::Models)?;
        let observed = [("", Some(population)), (", words", by_words)];
        let observed = || observed.iter().filter_map(|(of, known)| Some((*of, known.as_ref()?)));
        for (of, population) in observed().filter(|_| !question.tune.is_empty()) {
            found.push(adaptive_lp(question, format!("adaptive LP{of}"), population.clone()));
        }
        for (of, population) in observed() {
            let programme = Programme::solve(population.clone(), models, train, Resolution::default())?;
            let programme = Arc::new(programme);
            found.push(Box::new(Recipe::new(format!("dynamic programme{of}"), Kind::Bound, move |_| {
                Ok(Entered::one(ProgrammeRouter::new(Arc::clone(&programme))?))
            })));
        }
    }
    for (name, side) in
        [("hindsight, at least", Hindsight::AtLeast), ("hindsight, at most", Hindsight::AtMost)]
    {
        let frontiers = sessions.par_iter().map(|session| hindsight::frontier(session, models, side));
        found.push(Box::new(HindsightContestant { name: name.to_owned(), frontiers: frontiers.collect() }));
    }
    Ok(found)
}

/// Routers that need no data.
fn fixed<'a>(models: &'a [ModelConfig], seed: u64) -> Vec<Box<dyn Contestant + 'a>> {
    let mut found: Vec<Box<dyn Contestant + 'a>> = Vec::new();
    for model in models {
        found.push(Box::new(Recipe::new(format!("always {}", model.name), Kind::Baseline, move |_| {
            Ok(Entered::one(CoreRouter::always(models, &model.name)?))
        })));
    }
    found.push(Box::new(Recipe::new("random", Kind::Baseline, move |_| {
        Ok(Entered::one(RandomRouter::new(models, seed)?))
    })));
    found.push(Box::new(Recipe::new("myopic", Kind::Baseline, move |_| {
        Ok(Entered::one(CoreRouter::myopic(models)?))
    })));
    found
}

/// Heuristics that know the population and are tuned for each budget.
fn tuned_with<'a>(question: &Question<'a>, remaining_turns: Vec<f64>) -> Vec<Box<dyn Contestant + 'a>> {
    let Question { models, tune, .. } = *question;
    let turns = remaining_turns.clone();
    let guard = Recipe::new("reserve guard", Kind::Baseline, move |budget| {
        let make = |factor| ReserveGuardRouter::new(models, &turns, factor);
        baseline::tuned(&ReserveGuardRouter::settings(), tune, budget, make).map(Entered::tuned)
    });
    let fair = Recipe::new("fair share", Kind::Baseline, move |budget| {
        let make = |factor| FairShareRouter::new(models, remaining_turns.clone(), factor);
        baseline::tuned(&FairShareRouter::settings(), tune, budget, make).map(Entered::tuned)
    });
    vec![Box::new(guard), Box::new(fair)]
}

/// The linear programme over the contexts of a population.
fn adaptive_lp<'a>(
    question: &Question<'a>,
    name: String,
    population: Population,
) -> Box<dyn Contestant + 'a> {
    let Question { models, tune, seed, .. } = *question;
    let population = Arc::new(population);
    Box::new(Recipe::new(name, Kind::Baseline, move |budget| {
        let make = |factor| AdaptiveLpRouter::new(models, Arc::clone(&population), factor, seed);
        baseline::tuned(&AdaptiveLpRouter::settings(), tune, budget, make).map(Entered::tuned)
    }))
}

/// Plays everything on all cores; `progress` hears (played, to play) in units of one contestant under one budget.
///
/// # Errors
/// A policy is for other models, or the data lacks an answer.
pub fn evaluate(
    question: &Question<'_>,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Report, ReplayError> {
    let Question { sessions, models, .. } = *question;
    let mut all: Vec<Box<dyn Contestant + '_>> = Vec::new();
    for policy in question.policies {
        all.push(Box::new(policy.clone()));
    }
    all.extend(contestants(question)?);
    let reference = Reference::measure(models, sessions)?;
    let budgets: Vec<NanoUsd> = question
        .budget_shares
        .iter()
        .map(|share| NanoUsd((share * reference.cost_nano_usd).round() as u64))
        .collect();

    let jobs: Vec<_> = budgets.iter().flat_map(|budget| all.iter().map(move |who| (*budget, who))).collect();
    let done = AtomicUsize::new(0);
    let played = jobs.par_iter().map(|(budget, who)| {
        let played = who.play(sessions, *budget);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, jobs.len());
        played
    });
    let played: Vec<Played> = played.collect::<Result<_, _>>()?;

    let turns: Vec<f64> = sessions.iter().map(|session| session.turns.len() as f64).collect();
    let resamples = Resamples::draw(sessions.len(), question.resamples, question.seed);
    let mut report = Report {
        sessions: sessions.len(),
        turns: sessions.iter().map(|session| session.turns.len()).sum(),
        strongest: models[reference.strongest].name.clone(),
        strongest_index: reference.strongest,
        cheapest: models[reference.cheapest].name.clone(),
        reference_cost_usd: reference.cost_nano_usd / 1e9,
        contestants: all.iter().map(|who| (who.name().to_owned(), who.kind())).collect(),
        finished_cheaply_share: Vec::new(),
        measurements: Vec::new(),
        comparisons: Vec::new(),
        sweep: Vec::new(),
        savings: Vec::new(),
        probes: Vec::new(),
    };
    let cheapest = CoreRouter::always(models, &report.cheapest)?;
    for ((share, budget), played) in question.budget_shares.iter().zip(&budgets).zip(played.chunks(all.len()))
    {
        let finished: Vec<bool> =
            contestant::play(&cheapest, sessions, *budget)?.iter().map(|result| !result.bankrupt).collect();
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
        let lines =
            all.par_iter().zip(played).map(|(who, played)| table.measure(who.name(), who.kind(), played));
        report.measurements.extend(lines.collect::<Vec<_>>());
        if let Some((ours, others)) = played.split_first().filter(|_| !question.policies.is_empty()) {
            let ours = qualities(ours);
            let lines = all[1..].par_iter().zip(others);
            let lines =
                lines.map(|(who, other)| table.compare(&ours, who.name(), who.kind(), &qualities(other)));
            report.comparisons.extend(lines.collect::<Vec<_>>());
        }
    }
    let (strongest, reference_nano_usd) = (reference.strongest, reference.cost_nano_usd);
    if let Some(policy) = question.policies.first() {
        report.sweep = frontier::sweep(policy, sessions, question.sweep_shares, reference_nano_usd)?;
        report.savings = frontier::savings(&report.sweep, &report.measurements);
    }
    report.probes = probe::probe(&all, question, &budgets, strongest, reference_nano_usd)?;
    Ok(report)
}

/// Mean cost of a session of `sessions` that the most expensive model answers alone: 100 % of a budget share.
///
/// # Errors
/// The data lacks an answer.
pub fn reference_nano_usd(models: &[ModelConfig], sessions: &[Session]) -> Result<f64, ReplayError> {
    Reference::measure(models, sessions).map(|reference| reference.cost_nano_usd)
}

/// What budgets are measured by.
struct Reference {
    strongest: usize,
    cheapest: usize,
    /// Mean cost of a session that the strongest model answers alone.
    cost_nano_usd: f64,
}

impl Reference {
    fn measure(models: &[ModelConfig], sessions: &[Session]) -> Result<Reference, ReplayError> {
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
