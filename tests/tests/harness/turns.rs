//! One turn after the other: routing, rewriting, settling.

use std::collections::BTreeMap;

use crate::support::{JSON, World, chat, json_answer};
use seqroute_core::decide::features;
use seqroute_tests::support::{policies, settings};
use serde_json::json;

#[test]
fn a_turn_is_routed_rewritten_and_charged_at_its_true_cost() {
    let world = World::new(1, &settings::plugin(json!("best_affordable")));
    world
        .exchange(0, "chat-1", &chat(400, 100))
        .expect_upstream_header("x-seqroute-cluster", "large")
        .expect_upstream_json("/model", "large")
        .expect_upstream_header("content-length", "401")
        .response(200, &JSON, json_answer(90, 20))
        .finish()
        .expect_filter_state_json("seqroute", "/charged_nano_usd", 90 * 3000 + 20 * 15000)
        .expect_filter_state_json("seqroute", "/outcome", "settled")
        .expect_filter_state_json("seqroute", "/prompt_tokens", 100);
    assert_eq!(world.outstanding(), 0);
}

#[test]
fn the_client_learns_what_was_decided() {
    let world = World::new(1, &settings::plugin(json!({"always": "medium"})));
    let mut exchange = world
        .exchange(0, "chat-1", &chat(400, 100))
        .response(200, &JSON, json_answer(90, 20))
        .expect_client_header("x-seqroute-model", "medium")
        .expect_client_header("x-seqroute-policy", "always-medium")
        .expect_client_header("x-seqroute-reason", "strategy")
        // 0.01 USD − (134 × 0.80 + 100 × 3.20) USD per million tokens
        .expect_client_header("x-seqroute-budget-remaining", "0.0095728")
        .finish();
    let headers = exchange.stream().client_response_headers().unwrap();
    assert_eq!(headers.get("x-seqroute-session").map(<[u8]>::len), Some(32));
}

