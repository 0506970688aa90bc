//! The result of a scenario: what client, model server and operator saw of each turn, and how far the counters rose.
//!
//! Both worlds fill the same structure with all that must not depend on the world. Only headers of the HTTP stack are
//! excluded, by name, so a new header of the filter is compared automatically.

use std::collections::BTreeMap;

use seqroute_core::counters::Counter;
use serde::Serialize;
use serde_json::Value;

use super::format::{Expect, Number, Scenario};
use crate::outcome_table;
use crate::support::money::outstanding_nano_usd;

/// Headers that an HTTP stack adds on the way to the client.
const STACK_RESPONSE_HEADERS: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "server",
    "transfer-encoding",
    "vary",
    "x-envoy-upstream-service-time",
    ":status",
];

/// The result of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// The turns in the order in which they ended.
    pub turns: Vec<TurnSeen>,
    /// How far each counter rose; those that did not are absent.
    pub counters: BTreeMap<String, u64>,
}

/// The result of one turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TurnSeen {
    /// Status the client got; 0: none.
    pub status: u16,
    /// Headers the client got.
    pub headers: BTreeMap<String, String>,
    /// Body the client got.
    pub body: String,
    /// Whether the client got the end of the answer.
    pub complete: bool,
    /// What the model server got; `None`: no server got the request.
    pub upstream: Option<UpstreamSeen>,
    /// The decision record without its time.
    pub record: Option<Value>,
}

/// What a model server got.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UpstreamSeen {
    /// The name of the server.
    pub server: String,
    /// The path with its query.
    pub path: String,
    /// How often the request was sent.
    pub attempts: usize,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// Headers of a response, without those of the HTTP stack.
pub fn response_headers<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> BTreeMap<String, String> {
    collect(pairs, |name| !STACK_RESPONSE_HEADERS.contains(&name))
}

/// Headers of a request to a model server, without those of the HTTP stack.
pub fn upstream_headers<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> BTreeMap<String, String> {
    const STACK: [&str; 8] = [
        "accept-encoding",
        "connection",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "x-seqroute-cluster",
    ];
    collect(pairs, |name| {
        let prefixes = [":", "x-envoy-", "x-forwarded-", "x-mock-", "x-request-id"];
        !STACK.contains(&name) && !prefixes.iter().any(|prefix| name.starts_with(prefix))
    })
}

fn collect<'a>(
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    keep: impl Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pairs {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if keep(&name) {
            let value = String::from_utf8_lossy(value);
            let merged = headers.get(&name).map_or(value.to_string(), |former| format!("{former},{value}"));
            headers.insert(name, merged);
        }
    }
    headers
}

/// A decision record without its time.
pub fn record(mut record: Value) -> Value {
    if let Some(fields) = record.as_object_mut() {
        fields.remove("time_ms");
    }
    record
}

/// The counters that rose between two readings.
pub fn counters(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let risen = |name: &'static str| {
        let reading = |readings: &BTreeMap<String, u64>| readings.get(name).copied().unwrap_or(0);
        let rise = reading(after).saturating_sub(reading(before));
        (rise > 0).then(|| (name.to_owned(), rise))
    };
    Counter::ALL.iter().filter_map(|counter| risen(counter.name())).collect()
}

/// Where the two worlds differ, line by line; nothing when they agree.
#[must_use]
pub fn differences(harness: &Seen, envoy: &Seen, scenario: &Scenario) -> Vec<String> {
    let as_value = |seen: &Seen| {
        let mut value = serde_json::to_value(seen).unwrap_or_default();
        for pointer in &scenario.varies {
            forget(&mut value, pointer);
        }
        value
    };
    let mut lines = Vec::new();
    compare("", &as_value(harness), &as_value(envoy), &mut lines);
    lines
}

/// Removes the value at `pointer`, such as `/turns/*/record/charged_nano_usd`.
fn forget(value: &mut Value, pointer: &str) {
    let Some((first, rest)) = pointer.trim_start_matches('/').split_once('/') else {
        if let Some(fields) = value.as_object_mut() {
            fields.remove(pointer.trim_start_matches('/'));
        }
        return;
    };
    match value {
        Value::Array(items) if first == "*" => items.iter_mut().for_each(|item| forget(item, rest)),
        Value::Object(fields) => {
            if let Some(inner) = fields.get_mut(first) {
                forget(inner, rest);
            }
        }
        _ => {}
    }
}

fn compare(path: &str, harness: &Value, envoy: &Value, lines: &mut Vec<String>) {
    match (harness, envoy) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            for name in names {
                let of = |fields: &serde_json::Map<String, Value>| {
                    fields.get(name).cloned().unwrap_or(Value::Null)
                };
                compare(&format!("{path}/{name}"), &of(ours), &of(theirs), lines);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(&format!("{path}/{index}"), ours, theirs, lines);
            }
        }
        (ours, theirs) if ours == theirs => {}
        (ours, theirs) => lines.push(format!("{path}: {ours} in the harness, {theirs} in Envoy")),
    }
}

