//! The VM of a worker dies in a real Envoy: the turn that it held costs nothing, its money comes back with the lease,
//! settled money stays, and the next request finds a new VM.
//!
//! Nothing that the filter reads makes it panic, so the VM is brought to its memory limit: Envoy gives it 1 GiB, and in
//! the mode `body` a request is held whole, as far as the operator's buffer limit allows, and copied once to be rewritten.

use std::collections::BTreeMap;
use std::time::Duration;

use seqroute_envoy::gateway::Listener;
use seqroute_envoy::launcher::RoutePatch;
use seqroute_tests::outcome_table;
use seqroute_tests::scenario::seen::TurnSeen;
use seqroute_tests::support::chat::chat;
use seqroute_tests::support::gateway::Gateway;
use seqroute_tests::support::settings;
use serde_json::json;
use tokio::runtime::Runtime;

/// Two copies of it do not fit into the VM.
const HUGE_BYTES: usize = 600 << 20;
const LEASE_MS: u64 = 30_000;
/// Envoy takes in the body in seconds; a loaded machine needs longer.
const HUGE_TIMEOUT: Duration = Duration::from_secs(120);

async fn gateway() -> Gateway {
    let mut settings = settings::plugin(json!("best_affordable"));
    settings["mode"] = json!("body");
    settings["ledger"] = json!({"lease_ms": LEASE_MS});
    settings["models"][0]["context_tokens"] = json!(1_000_000_000);
    settings["budget"]["default_usd"] = json!("1000");
    let route = RoutePatch { body_buffer_bytes: Some(2 * HUGE_BYTES as u64), ..RoutePatch::default() };
    let listener = Listener { route, ..Listener::new("huge", settings) };
    Gateway::start(1, &[listener]).await.unwrap()
}

fn huge_body() -> String {
    let mut body = String::with_capacity(HUGE_BYTES + 200);
    // The data of an image is passed over, so that the lease is not over before the VM dies.
    body.push_str(
        r#"{"model":"auto","max_tokens":10,"messages":[{"role":"user","content":[{"type":"image_url","#,
    );
    body.push_str(r#""image_url":{"url":"data:image/png;base64,"#);
    body.extend(std::iter::repeat_n('x', HUGE_BYTES));
    body.push_str(r#""}}]}]}"#);
    body
}

#[test]
fn vm_crash_charges_nothing_and_gives_the_money_back_with_the_lease() {
    Runtime::new().unwrap().block_on(async {
        let gateway = gateway().await;
        let turn = |max_tokens| gateway.chat("huge", chat(400, max_tokens)).header("x-session-id", "doomed");
        let (status, ..) = gateway.send(turn(10)).await.unwrap();
        assert_eq!(status, 200);
        let charged = gateway.records("huge", "doomed", 1).await.unwrap().remove(0).charged_nano_usd;
        let before = gateway.counters().await.unwrap();
        assert_eq!(gateway.vm_reloads().await.unwrap(), 0);

        let hanging = tokio::spawn(turn(100).header("x-mock-fault", "hang").send());
        tokio::time::sleep(Duration::from_millis(500)).await;
        let huge = gateway.chat("huge", huge_body()).header("x-session-id", "huge");
        let answer = gateway.send(huge.timeout(HUGE_TIMEOUT)).await;
        assert!(
            answer.is_err() || answer.is_ok_and(|(status, ..)| status >= 500),
            "the huge request was served"
        );

        let (status, ..) = gateway.send(turn(10)).await.unwrap();
        assert_eq!(status, 200, "a new VM serves");
        assert_eq!(gateway.vm_reloads().await.unwrap(), 1, "the VM did not crash");
        // What the client of the dead turn gets is left to Envoy; there must be no record of it.
        hanging.abort();
        let after = gateway.records("huge", "doomed", 2).await.unwrap().remove(1);
        assert_eq!((after.turn, after.spent_nano_usd), (1, charged), "the dead turn cost something");
        let held = after.outstanding_nano_usd.0;
        assert_eq!(held, 134 * 3000 + 100 * 15000, "the money is held until the lease ends");

        tokio::time::sleep(Duration::from_millis(LEASE_MS)).await;
        let (status, ..) = gateway.send(turn(10)).await.unwrap();
        assert_eq!(status, 200);
        let records = gateway.records("huge", "doomed", 3).await.unwrap();
        assert_eq!(records.len(), 3, "the dead turn left a record");
        let last = &records[2];
        assert_eq!((last.turn, last.outstanding_nano_usd.0), (2, 0), "the money is not free again");

        let row = outcome_table::row("vm_crash").unwrap();
        assert_eq!(row.check(&TurnSeen::default()), [""; 0]);
        let after = gateway.counters().await.unwrap();
        let rise = |(name, value): (&String, &u64)| (name.clone(), value - before.get(name).unwrap_or(&0));
        let risen: BTreeMap<String, u64> = after.iter().map(rise).collect();
        assert_eq!(row.check_counters(&risen), [""; 0]);
        gateway.stop().await;
    });
}
