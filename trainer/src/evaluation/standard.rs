//! The baselines and bounds that a policy is compared with.

use std::sync::Arc;

use rayon::prelude::*;
use seqroute_core::config::ModelConfig;

use super::methods::{HindsightMethod, Method, MethodKind, RouterMethod, Routers};
use super::spec::EvaluationSpec;
use crate::baselines::{
    self, AdaptiveLpRouter, CoreRouter, FairShareRouter, RandomRouter, ReserveGuardRouter, ThresholdRouter,
};
use crate::bounds::dynamic_program::{DynamicProgram, DynamicProgramRouter, Resolution};
use crate::bounds::hindsight::{self, Hindsight};
use crate::error::TrainError;
use crate::population::{self, Population};

/// The baselines and bounds that the data of the spec allow.
///
/// # Errors
/// The core refuses the models.
pub fn methods<'a>(spec: &EvaluationSpec<'a>) -> Result<Vec<Box<dyn Method + 'a>>, TrainError> {
    let EvaluationSpec { models, sessions, train, seed, .. } = *spec;
    let mut found: Vec<Box<dyn Method + 'a>> = fixed(models, seed);
    if !spec.tune.is_empty() {
        let tune = spec.tune;
        found.push(Box::new(RouterMethod::new("threshold", MethodKind::Baseline, move |budget| {
            let make = |threshold| ThresholdRouter::new(models, threshold);
            baselines::tuned(&ThresholdRouter::settings(), tune, budget, make).map(Routers::tuned)
        })));
    }
    if let Some(population) = Population::fit(train, models, population::CLASSES, seed) {
        let turns: Vec<f64> = (0..population.turns()).map(|t| population.remaining_turns(t)).collect();
        if !spec.tune.is_empty() {
            found.extend(tuned_with(spec, turns));
        }
        let by_text = Population::fit_by_text(train, models, population::CLASSES, seed)?;
        let observed = [("", Some(population)), (", text", by_text)];
        let observed = || observed.iter().filter_map(|(of, known)| Some((*of, known.as_ref()?)));
        for (of, population) in observed().filter(|_| !spec.tune.is_empty()) {
            found.push(adaptive_lp(spec, format!("adaptive LP{of}"), population.clone()));
        }
        for (of, population) in observed() {
            let program = DynamicProgram::solve(population.clone(), models, train, Resolution::default())?;
            let program = Arc::new(program);
            found.push(Box::new(RouterMethod::new(
                format!("dynamic program{of}"),
                MethodKind::Bound,
                move |_| Ok(Routers::one(DynamicProgramRouter::new(Arc::clone(&program))?)),
            )));
        }
    }
    for (name, side) in
        [("hindsight, at least", Hindsight::AtLeast), ("hindsight, at most", Hindsight::AtMost)]
    {
        let frontiers = sessions.par_iter().map(|session| hindsight::frontier(session, models, side));
        found.push(Box::new(HindsightMethod { name: name.to_owned(), frontiers: frontiers.collect() }));
    }
    Ok(found)
}

/// Routers that need no data.
pub(super) fn fixed<'a>(models: &'a [ModelConfig], seed: u64) -> Vec<Box<dyn Method + 'a>> {
    let mut found: Vec<Box<dyn Method + 'a>> = Vec::new();
    for model in models {
        found.push(Box::new(RouterMethod::new(
            format!("always {}", model.name),
            MethodKind::Baseline,
            move |_| Ok(Routers::one(CoreRouter::always(models, &model.name)?)),
        )));
    }
    found.push(Box::new(RouterMethod::new("random", MethodKind::Baseline, move |_| {
        Ok(Routers::one(RandomRouter::new(models, seed)?))
    })));
    found.push(Box::new(RouterMethod::new("myopic", MethodKind::Baseline, move |_| {
        Ok(Routers::one(CoreRouter::myopic(models)?))
    })));
    found
}

/// Heuristics that know the population and are tuned for each budget.
fn tuned_with<'a>(spec: &EvaluationSpec<'a>, remaining_turns: Vec<f64>) -> Vec<Box<dyn Method + 'a>> {
    let EvaluationSpec { models, tune, .. } = *spec;
    let turns = remaining_turns.clone();
    let guard = RouterMethod::new("reserve guard", MethodKind::Baseline, move |budget| {
        let make = |factor| ReserveGuardRouter::new(models, &turns, factor);
        baselines::tuned(&ReserveGuardRouter::settings(), tune, budget, make).map(Routers::tuned)
    });
    let fair = RouterMethod::new("fair share", MethodKind::Baseline, move |budget| {
        let make = |factor| FairShareRouter::new(models, remaining_turns.clone(), factor);
        baselines::tuned(&FairShareRouter::settings(), tune, budget, make).map(Routers::tuned)
    });
    vec![Box::new(guard), Box::new(fair)]
}

/// The linear program over the contexts of a population.
fn adaptive_lp<'a>(spec: &EvaluationSpec<'a>, name: String, population: Population) -> Box<dyn Method + 'a> {
    let EvaluationSpec { models, tune, seed, .. } = *spec;
    let population = Arc::new(population);
    Box::new(RouterMethod::new(name, MethodKind::Baseline, move |budget| {
        let make = |factor| AdaptiveLpRouter::new(models, Arc::clone(&population), factor, seed);
        baselines::tuned(&AdaptiveLpRouter::settings(), tune, budget, make).map(Routers::tuned)
    }))
}
