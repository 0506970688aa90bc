//! Every scenario in the harness, in every way its bytes can be delivered.

use seqroute_tests::scenario::format::World;
use seqroute_tests::scenario::in_harness::{self, Delivery};
use seqroute_tests::scenario::{self, seen};

use crate::support::MODULE;

#[test]
fn every_scenario_does_what_it_says_however_its_bytes_are_cut() {
    let mut failures = Vec::new();
    let scenarios = scenario::all().expect("the scenarios are readable");
    for scenario in scenarios.iter().filter(|scenario| scenario.only != Some(World::Envoy)) {
        let mut first = None;
        for delivery in Delivery::ALL {
            let place = format!("{} ({delivery:?})", scenario.name);
            let (found, wrong) = match in_harness::play(&MODULE, scenario, delivery) {
                Ok(played) => played,
                Err(error) => {
                    failures.push(format!("{place}: {error:#}"));
                    continue;
                }
            };
            failures.extend(wrong.into_iter().map(|line| format!("{place}: {line}")));
            let first = first.get_or_insert_with(|| found.clone());
            let differences = seen::differences(first, &found, scenario);
            failures.extend(
                differences.into_iter().map(|line| format!("{place}: other than as written: {line}")),
            );
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_row_of_the_outcome_table_is_covered() {
    let scenarios = scenario::all().expect("the scenarios are readable");
    assert!(scenarios.len() >= 60, "{} scenarios", scenarios.len());
    for row in scenario::OUTCOMES {
        let covered = scenarios.iter().any(|scenario| scenario.covers.as_deref() == Some(row));
        assert!(covered, "no scenario covers `{row}`");
    }
    for scenario in &scenarios {
        let known = scenario.covers.as_deref().is_none_or(|row| scenario::OUTCOMES.contains(&row));
        assert!(
            known,
            "{}: covers: found {:?}, expected one of {:?}",
            scenario.name,
            scenario.covers,
            scenario::OUTCOMES
        );
    }
}

#[test]
fn every_reason_to_run_in_one_world_is_given_by_a_scenario() {
    let scenarios = scenario::all().expect("the scenarios are readable");
    for reason in scenario::REASONS {
        assert!(
            scenarios.iter().any(|scenario| scenario.why.as_deref() == Some(reason)),
            "unused: `{reason}`"
        );
    }
}
