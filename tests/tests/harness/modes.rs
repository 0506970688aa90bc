//! What only the shell can get wrong: a shadow that touches something, a level that is not ended, ids and headers.

use crate::support::{Turn, World, chat};
use seqroute_tests::support::settings;
use serde_json::{Value, json};

fn world(change: impl FnOnce(&mut Value)) -> World {
    let mut settings = settings::plugin(json!("best_affordable"));
    change(&mut settings);
    World::new(2, &settings)
}

fn response_header(turn: &Turn, name: &str) -> Option<String> {
    turn.stream.client_response_headers().and_then(|headers| headers.get_str(name))
}

#[test]
fn a_shadow_changes_nothing_and_records_everything() {
    for mode in ["headers", "peek", "body"] {
        let world = world(|v| {
            v["enforcement"] = json!("shadow");
            v["mode"] = json!(mode);
        });
        let body = chat(400, 100);
        let headers: [(&str, &[u8]); 2] = [("x-session-id", b"s"), ("x-seqroute-budget-usd", b"0.00001")];
        let mut turn = world.request_with(0, &headers, body.as_bytes());
        assert!(turn.refused.is_none(), "{mode}: the session could not pay");
        assert_eq!(turn.upstream_header("x-seqroute-cluster").as_deref(), Some("small"), "{mode}");
        assert_eq!(turn.upstream_header("x-seqroute-budget-usd").as_deref(), Some("0.00001"), "{mode}");
        assert_eq!(turn.upstream_header("content-length"), Some(body.len().to_string()), "{mode}");
        assert_eq!(turn.stream.upstream_request_body(), body.as_bytes(), "{mode}");
        turn.answer_json(90, 20);
        let names: Vec<String> = turn
            .stream
            .client_response_headers()
            .unwrap()
            .iter()
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect();
        assert_eq!(names, [":status", "content-type"], "{mode}");
        let record = turn.end().unwrap();
        assert!(record.shadow && record.reason == "session_budget_exceeded", "{mode}: {record:?}");
        assert_eq!((world.counter("shadow_decisions"), world.counter("shadow_refusals")), (1, 1), "{mode}");
        assert_eq!((world.counter("decisions"), world.counter("granted_nano_usd")), (0, 0), "{mode}");
    }
}

fn with_tenants(v: &mut Value) {
    v["session"] = json!({"tenant_header": "x-team"});
    v["tenants"] = json!({"default_usd": "0.003"});
}

fn of_team(world: &World, worker: usize, session: &str) -> Turn {
    let headers: [(&str, &[u8]); 2] = [("x-session-id", session.as_bytes()), ("x-team", b"red")];
    world.request_with(worker, &headers, chat(400, 100).as_bytes())
}

fn held_of_tenants(world: &World) -> u64 {
    let counter = |name: &str| world.counter(&format!("tenant_{name}_nano_usd"));
    counter("granted") - counter("settled") - counter("refunded") - counter("expired")
}

#[test]
fn the_sessions_of_a_team_share_its_budget_over_all_workers() {
    let world = world(with_tenants);
    let turns: Vec<Turn> = (0..40).map(|k| of_team(&world, k % 2, &format!("chat-{k}"))).collect();
    let refused = turns.iter().find_map(|turn| turn.refused.clone()).expect("a refusal");
    assert_eq!(refused.headers.get_str("x-seqroute-reason").as_deref(), Some("tenant_budget_exceeded"));
    assert!(held_of_tenants(&world) <= 3_000_000 && held_of_tenants(&world) == world.outstanding());
    let mut spent = 0;
    for (k, mut turn) in turns.into_iter().enumerate() {
        // Every third answer never comes.
        if turn.refused.is_none() && k % 3 > 0 {
            turn.answer_json(134, 100);
        }
        spent += turn.end().unwrap().charged_nano_usd.0;
    }
    assert!(spent > 0 && spent <= 3_000_000, "{spent}");
    assert_eq!((world.outstanding(), held_of_tenants(&world)), (0, 0));
    assert_eq!(world.counter("tenant_settled_nano_usd"), spent);
}

#[test]
fn a_crash_gives_back_on_both_levels_within_a_lease() {
    let world = world(with_tenants);
    let mut turn = of_team(&world, 0, "chat-1");
    world.vms[0].inject_trap_on_next_call();
    assert!(turn.stream.response_headers(&[(":status", "200")], false).is_err());
    turn.stream.abandon();
    assert!(world.outstanding() > 0 && held_of_tenants(&world) > 0);
    // A tenant's hold ends at most an eighth of a lease after the session's.
    world.host.clock().advance_ms(10 * 60 * 1000 * 9 / 8);
    of_team(&world, 1, "chat-1").end();
    assert_eq!((world.outstanding(), held_of_tenants(&world)), (0, 0));
    assert_eq!(world.counter("leases_expired"), 1);
}