/// What of a turn is not as expected, line by line.
#[must_use]
pub fn check(expect: &Expect, seen: &TurnSeen) -> Vec<String> {
    let mut wrong = Wrong(Vec::new());
    match expect.row.as_deref().map(outcome_table::row) {
        Some(Ok(row)) => wrong.0.extend(row.check(seen)),
        Some(Err(error)) => wrong.0.push(error.to_string()),
        None => {}
    }
    if let Some(status) = expect.status {
        wrong.unless(status == seen.status, "status", &status, &seen.status);
    }
    if let Some(complete) = expect.complete {
        wrong.unless(complete == seen.complete, "complete", &complete, &seen.complete);
    }
    let upstream = seen.upstream.clone().unwrap_or_default();
    if let Some(server) = &expect.served_by {
        let found = seen.upstream.as_ref().map_or("none", |upstream| upstream.server.as_str());
        wrong.unless(server == found, "served_by", server, &found);
    }
    if let Some(attempts) = expect.attempts {
        wrong.unless(attempts == upstream.attempts, "attempts", &attempts, &upstream.attempts);
    }
    if let Some(path) = &expect.upstream_path {
        wrong.unless(*path == upstream.path, "upstream_path", path, &upstream.path);
    }
    if let Some(body) = &expect.client_body {
        wrong.unless(*body == seen.body, "client_body", body, &seen.body);
    }
    if let Some(model) = &expect.upstream_model {
        let body: Value = serde_json::from_str(&upstream.body).unwrap_or_default();
        wrong.unless(body["model"] == model.as_str(), "upstream_model", model, &body["model"]);
    }
    if let Some(body) = &expect.upstream_body {
        wrong.unless(*body == upstream.body, "upstream_body", body, &upstream.body);
    }
    for (name, value) in &expect.headers {
        let found = seen.headers.get(name);
        wrong.unless(found == Some(value), &format!("header {name}"), value, &found);
    }
    for name in &expect.no_headers {
        wrong.unless(!seen.headers.contains_key(name), &format!("header {name}"), &"none", &"one");
    }
    for (name, value) in &expect.upstream_headers {
        let found = upstream.headers.get(name);
        wrong.unless(found == Some(value), &format!("upstream header {name}"), value, &found);
    }
    for name in &expect.no_upstream_headers {
        let found = upstream.headers.get(name);
        wrong.unless(found.is_none(), &format!("upstream header {name}"), &"none", &found);
    }
    if !expect.body.is_empty() {
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        for (pointer, value) in &expect.body {
            let found = body.pointer(pointer);
            wrong.unless(found == Some(value), &format!("body {pointer}"), value, &found);
        }
    }
    check_record(expect, seen.record.as_ref(), &mut wrong);
    wrong.0
}

fn check_record(expect: &Expect, record: Option<&Value>, wrong: &mut Wrong) {
    if let Some(wanted) = expect.record {
        wrong.unless(wanted == record.is_some(), "record", &wanted, &record.is_some());
    }
    let found = |field: &str| record.and_then(|record| record.pointer(&format!("/{field}")));
    let texts = [("outcome", &expect.outcome), ("reason", &expect.reason), ("chosen", &expect.chosen)];
    for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text.as_ref()?))) {
        wrong.unless(found(field).is_some_and(|found| found == text.as_str()), field, text, &found(field));
    }
    let numbers = [
        ("charged_nano_usd", expect.charged),
        ("reserved_nano_usd", expect.reserved),
        ("spent_nano_usd", expect.spent),
        ("outstanding_nano_usd", expect.outstanding),
        ("turn", expect.turn.map(Number::Exactly)),
    ];
    for (field, number) in numbers.into_iter().filter_map(|(field, number)| Some((field, number?))) {
        let accepted = found(field).and_then(Value::as_u64).is_some_and(|found| number.accepts(found));
        wrong.unless(accepted, field, &number, &found(field));
    }
    for (pointer, value) in &expect.fields {
        let found = record.and_then(|record| record.pointer(pointer));
        wrong.unless(found == Some(value), &format!("record {pointer}"), value, &found);
    }
}

/// Which counters did not rise as the scenario and the rows of its turns expect. As all turns have ended, no reservation
/// may be left.
#[must_use]
pub fn check_counters(scenario: &Scenario, seen: &BTreeMap<String, u64>) -> Vec<String> {
    let mut wrong = Wrong(Vec::new());
    let rise = |name: &str| seen.get(name).copied().unwrap_or(0);
    for (name, number) in &scenario.counters {
        let known = Counter::ALL.iter().any(|counter| counter.name() == name);
        wrong.unless(known, &format!("counter {name}"), &"a name of `Counter`", &"no such counter");
        wrong.unless(number.accepts(rise(name)), &format!("counter {name}"), number, &rise(name));
    }
    for level in ["", "tenant_"] {
        let outstanding = outstanding_nano_usd(level, rise);
        wrong.unless(outstanding == 0, &format!("{level}outstanding_nano_usd"), &0, &outstanding);
    }
    for row in scenario.expectations().filter_map(|expect| outcome_table::row(expect.row.as_ref()?).ok()) {
        wrong.0.extend(row.check_counters(seen));
    }
    wrong.0
}

struct Wrong(Vec<String>);

impl Wrong {
    fn unless(
        &mut self,
        right: bool,
        what: &str,
        expected: &dyn std::fmt::Debug,
        found: &dyn std::fmt::Debug,
    ) {
        if !right {
            self.0.push(format!("{what}: found {found:?}, expected {expected:?}"));
        }
    }
}
