//! How many host calls a turn takes, which no client sees.

use std::collections::BTreeMap;

use seqroute_tests::support::chat::chat;
use seqroute_tests::support::{policies, settings};
use serde_json::{Value, json};

use crate::support::Fixture;

/// The most that a request, or an answer, may take; a tenant adds up to four.
const MOST: u64 = 16;

/// The host calls by name of the second turn of a session: for its request, and for its answer.
fn of_a_turn(settings: &Value) -> [BTreeMap<&'static str, u64>; 2] {
    let world = Fixture::new(1, settings);
    let headers: [(&str, &[u8]); 2] = [("x-session-id", b"s"), ("x-team", b"red")];
    let body = chat(400, 100);
    world.request_with(0, &headers, body.as_bytes()).end();
    let begun = world.vms[0].hostcalls();
    let mut turn = world.request_with(0, &headers, body.as_bytes());
    let decided = world.vms[0].hostcalls();
    turn.answer_json(90, 20);
    turn.end();
    let ended = world.vms[0].hostcalls();
    let between = |from: &BTreeMap<&'static str, u64>, to: &BTreeMap<&'static str, u64>| {
        let rise = |(name, calls): (&&'static str, &u64)| (*name, calls - from.get(name).unwrap_or(&0));
        to.iter().map(rise).filter(|(_, rise)| *rise > 0).collect()
    };
    [between(&begun, &decided), between(&decided, &ended)]
}

#[test]
fn a_turn_takes_few_host_calls() {
    let mut with_tenants = settings::plugin(json!("best_affordable"));
    with_tenants["session"] = json!({"tenant_header": "x-team"});
    with_tenants["tenants"] = json!({"default_usd": "1"});
    let cases = [
        (settings::plugin(json!({"always": "medium"})), MOST),
        (settings::with_policy(&policies::arbitrary(1).unwrap()), MOST),
        (with_tenants, MOST + 4),
    ];
    for (settings, most) in cases {
        for calls in of_a_turn(&settings) {
            let sum: u64 = calls.values().sum();
            assert!(sum > 0 && sum <= most, "{sum} of at most {most}: {calls:?}");
        }
    }
}