#[test]
fn a_tenant_costs_at_most_three_more_host_calls() {
    let world = world(with_tenants);
    of_team(&world, 0, "chat-1").end();
    let before: u64 = world.vms[0].hostcalls().values().sum();
    let turn = of_team(&world, 0, "chat-1");
    let calls = world.vms[0].hostcalls().values().sum::<u64>() - before;
    assert!(calls <= 18, "{calls} host calls");
    turn.end();
}

#[test]
fn a_session_is_found_in_a_cookie_or_in_the_body() {
    let world =
        world(|v| v["session"] = json!({"sources": [{"cookie": "sid"}, {"body": "prompt_cache_key"}]}));
    let by_cookie = |cookie: &str| {
        let headers: [(&str, &[u8]); 1] = [("cookie", cookie.as_bytes())];
        world.request_with(0, &headers, chat(400, 100).as_bytes()).end().unwrap().session
    };
    let by_body = |key: &str| {
        let body = chat(400, 100).replacen('{', &format!(r#"{{"prompt_cache_key":"{key}","#), 1);
        world.request_with(0, &[], body.as_bytes()).end().unwrap().session
    };
    assert!(by_cookie("a=b; sid=one").is_some());
    assert_eq!(by_cookie("a=b; sid=one"), by_body("one"));
    assert_ne!(by_body("one"), by_body("two"));
    assert_eq!(world.counter("no_session"), 0);
}

#[test]
fn a_body_without_a_session_passes_where_that_means_bypass() {
    let world = world(|v| {
        v["session"] = json!({"sources": [{"body": "conversation"}], "no_session": "bypass"});
    });
    let body = chat(400, 100);
    let turn = world.request_with(0, &[], body.as_bytes());
    assert_eq!(turn.upstream_header("x-seqroute-cluster").as_deref(), Some("small"));
    assert_eq!(turn.stream.upstream_request_body(), body.as_bytes());
    assert_eq!(turn.end(), None);
    assert_eq!(world.counter("bypassed"), 1);
}

#[test]
fn every_answer_says_what_is_left_and_only_a_trusted_caller_gets_more() {
    for (trusted, extra) in [(false, None), (true, Some("small,medium,large"))] {
        let world = world(|v| v["debug"] = json!({"header": "x-seqroute-debug", "trust_header": trusted}));
        let headers: [(&str, &[u8]); 2] = [("x-session-id", b"s"), ("x-seqroute-debug", b"true")];
        let mut turn = world.request_with(0, &headers, chat(400, 100).as_bytes());
        turn.answer_headers("500", "application/json");
        assert_eq!(response_header(&turn, "x-ratelimit-limit-usd").as_deref(), Some("0.01"));
        assert_eq!(response_header(&turn, "x-ratelimit-remaining-usd").as_deref(), Some("0.008098"));
        assert_eq!(response_header(&turn, "x-seqroute-models").as_deref(), extra);
        let ours = turn.stream.client_response_headers().unwrap();
        let ours = ours.iter().filter(|(name, _)| name.starts_with(b"x-seqroute-")).count();
        assert!(trusted || ours <= 6, "{ours} headers");
        turn.end();
    }
}

#[test]
fn an_open_tool_loop_stays_with_its_model_or_is_refused() {
    let world = world(|_| {});
    let ask = |messages: &str, max_tokens: u64| {
        let body = format!(r#"{{"model":"auto","max_tokens":{max_tokens},"messages":[{messages}]}}"#);
        let headers: [(&str, &[u8]); 2] = [("x-session-id", b"s"), ("x-seqroute-budget-usd", b"0.004")];
        world.request_with(0, &headers, body.as_bytes())
    };
    let user = r#"{"role":"user","content":"hello"}"#;
    let tool = r#"{"role":"user","content":"hello"},{"role":"assistant","tool_calls":[{"id":"1"}]},{"role":"tool","tool_call_id":"1","content":"42"}"#;
    let mut first = ask(user, 100);
    assert_eq!(first.upstream_header("x-seqroute-cluster").as_deref(), Some("large"));
    first.answer_json(30, 150);
    first.end();
    // 0.0017 USD are left: 200 more tokens of the large model are 0.003, of the medium one 0.00064.
    let free = ask(user, 200);
    assert_eq!(free.upstream_header("x-seqroute-cluster").as_deref(), Some("medium"));
    free.end();
    let locked = ask(tool, 200);
    assert_eq!(locked.refused.as_ref().map(|reply| reply.status), Some(429));
    let record = locked.end().unwrap();
    assert!(record.locked && record.mask == [false, false, false], "{record:?}");
    let affordable = ask(tool, 50);
    assert_eq!(affordable.upstream_header("x-seqroute-cluster").as_deref(), Some("large"));
    affordable.end();
}

#[test]
fn a_stream_cut_by_its_client_after_the_usage_is_settled_by_it() {
    let world = world(|_| {});
    let mut turn = world.request(0, "s", &chat(400, 100));
    turn.answer_headers("200", "text/event-stream");
    let event = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":20}}\n\n";
    turn.stream.response_body(event, false).unwrap();
    let record = turn.end().unwrap();
    assert_eq!((record.outcome.as_str(), record.charged_nano_usd.0), ("settled", 90 * 3000 + 20 * 15000));
}
