//! The VM of a worker dies in a real Envoy: the turn that it held is charged nothing and its money comes back with the
//! lease, the books stay, and the next request finds a new VM.
//!
//! Nothing that the filter reads makes it panic, so the VM is brought to its limit: Envoy gives it 1 GiB, and in the mode
//! `body` a request is held whole, as far as the operator's buffer limit allows, and copied once to be rewritten.

use std::time::Duration;

use seqroute_envoy::launcher::RoutePatch;
use seqroute_tests::support::gateway::{Gateway, Listener};
use seqroute_tests::support::settings;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::support::chat;

/// Two copies of it do not fit into the VM.
const HUGE_BYTES: usize = 600 << 20;
const LEASE_MS: u64 = 30_000;

async fn gateway() -> Gateway {
    let mut settings = settings::plugin(json!("best_affordable"));
    settings["mode"] = json!("body");
    settings["ledger"] = json!({"lease_ms": LEASE_MS});
    settings["models"][0]["context_tokens"] = json!(1_000_000_000);
    settings["budget"]["default_usd"] = json!("1000");
    let route = RoutePatch { body_buffer_bytes: Some(2 * HUGE_BYTES as u64), ..RoutePatch::default() };
    let listener = Listener { route, ..Listener::new("huge", settings) };
    Gateway::start_listeners(1, &[listener]).await.unwrap()
}

fn huge_body() -> String {
    let mut body = String::with_capacity(HUGE_BYTES + 200);
    body.push_str(r#"{"model":"auto","max_tokens":10,"messages":[],"metadata":{"padding":""#);
    body.extend(std::iter::repeat_n('x', HUGE_BYTES));
    body.push_str(r#""}}"#);
    body
}

#[test]
fn a_crash_charges_nothing_and_gives_the_money_back_with_the_lease() {
    Runtime::new().unwrap().block_on(async {
        let gateway = gateway().await;
        let turn = |extra: &str| gateway.chat("huge", chat(400, extra)).header("x-session-id", "doomed");
        let (status, ..) = gateway.send(turn(r#""max_tokens":10,"#)).await.unwrap();
        assert_eq!(status, 200);
        let charged = gateway.records("huge", "doomed", 1).await.unwrap().remove(0).charged_nano_usd;

        let hanging = tokio::spawn(turn(r#""max_tokens":100,"#).header("x-mock-fault", "hang").send());
        tokio::time::sleep(Duration::from_millis(500)).await;
        let huge = gateway.chat("huge", huge_body()).header("x-session-id", "huge");
        let answer = gateway.send(huge.timeout(Duration::from_secs(60))).await;
        assert!(answer.is_err() || answer.is_ok_and(|(status, ..)| status >= 500), "the VM died");
        // Envoy ends what the VM held; whatever the client sees, there is no record of it.
        hanging.abort();

        let (status, ..) = gateway.send(turn(r#""max_tokens":10,"#)).await.unwrap();
        assert_eq!(status, 200, "a new VM serves");
        let after = gateway.records("huge", "doomed", 2).await.unwrap().remove(1);
        assert_eq!(
            (after.turn, after.spent_nano_usd),
            (1, charged),
            "the books stay, the dead turn cost nothing"
        );
        assert!(after.outstanding_nano_usd.0 > 0, "its money is held until the lease ends");

        tokio::time::sleep(Duration::from_millis(LEASE_MS)).await;
        let (status, ..) = gateway.send(turn(r#""max_tokens":10,"#)).await.unwrap();
        assert_eq!(status, 200);
        let record = gateway.records("huge", "doomed", 3).await.unwrap().remove(2);
        assert_eq!((record.turn, record.outstanding_nano_usd.0), (2, 0), "and is free afterwards");
        gateway.envoy.stop().await;
    });
}
