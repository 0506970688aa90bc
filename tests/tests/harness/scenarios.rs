//! Every scenario in the harness, in every way its bytes can be delivered.

use seqroute_tests::scenario::format::World;
use seqroute_tests::scenario::in_harness::{self, Delivery};
use seqroute_tests::scenario::{self, seen};

use crate::support::MODULE;

#[test]
fn every_scenario_does_what_it_says_however_its_bytes_are_cut() {
    let mut failures = Vec::new();
    let scenarios = scenario::all().expect("the scenarios are readable");
    for scenario in scenarios.iter().filter(|scenario| scenario.runs_in(World::Harness)) {
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
                differences
                    .into_iter()
                    .map(|line| format!("{place}: differs from the delivery as written: {line}")),
            );
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
