//! Every scenario in the real Envoy, compared with the harness in every value.

use seqroute_tests::scenario::format::World;
use seqroute_tests::scenario::in_harness::{self, Delivery};
use seqroute_tests::scenario::{self, in_envoy, seen};
use seqroute_tests::support::module;

use crate::support::with_gateway_alone;

#[test]
fn every_scenario_does_in_envoy_what_it_does_in_the_harness() {
    let compiled = module::compiled().unwrap();
    let scenarios = scenario::all().unwrap();
    let failures = with_gateway_alone(|gateway, listeners| async move {
        let mut failures = Vec::new();
        let reloads = gateway.vm_reloads().await.unwrap();
        for scenario in scenarios.iter().filter(|scenario| scenario.runs_in(World::Envoy)) {
            let name = &scenario.name;
            let (in_envoy, wrong) = match in_envoy::play(gateway, listeners, scenario).await {
                Ok(played) => played,
                Err(error) => {
                    failures.push(format!("{name}: {error:#}"));
                    continue;
                }
            };
            failures.extend(wrong.into_iter().map(|line| format!("{name}: {line}")));
            match in_harness::play(&compiled, scenario, Delivery::AsWritten) {
                Ok((in_harness, _)) => {
                    let lines = seen::differences(&in_harness, &in_envoy, scenario);
                    failures.extend(lines.into_iter().map(|line| format!("{name}: {line}")));
                }
                Err(error) => failures.push(format!("{name}: in the harness: {error:#}")),
            }
        }
        assert_eq!(gateway.vm_reloads().await.unwrap(), reloads, "a VM crashed");
        failures
    });
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
