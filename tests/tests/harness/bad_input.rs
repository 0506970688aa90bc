//! Input that Envoy would not let through, or that is random: nothing of it kills the VM, and no money is lost.

use proptest::prelude::*;
use seqroute_tests::support::chat::chat;
use seqroute_tests::support::settings;
use serde_json::json;

use crate::support::Fixture;

fn world() -> Fixture {
    Fixture::new(1, &settings::plugin(json!("best_affordable")))
}

fn alive(world: &Fixture) -> bool {
    world.vms[0].reloads() == 0 && world.turn(0, "after", &chat(400, 10), 10, 1).is_some()
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
        prop_assert_eq!(world.outstanding_nano_usd(""), 0);
        prop_assert!(alive(&world));
    }
}

#[test]
fn random_traffic_leaves_the_vm_alive_and_the_ledger_balanced() {
    // A million of them: `make fuzz-module`.
    let mut world = seqroute_tests::fuzz_module::run::Run::new(2).unwrap();
    (0..4_000).for_each(|number| world.request().unwrap_or_else(|error| panic!("{number}: {error:#}")));
    world.end().unwrap();
}
