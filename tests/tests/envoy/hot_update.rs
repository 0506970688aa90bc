//! New policies by file, under load, which a scenario does not make: no request fails, no money is lost, a bad file
//! changes nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use seqroute_envoy::gateway::Listener;
use seqroute_tests::support::chat::chat;
use seqroute_tests::support::gateway::Gateway;
use seqroute_tests::support::{policies, settings};

const UPDATES: usize = 10;
const CLIENTS: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn a_policy_is_replaced_under_load_without_a_failed_request() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let policy = |seed: usize| settings::with_policy(&policies::arbitrary(seed as u64).unwrap());
        let gateway = Gateway::start(2, &[Listener::new("policy", policy(0))]).await.unwrap();
        let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        let client = async |number: usize| {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let request = gateway
                    .chat("policy", chat(400, 10))
                    .header("x-session-id", format!("loaded-{number}"))
                    .header("x-seqroute-budget-usd", "1000");
                match gateway.send(request).await {
                    Ok((200, _, _)) => {}
                    other => failures.push(format!("{other:?}")),
                }
                sent.fetch_add(1, Ordering::Relaxed);
            }
            failures
        };
        let updates = async {
            for version in 1..=UPDATES {
                gateway.deploy("policy", &policy(version)).unwrap();
                // Counted when the last worker has it; `update_success` comes when the first one may still lack it.
                let name = "extension_config_discovery.http_filter.seqroute.config_reload";
                let wanted = version as u64 + 1;
                gateway.envoy.wait_for_stat(name, |seen| seen >= wanted, TIMEOUT).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            stop.store(true, Ordering::Relaxed);
        };
        let clients = futures_util::future::join_all((0..CLIENTS).map(client));
        let (failures, ()) = tokio::join!(clients, updates);
        let failures: Vec<String> = failures.into_iter().flatten().collect();
        assert!(failures.is_empty(), "{} of {sent:?}: {:?}", failures.len(), failures.first());
        assert!(sent.load(Ordering::Relaxed) > 100, "only {sent:?} requests");

        let records = gateway.records("policy", "loaded-0", 10).await.unwrap();
        let mut policies: Vec<&str> = records.iter().map(|record| record.policy.as_str()).collect();
        policies.dedup();
        assert!(policies.len() > UPDATES / 2, "too few policies served: {policies:?}");
        let charged: u64 = records.iter().map(|record| record.charged_nano_usd.0).sum();
        let last = records.last().unwrap();
        assert_eq!(
            charged,
            last.spent_nano_usd.0 + last.charged_nano_usd.0,
            "settled money survives every update"
        );
        assert_eq!(gateway.outstanding_nano_usd().await.unwrap(), 0);

        let rejected = "extension_config_discovery.http_filter.seqroute.update_rejected";
        gateway.envoy.wait_for_stat(rejected, |seen| seen == 0, TIMEOUT).await.unwrap();
        let tar = policies::arbitrary(99).unwrap();
        gateway.deploy("policy", &settings::with_policy(&tar[..2000])).unwrap();
        gateway.envoy.wait_for_stat(rejected, |seen| seen == 1, TIMEOUT).await.unwrap();
        let request = gateway.chat("policy", chat(400, 10)).header("x-session-id", "after");
        assert_eq!(gateway.send(request).await.unwrap().0, 200);
        let record = gateway.records("policy", "after", 1).await.unwrap().remove(0);
        assert!(record.policy.starts_with(&format!("arbitrary-{UPDATES}@")), "{}", record.policy);
        gateway.stop().await;
    });
}
