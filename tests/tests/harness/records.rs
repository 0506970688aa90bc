//! Relations that a scenario cannot state: between values of one record, and between what the filter does to a header
//! and what Envoy's route makes of it.

use seqroute_core::decide::features;
use seqroute_tests::support::chat::chat;
use seqroute_tests::support::{policies, settings};
use serde_json::json;

use crate::support::Fixture;

#[test]
fn a_policy_chooses_the_model_that_it_values_most() {
    let tar = policies::arbitrary(1).unwrap();
    let world = Fixture::new(1, &settings::with_policy(&tar));
    let record = world.turn(0, "chat-1", &chat(400, 100), 100, 50).unwrap();
    assert_eq!(record.reason, "policy");
    assert!(record.policy.starts_with("arbitrary-1@"), "{}", record.policy);
    assert_eq!(
        (record.features.len(), record.q_quality.len(), record.q_cost.len()),
        (features::names_without_text(3).len(), 3, 3)
    );
    let best = (0..3).max_by(|a, b| record.q_quality[*a].total_cmp(&record.q_quality[*b])).unwrap();
    assert_eq!(record.chosen.as_deref(), Some(record.models[best].as_str()));
}

#[test]
fn only_a_routed_request_loses_its_accept_encoding() {
    // Envoy's route overwrites the header afterwards, so the model servers of a scenario never see this.
    let sent = |accept_encoding: &str, path: &str| {
        let mut settings = settings::plugin(json!({"always": "medium"}));
        settings["accept_encoding"] = json!(accept_encoding);
        let world = Fixture::new(1, &settings);
        let mut stream = world.stream(0);
        let headers = [(":method", "POST"), (":path", path), ("accept-encoding", "gzip")];
        stream.request_headers(&headers, false).unwrap();
        stream.request_body(chat(400, 100), true).unwrap();
        let headers = stream.upstream_request_headers().unwrap();
        stream.finish().unwrap();
        headers.get_str("accept-encoding")
    };
    assert_eq!(sent("remove", "/v1/chat/completions"), None);
    assert_eq!(sent("keep", "/v1/chat/completions").as_deref(), Some("gzip"));
    assert_eq!(sent("remove", "/v1/messages/count_tokens").as_deref(), Some("gzip"));
}
