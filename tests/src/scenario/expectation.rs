//! Whether what was seen of a turn, and of the counters, is what a scenario expects and its rows of the outcome table
//! promise.

use std::collections::BTreeMap;

use seqroute_core::counters::Counter;
use serde_json::Value;

use super::format::{Expect, Number, Scenario};
use super::seen::TurnSeen;
use crate::outcome_table;
use crate::support::money::outstanding_nano_usd;

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