#[test]
fn only_a_routed_request_loses_its_accept_encoding() {
    let sent = |accept_encoding: &str, path: &str| {
        let mut settings = settings::plugin(json!({"always": "medium"}));
        settings["accept_encoding"] = json!(accept_encoding);
        let world = World::new(1, &settings);
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
    assert_eq!(sent("remove", "/v1/models").as_deref(), Some("gzip"));
}

#[test]
fn a_request_takes_few_host_calls() {
    let world = World::new(1, &settings::plugin(json!({"always": "medium"})));
    world.turn(0, "chat-1", &chat(400, 100), 90, 20);
    let calls = || world.vms[0].hostcalls();
    let begun = calls();
    let mut turn = world.request(0, "chat-1", &chat(400, 100));
    let decided = calls();
    turn.answer_json(90, 20);
    turn.end();
    let ended = calls();
    let between = |from: &BTreeMap<&'static str, u64>, to: &BTreeMap<&'static str, u64>| {
        let rise = |(name, calls): (&&'static str, &u64)| (*name, calls - from.get(name).unwrap_or(&0));
        to.iter().map(rise).filter(|(_, rise)| *rise > 0).collect::<BTreeMap<_, _>>()
    };
    let (request, answer) = (between(&begun, &decided), between(&decided, &ended));
    assert!(request.values().sum::<u64>() <= 15, "{request:?}");
    assert!(answer.values().sum::<u64>() <= 15, "{answer:?}");
}

#[test]
fn a_session_remembers_its_turns() {
    let world = World::new(2, &settings::plugin(json!("best_affordable")));
    let first = world.turn(0, "chat-1", &chat(400, 100), 100, 50).unwrap();
    let second = world.turn(1, "chat-1", &chat(800, 100), 200, 50).unwrap();
    assert_eq!((first.turn, second.turn), (0, 1));
    assert_eq!(second.spent_nano_usd, first.charged_nano_usd);
    assert_eq!(second.session, first.session);
}

#[test]
fn the_policy_decides_and_the_record_tells_why() {
    let tar = policies::arbitrary(1).unwrap();
    let world = World::new(1, &settings::with_policy(&tar));
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
fn a_stream_of_events_is_settled_by_its_usage_event() {
    let world = World::new(1, &settings::plugin(json!("best_affordable")));
    let pieces = [
        "data: {\"choices\":[{\"delta\":{\"content\":\"h\"}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usa",
        "ge\":{\"prompt_tokens\":90,\"completion_tokens\":20}}\n\ndata: [DO",
        "NE]\n\n",
        "",
    ];
    world
        .exchange(0, "chat-1", &chat(400, 100))
        .response_in_pieces(200, &[("content-type", "text/event-stream")], &pieces)
        .finish()
        .expect_filter_state_json("seqroute", "/charged_nano_usd", 90 * 3000 + 20 * 15000);
}

#[test]
fn an_exhausted_session_is_refused_in_the_callers_language() {
    let world = World::new(1, &settings::plugin(json!("best_affordable")));
    let headers: [(&str, &[u8]); 2] = [("x-session-id", b"poor"), ("x-seqroute-budget-usd", b"0.00001")];
    world
        .exchange_with(0, &headers, &chat(400, 100))
        .expect_local_reply(429)
        .expect_client_header("x-should-retry", "false")
        .expect_client_json("/error/code", "session_budget_exceeded")
        .finish()
        .expect_filter_state_json("seqroute", "/outcome", "refused")
        .expect_filter_state_json("seqroute", "/charged_nano_usd", 0)
        .expect_metric("seqroute.exhausted", 1);
}

#[test]
fn what_is_no_llm_call_passes_untouched() {
    let world = World::new(1, &settings::plugin(json!("best_affordable")));
    let headers = [(":method", "GET"), (":path", "/healthz"), ("x-seqroute-cluster", "small")];
    world.plugins[0]
        .exchange()
        .request(&headers, "")
        .expect_upstream_headers(&headers)
        .response(200, &JSON, "")
        .finish()
        .expect_no_filter_state("seqroute")
        .expect_metric("seqroute.bypassed", 1);
}

#[test]
fn internal_headers_of_a_client_do_not_reach_the_upstream() {
    let world = World::new(1, &settings::plugin(json!("best_affordable")));
    let headers: [(&str, &[u8]); 3] =
        [("x-session-id", b"s"), ("x-seqroute-budget-usd", b"0.5"), ("X-SeqRoute-Lambda", b"0.25")];
    world
        .exchange_with(0, &headers, &chat(400, 100))
        .expect_no_upstream_header("x-seqroute-budget-usd")
        .expect_no_upstream_header("x-seqroute-lambda")
        .finish()
        .expect_filter_state_json("seqroute", "/budget_nano_usd", 500_000_000)
        .expect_filter_state_json("seqroute", "/lambda", 0.25);
}

#[test]
fn headers_mode_decides_without_the_body() {
    let mut settings = settings::plugin(json!("best_affordable"));
    settings["mode"] = json!("headers");
    let world = World::new(1, &settings);
    let body = chat(400, 100);
    world
        .exchange(0, "chat-1", &body)
        .expect_upstream_header("x-seqroute-cluster", "large")
        .expect_upstream_body(&body)
        .response(200, &JSON, json_answer(90, 20))
        .finish()
        .expect_filter_state_json("seqroute", "/outcome", "settled");
}

#[test]
fn a_request_path_makes_at_most_fifteen_host_calls() {
    let world = World::new(1, &settings::with_policy(&policies::arbitrary(1).unwrap()));
    world.turn(0, "chat-1", &chat(400, 100), 100, 50);
    let before: u64 = world.vms[0].hostcalls().values().sum();
    let turn = world.request(0, "chat-1", &chat(400, 100));
    let calls: u64 = world.vms[0].hostcalls().values().sum::<u64>() - before;
    assert!(calls <= 15, "{calls} host calls: {:?}", world.vms[0].hostcalls());
    turn.end();
}
