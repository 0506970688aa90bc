//! Requests and answers that make no sense: a clear refusal or the configured default, and nothing charged.

use crate::support::{World, chat};
use proptest::prelude::*;
use seqroute_core::money::NanoUsd;
use seqroute_tests::support::settings;
use serde_json::{Value, json};

fn world() -> World {
    World::new(1, &settings::plugin(json!("best_affordable")))
}

fn alive(world: &World) -> bool {
    world.vms[0].reloads() == 0 && world.turn(0, "after", &chat(400, 10), 10, 1).is_some()
}

#[test]
fn a_broken_body_is_refused_and_counted() {
    for body in ["{broken", "[]", "", "nul", "{\"model\":\"auto\"", "{\"model\":\"auto\"}}"] {
        let world = world();
        let turn = world.request(0, "chat-1", body);
        assert_eq!(turn.refused.as_ref().map(|reply| reply.status), Some(400), "{body}");
        turn.end();
        assert_eq!((world.counter("invalid_body"), world.counter("granted_nano_usd")), (1, 0), "{body}");
        assert!(alive(&world));
    }
}

#[test]
fn a_broken_body_may_be_served_by_the_default() {
    let mut settings = settings::plugin(json!("best_affordable"));
    settings["on_error"] = json!({"invalid_body": "use_default"});
    let world = World::new(1, &settings);
    let turn = world.request(0, "chat-1", "{broken");
    assert!(turn.refused.is_none());
    assert_eq!(turn.stream.upstream_request_body(), b"{broken");
    assert_eq!(turn.upstream_header("x-seqroute-cluster").as_deref(), Some("large"));
    turn.end();
}

#[test]
fn a_header_name_that_is_not_utf8_leaves_the_vm_alive() {
    let world = world();
    let mut stream = world.stream(0);
    let headers: [(&[u8], &[u8]); 4] = [
        (b":method", b"POST"),
        (b":path", b"/v1/chat/completions"),
        (b"x-\xff", b"1"),
        (b"x-seqroute-\xff", b"1"),
    ];
    stream.request_headers(&headers, false).unwrap();
    stream.request_body(chat(400, 10), true).unwrap();
    stream.response_headers(&[(&b":status"[..], &b"200"[..]), (b"\xff", b"")], false).unwrap();
    stream.finish().unwrap();
    assert!(alive(&world));
}

#[test]
fn headers_that_are_not_utf8_leave_the_vm_alive() {
    let world = world();
    let headers: [(&str, &[u8]); 4] = [
        ("x-session-id", b"\xff\xfe"),
        ("x-anything", b"\x80\x81"),
        ("content-type", b"\xff"),
        ("x-seqroute-lambda", b"0.5"),
    ];
    let mut turn = world.request_with(0, &headers, chat(400, 10).as_bytes());
    turn.answer_json(90, 5);
    assert_eq!(turn.end().unwrap().outcome, "settled");
    assert!(alive(&world));
}

#[test]
fn a_budget_that_is_no_amount_is_refused_and_counted() {
    let values: [&[u8]; 5] = [b"-1", b"NaN", b"", b"1e9", b"\xff"];
    for value in values {
        let world = world();
        let headers = [("x-session-id", &b"s"[..]), ("x-seqroute-budget-usd", value)];
        let turn = world.request_with(0, &headers, chat(400, 10).as_bytes());
        assert_eq!(turn.refused.as_ref().map(|reply| reply.status), Some(400), "{value:?}");
        turn.end();
        assert_eq!((world.counter("invalid_header"), world.counter("granted_nano_usd")), (1, 0));
    }
}

#[test]
fn a_request_without_a_session_is_one_turn_of_the_default_budget() {
    let world = world();
    let mut turn = world.request_with(0, &[], chat(400, 10).as_bytes());
    turn.answer_json(90, 5);
    let record = turn.end().unwrap();
    assert_eq!((record.session, record.budget_nano_usd), (None, NanoUsd(10_000_000)));
    assert_eq!((world.counter("no_session"), world.counter("sessions_created")), (1, 0));
}

#[test]
fn an_unknown_model_is_refused_with_its_name() {
    let world = world();
    let body = chat(400, 10).replace("auto", "gpt-9\\u0000\\ud800");
    let turn = world.request(0, "s", &body.replace("\\u0000\\ud800", ""));
    let reply: Value = serde_json::from_slice(&turn.refused.clone().unwrap().body).unwrap();
    assert_eq!(reply["error"]["message"], "The model `gpt-9` is not configured.");
    turn.end();
    assert_eq!(world.counter("unknown_model"), 1);
}

#[test]
fn an_answer_that_is_cut_off_malformed_or_mistyped_is_charged_by_estimate() {
    let answers = [
        ("application/json", r#"{"choices":[{"message":{"content":"hi"#),
        ("application/json", r#"{"usage":{"prompt_tokens":"many"}}"#),
        ("text/event-stream", "data: {\"usage\":nonsense}\n\n"),
    ];
    for (content_type, body) in answers {
        let world = world();
        let mut turn = world.request(0, "s", &chat(400, 10));
        turn.answer_headers("200", content_type);
        turn.stream.response_body(body, true).unwrap();
        let record = turn.end().unwrap();
        assert_eq!(record.outcome, "estimated", "{body}");
        assert!(record.charged_nano_usd >= NanoUsd(100 * 3000), "{body}: at least the prompt");
        assert_eq!(world.outstanding(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_in_headers_bodies_or_answers_kill_the_vm(
        session in proptest::collection::vec(any::<u8>(), 0..300),
        budget in proptest::collection::vec(any::<u8>(), 0..20),
        status in prop_oneof![Just(b"200".to_vec()), proptest::collection::vec(any::<u8>(), 0..5)],
        body in prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), "[{}\":,a-z0-9\\\\]{0,60}".prop_map(String::into_bytes)],
        answer in proptest::collection::vec(any::<u8>(), 0..200),
        content_type in prop_oneof![Just("application/json"), Just("text/event-stream"), Just("x")],
    ) {
        let world = world();
        let headers = [("x-session-id", &session[..]), ("x-seqroute-budget-usd", &budget[..])];
        let mut turn = world.request_with(0, &headers, &body);
        if turn.refused.is_none() {
            let headers: [(&str, &[u8]); 2] = [(":status", &status), ("content-type", content_type.as_bytes())];
            turn.stream.response_headers(&headers, false).unwrap();
            turn.stream.response_body(&answer, true).unwrap();
        }
        turn.end();
        prop_assert_eq!(world.outstanding(), 0);
        prop_assert!(alive(&world));
    }
}

#[test]
fn random_traffic_leaves_the_vm_alive_and_the_books_even() {
    // A million of them: `make fuzz-module`.
    let mut world = seqroute_tests::fuzz_module::world::World::new(2).unwrap();
    (0..4_000).for_each(|number| world.request().unwrap_or_else(|error| panic!("{number}: {error:#}")));
    world.end().unwrap();
}
