//! Name resolution.

use crate::common;
use crate::envoy::{Envoy, exchange};
use crate::probe::Probe;

/// Resolves a textual address and an invalid name.
const DNS: Probe = Probe {
    name: "dns",
    imports: r#"(import "env" "envoy_resolve_dns" (func $resolve (param i32 i32 i32) (result i32)))"#,
    functions: r#"
  (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
    (i32.store (i32.const 300) (local.get $id))
    (call $number (call $resolve @"127.0.0.1" (i32.const 304)))
    (call $number (i32.load (i32.const 304)))
    (call $number (call $resolve (i32.const 1000) (i32.const 99999999) (i32.const 304)))
    (call $number (call $resolve @"127.0.0.1" (i32.const 99999999)))
    (call $number (call $resolve @"no such name" (i32.const 304)))
    (call $number (i32.load (i32.const 304)))
    i32.const 0)
  (func (export "envoy_on_resolve_dns") (param $root i32) (param $token i32) (param $size i32)
    (call $info @"answer")
    (call $number (i32.ne (local.get $root) (i32.load (i32.const 300))))
    (call $number (local.get $token))
    (call $number (local.get $size))
    (call $show_buffer (i32.const 8) (i32.const 0) (i32.const 4))
    (call $show_buffer (i32.const 8) (i32.const 8) (i32.const 99)))
  (func (export "proxy_on_log") (param i32) (call $info @"end"))"#,
    request: ("GET", "/", &[]),
    body: "",
};

/// The number of lines per answer.
const ANSWER_LINES: usize = 6;

/// The answers sorted by token, and the other lines. Envoy answers within the call if no query is needed.
fn sorted(mut lines: Vec<String>) -> (Vec<Vec<String>>, Vec<String>) {
    let mut answers = Vec::new();
    while let Some(at) = lines.iter().position(|line| line == "answer") {
        answers.push(lines.drain(at..at + ANSWER_LINES).collect());
    }
    answers.sort();
    (answers, lines)
}

#[test]
fn names_are_resolved_the_same_here_and_in_envoy() {
    let envoy = Envoy::start(&[DNS.listener()], &[]);
    exchange(envoy.address(DNS.name), DNS.request()).unwrap();
    let there = envoy.wait_for("all answers", |envoy| {
        let lines = envoy.lines(DNS.name);
        let answers = lines.iter().filter(|line| *line == "answer").count();
        (answers >= 2 && lines.contains(&"end".to_owned())).then_some(lines)
    });

    let (_host, vm) = DNS.start();
    let mut stream = DNS.send(&vm);
    DNS.end(&mut stream);
    let queries = vm.pending_dns_queries();
    for query in queries.iter().filter(|query| query.name == "127.0.0.1") {
        vm.answer_dns_query(query.token, &[("127.0.0.1:0".parse().unwrap(), 0)]).unwrap();
    }
    for query in queries.iter().filter(|query| query.name == "no such name") {
        vm.fail_dns_query(query.token).unwrap();
    }
    assert_eq!(sorted(common::lines(&vm)), sorted(there));
}
