//! What the client gets when the plugin traps.

use seqroute_harness::Stream;

use crate::envoy::{Answer, Envoy, exchange};
use crate::probe::Probe;

const fn traps(name: &'static str, functions: &'static str) -> Probe {
    Probe { name, imports: "", functions, request: ("POST", "/", &[]), body: "abcdef" }
}

const PROBES: [Probe; 6] = [
    traps(
        "on_create",
        r#"(func (export "proxy_on_context_create") (param i32) (param $root i32)
        (if (local.get $root) (then unreachable)))"#,
    ),
    traps(
        "on_request_headers",
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        unreachable)"#,
    ),
    traps(
        "on_request_body",
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 1)
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) unreachable)"#,
    ),
    traps(
        "on_response_headers",
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        unreachable)"#,
    ),
    traps(
        "on_response_body",
        r#"(func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
        unreachable)"#,
    ),
    traps("on_log", r#"(func (export "proxy_on_log") (param i32) unreachable)"#),
];

/// Status and body of the response, if the client got all of it.
fn response_here(stream: &Stream) -> Option<(u32, String)> {
    let headers = stream.client_response_headers().filter(|_| stream.client_response_complete())?;
    let body = String::from_utf8(stream.client_response_body()).unwrap();
    Some((headers.get_str(":status")?.parse().ok()?, body))
}

/// Plays the whole stream in the harness, until the plugin traps.
fn here(probe: &Probe) -> Option<(u32, String)> {
    let (_host, vm) = probe.start();
    let mut stream = vm.plugin("", crate::probe::CONFIGURATION).unwrap().stream();
    let length = crate::probe::ANSWER.len().to_string();
    let request = [(":authority", "llm"), (":path", "/"), (":method", "POST")];
    let _ = stream
        .request_headers(&request, false)
        .and_then(|_| stream.request_body(probe.body, true))
        .and_then(|_| stream.response_headers(&[(":status", "200"), ("content-length", &length)], false))
        .and_then(|_| stream.response_body(crate::probe::ANSWER, true));
    let _ = stream.finish();
    assert!(vm.failure().is_some(), "{}: no trap", probe.name);
    response_here(&stream)
}

/// The `content-length` of a response.
fn content_length(answer: &Answer) -> Option<usize> {
    let length = answer.headers.iter().find(|(name, _)| name == "content-length");
    length.and_then(|(_, value)| value.parse().ok())
}

#[test]
fn clients_get_the_same_when_the_plugin_traps() {
    let listeners: Vec<_> = PROBES.iter().map(Probe::listener).collect();
    let envoy = Envoy::start(&listeners, &[]);
    for probe in &PROBES {
        let there = exchange(envoy.address(probe.name), probe.request());
        // A truncated response has fewer bytes than its `content-length`.
        let whole =
            there.filter(|answer| content_length(answer).is_none_or(|length| length == answer.body.len()));
        assert_eq!(here(probe), whole.map(|answer| (answer.status, answer.body)), "{}", probe.name);
    }
}
