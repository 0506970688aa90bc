//! The result of a scenario: what client, model server and operator saw of each turn, and how far the counters rose.
//!
//! Both worlds fill the same structure with all that must not depend on the world. Only headers of the HTTP stack are
//! excluded, by name, so a new header of the filter is compared automatically.

use std::collections::BTreeMap;

use seqroute_core::counters::Counter;
use serde::Serialize;
use serde_json::Value;

use super::format::Scenario;

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
