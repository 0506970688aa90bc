//! Tests of the evaluation as a whole.

use super::*;
use seqroute_sessions::simulator::{Simulator, tiers};

#[test]
fn huge_budgets_bankrupt_no_session_and_tiny_ones_every_session() {
    let (models, sessions) = (tiers(), Simulator::new(2).sessions(60));
    for (budget, bankrupt, served) in [(1_000_000_000_000, 0.0, 1.0), (10, 1.0, 0.0)] {
        for method in standard::fixed(&models, 1) {
            let played = method.play(&sessions, NanoUsd(budget)).unwrap();
            let results = &played.seeds[0];
            let share = |of: fn(&environment::EpisodeResult) -> bool| {
                results.iter().filter(|result| of(result)).count() as f64 / 60.0
            };
            assert_eq!(share(|result| result.bankrupt), bankrupt, "{}", method.name());
            assert_eq!(share(|result| result.served == result.turns), served, "{}", method.name());
        }
    }
}

fn spec<'a>(train: &'a [Session], test: &'a [Session], models: &'a [ModelConfig]) -> EvaluationSpec<'a> {
    EvaluationSpec {
        sessions: test,
        train,
        tune: &train[..60],
        models,
        policies: &[],
        budget_shares: &[0.1, 0.4],
        sweep_shares: &[],
        seed: 1,
        resamples: 100,
    }
}

#[test]
fn bounds_are_upper_bounds_and_no_method_exceeds_the_budget() {
    let (train, test, models) = (Simulator::new(1).sessions(400), Simulator::new(2).sessions(80), tiers());
    let report = evaluate(&spec(&train, &test, &models), |_, _| {}).unwrap();
    assert_eq!(report.measurements.len(), 2 * report.methods.len());
    for share in [0.1, 0.4] {
        let lines: Vec<_> = report.measurements.iter().filter(|line| line.budget_share == share).collect();
        let at_most = lines.iter().find(|line| line.name == "hindsight, at most").unwrap();
        for line in &lines {
            assert!(line.quality.value <= at_most.quality.value + 1e-9, "{}", line.name);
            assert!(line.cost_share <= share + 1e-9, "{}", line.name);
        }
        let quality = |name: &str| lines.iter().find(|line| line.name == name).unwrap().quality.value;
        assert!(quality("threshold") >= quality("always small") - 0.02);
        assert!(quality("dynamic program") > quality("myopic"));
    }
}

#[test]
fn the_report_does_not_depend_on_the_number_of_threads() {
    let (train, test, models) = (Simulator::new(1).sessions(200), Simulator::new(2).sessions(40), tiers());
    let report = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| evaluate(&spec(&train, &test, &models), |_, _| {}).unwrap())
    };
    assert_eq!(report(1), report(2));
}
