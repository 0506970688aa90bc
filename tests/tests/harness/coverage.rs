//! What the scenarios must cover, derived from the outcome table and the list of counters.

use std::path::Path;

use seqroute_core::counters::Counter;
use seqroute_tests::outcome_table;
use seqroute_tests::scenario;
use seqroute_tests::scenario::format::{Scenario, World};

/// Counters that no scenario raises, and where they are tested.
const RAISED_ELSEWHERE: [(&str, &str); 8] = [
    ("cas_conflicts", "two workers at once: ledger.rs, interleaving.rs"),
    ("sessions_restored", "more sessions than a scenario holds: ledger.rs"),
    ("sessions_forgotten", "more sessions than a scenario holds: ledger.rs"),
    ("callers_forgotten", "more addresses than a scenario has: the core's ledger/callers.rs"),
    (
        "leases_renewed",
        "a stream longer than half a lease: the core's interleaving tests, and attack.rs in Envoy",
    ),
    ("cache_kept", "a policy with a known margin: modes_tests.rs of the core's engine"),
    ("shortened", "an answer cut below its usual length: modes_tests.rs of the core's engine"),
    ("policy_failures", "no archive that can be loaded makes values that are not finite"),
];

fn scenarios() -> Vec<Scenario> {
    scenario::all().expect("the scenarios are readable")
}

/// The source of every test file of a world.
fn sources(world: World) -> String {
    let folder = match world {
        World::Harness => "tests/harness",
        World::Envoy => "tests/envoy",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = folder.read_dir().expect("the folder of the tests is readable");
    files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

/// Whether a test written by hand plays a row: its name begins with the row's, and it looks the row up.
fn is_played_by_hand(sources: &str, row: &str) -> bool {
    sources.contains(&format!("#[test]\nfn {row}_")) && sources.contains(&format!("row(\"{row}\")"))
}

#[test]
fn every_row_of_the_outcome_table_is_a_test_in_both_worlds_or_says_why_not() {
    let scenarios = scenarios();
    assert!(!outcome_table::rows().is_empty());
    for world in [World::Harness, World::Envoy] {
        let sources = sources(world);
        for row in outcome_table::rows() {
            let labels = |scenario: &&Scenario| {
                scenario.expectations().any(|expect| expect.row.as_deref() == Some(row.name.as_str()))
            };
            let is_played = scenarios.iter().filter(labels).any(|scenario| scenario.runs_in(world))
                || is_played_by_hand(&sources, &row.name);
            let is_due = row.only.is_none_or(|only| only == world);
            assert_eq!(
                is_played, is_due,
                "`{}` in {world:?}: found {is_played}, expected {is_due}",
                row.name
            );
        }
    }
}

#[test]
fn every_counter_is_raised_by_a_scenario_or_tested_elsewhere() {
    let scenarios = scenarios();
    for counter in Counter::ALL.iter().map(|counter| counter.name()) {
        let raises =
            |scenario: &Scenario| scenario.counters.get(counter).is_some_and(|rise| rise.least() > 0);
        let by_scenario = scenarios.iter().any(raises);
        let elsewhere = RAISED_ELSEWHERE.iter().find(|(name, _)| *name == counter);
        assert!(by_scenario != elsewhere.is_some(), "{counter}: a scenario: {by_scenario}; {elsewhere:?}");
    }
}

#[test]
fn every_reason_to_run_in_one_world_is_given_by_a_scenario() {
    let scenarios = scenarios();
    for reason in scenario::REASONS {
        let is_given = scenarios.iter().any(|scenario| scenario.why.as_deref() == Some(reason));
        assert!(is_given, "unused: `{reason}`");
    }
}
