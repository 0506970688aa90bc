//! Exchanges: expectations that hold are silent, and those that fail report what is known.

mod common;

use common::{body_mode, host, module};
use seqroute_harness::{LogLevel, Module, Plugin, StepState, VmOptions};

/// Routes to `small` and logs it, holds the body until its end, counts turns, and writes a record.
fn router() -> Module {
    module(
        r#"
  (data (i32.const 0) "x-routesmallturns{\"tokens\":9}record")
  (data (i32.const 64) "routed to small")
  (global $turns (mut i32) (i32.const 0))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $die (call $define_metric (i32.const 0) (i32.const 12) (i32.const 5) (i32.const 4020)))
    (global.set $turns (i32.load (i32.const 4020)))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $set_header (i32.const 0) (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 5)))
    (call $info (i32.const 64) (i32.const 15))
    (i32.eqz (local.get 2)))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (i32.eqz (local.get 2)))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $die (call $set_header (i32.const 2) (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 5)))
    i32.const 0)
  (func (export "proxy_on_log") (param i32)
    (call $die (call $increment_metric (global.get $turns) (i64.const 1)))
    (call $die (call $set_property (i32.const 29) (i32.const 6) (i32.const 17) (i32.const 12))))"#,
    )
}

fn plugin(module: &Module) -> Plugin {
    host().vm(module, body_mode()).unwrap().plugin("root", b"").unwrap()
}

/// The panic message of `exchange`.
fn message(exchange: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(exchange))
        .expect_err("something is not as expected");
    panic.downcast_ref::<String>().cloned().expect("a text")
}

const HEADERS: [(&str, &str); 2] = [(":method", "POST"), (":path", "/v1")];

#[test]
fn an_exchange_as_expected_passes() {
    plugin(&router())
        .exchange()
        .request_headers(&HEADERS, false)
        .expect_paused()
        .request_body(r#"{"a":"#, false)
        .expect_paused()
        .request_body("[1]}", true)
        .expect_forwarded()
        .expect_upstream_headers(&[(":method", "POST"), (":path", "/v1"), ("x-route", "small")])
        .expect_upstream_header("x-route", "small")
        .expect_no_upstream_header("x-session")
        .expect_upstream_body(r#"{"a":[1]}"#)
        .expect_upstream_json("/a/0", 1)
        .response(200, &[("content-type", "application/json")], r#"{"b":true}"#)
        .expect_client_header("x-route", "small")
        .expect_client_json("/b", true)
        .expect_no_filter_state("record")
        .finish()
        .expect_filter_state("record", r#"{"tokens":9}"#)
        .expect_filter_state_json("record", "/tokens", 9)
        .expect_metric("turns", 1)
        .expect_log(LogLevel::Info, "routed to")
        .expect_no_log(LogLevel::Warn);
}

#[test]
fn a_wrong_header_is_reported_with_diff_log_and_host_calls() {
    let text = message(|| {
        let exchange = plugin(&router()).exchange().request(&HEADERS, "{}");
        exchange.expect_upstream_header("x-route", "large");
    });
    assert!(text.starts_with("not as expected: header `x-route` of the request to the upstream\n"), "{text}");
    assert!(text.contains("- x-route: large\n") && text.contains("+ x-route: small\n"), "the diff: {text}");
    assert!(text.contains("  :path: /v1\n"), "and what is around it: {text}");
    assert!(text.contains("[Info] routed to small"), "the log: {text}");
    assert!(text.contains("proxy_replace_header_map_value ok"), "the host calls: {text}");
}

#[test]
fn every_kind_of_expectation_can_fail() {
    type Sentence = fn(seqroute_harness::Exchange);
    let sentences: [(Sentence, &str, &str); 10] = [
        (|of| drop(of.expect_paused()), "the state of the stream", "- Paused\n+ Forwarded"),
        (|of| drop(of.expect_state(StepState::Reset)), "the state", "- Reset"),
        (|of| drop(of.expect_local_reply(429)), "local reply", "- 429\n+ (none)"),
        (|of| drop(of.expect_no_upstream_header("x-route")), "header `x-route`", "+ x-route: small"),
        (|of| drop(of.expect_upstream_headers(&HEADERS)), "the headers", "+ x-route: small"),
        (|of| drop(of.expect_upstream_body("{\n}")), "the body", "- {\n- }\n+ {\"a\":1}"),
        (|of| drop(of.expect_upstream_json("/a", 2)), "`/a` of the body of the request", "- 2\n+ 1"),
        (|of| drop(of.expect_filter_state("record", "x")), "filter state `record`", "- x\n+ (none)"),
        (|of| drop(of.expect_metric("turns", 7)), "metric `turns`", "- 7\n+ 0"),
        (|of| drop(of.expect_client_header("a", "b")), "the response to the client", "- a: b\n+ (none)"),
    ];
    for (sentence, what, difference) in sentences {
        let text = message(|| sentence(plugin(&router()).exchange().request(&HEADERS, r#"{"a":1}"#)));
        assert!(text.contains(what) && text.contains(difference), "{text}");
        assert!(text.contains("routed to small") && text.contains("host calls"), "{text}");
    }
    let text = message(|| {
        drop(plugin(&router()).exchange().request(&HEADERS, "{}").expect_log(LogLevel::Warn, "x"))
    });
    assert!(text.contains("expected a log line at Warn or above with `x`, found none"), "{text}");
}

#[test]
fn a_trap_ends_the_exchange_and_is_reported() {
    let trapping = module(
        r#"
  (data (i32.const 0) "about to fail")
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (call $info (i32.const 0) (i32.const 13)) unreachable)"#,
    );
    let text = message(|| drop(plugin(&trapping).exchange().request(&HEADERS, "{}")));
    assert!(
        text.contains("proxy_on_request_body trapped") && text.contains("[Info] about to fail"),
        "{text}"
    );
    assert!(text.contains("proxy_log ok"), "{text}");
}

#[test]
fn without_a_trace_the_rest_is_reported() {
    let options = VmOptions { trace_calls: 0, ..body_mode() };
    let plugin = host().vm(&router(), options).unwrap().plugin("root", b"").unwrap();
    let text = message(|| drop(plugin.exchange().request(&HEADERS, "{}").expect_paused()));
    assert!(text.contains("+ Forwarded") && text.contains("host calls: none recorded"), "{text}");
}
