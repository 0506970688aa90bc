//! A tenant's budget under more turns at once than a scenario holds.

use seqroute_tests::support::chat::chat;
use seqroute_tests::support::settings;
use serde_json::json;

use crate::support::{Fixture, Turn};

#[test]
fn the_sessions_of_a_tenant_share_its_budget_over_all_workers() {
    let mut settings = settings::plugin(json!("best_affordable"));
    settings["session"] = json!({"tenant_header": "x-team"});
    settings["tenants"] = json!({"default_usd": "0.003"});
    let world = Fixture::new(2, &settings);
    let request = |k: usize| {
        let session = format!("chat-{k}");
        let headers: [(&str, &[u8]); 2] = [("x-session-id", session.as_bytes()), ("x-team", b"red")];
        world.request_with(k % 2, &headers, chat(400, 100).as_bytes())
    };
    let turns: Vec<Turn> = (0..40).map(request).collect();
    let refused = turns.iter().find_map(|turn| turn.refused.clone()).expect("a refusal");
    assert_eq!(refused.headers.get_str("x-seqroute-reason").as_deref(), Some("tenant_budget_exceeded"));
    let held = world.outstanding_nano_usd("tenant_");
    assert!(held <= 3_000_000 && held == world.outstanding_nano_usd(""), "{held}");
    let mut spent = 0;
    for (k, mut turn) in turns.into_iter().enumerate() {
        // Every third client leaves before its answer.
        if turn.refused.is_none() && k % 3 > 0 {
            turn.answer_json(134, 100);
        }
        spent += turn.end().unwrap().charged_nano_usd.0;
    }
    assert!(spent > 0 && spent <= 3_000_000, "{spent}");
    assert_eq!((world.outstanding_nano_usd(""), world.outstanding_nano_usd("tenant_")), (0, 0));
    assert_eq!(world.counter("tenant_settled_nano_usd"), spent);
}
