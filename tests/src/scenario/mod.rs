//! Tests as data: each scenario is a file, played in both worlds, the harness and a real Envoy.
//!
//! A scenario describes what clients send, what model servers do, and the expected result ([`mod@format`]). Each world
//! turns that into a [`seen::Seen`]; the expectations of the file are checked in both, and then the two are compared in
//! every value, expected or not. A scenario that passes thus shows three things: the filter does it, Envoy agrees, and
//! the harness behaves like Envoy.
//!
//! To add one, add a file to a folder of `tests/scenarios/`. To test one more row of the outcome table, name it in
//! `row` ([`crate::outcome_table`]).

pub mod client;
pub mod expectation;
pub mod format;
pub mod in_envoy;
pub mod in_harness;
pub mod request;
pub mod script;
pub mod seen;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::outcome_table;
use crate::support::{policies, settings};
use format::Scenario;

/// Reasons why a scenario may run in one world only.
pub const REASONS: [&str; 2] = [
    "a crash at a chosen moment cannot be asked of the shipped module in Envoy",
    "the workers of Envoy cannot be made to conflict on every attempt",
];

/// Values in which worlds and deliveries may differ where a scenario lists them in `varies`.
pub const VARYING: [&str; 9] = [
    // A session that is told by how its requests begin is its caller's own, and callers have other addresses.
    "/turns/*/record/session",
    "/turns/*/headers/x-seqroute-session",
    // How much of a long body was read before the decision depends on its pieces, and with it what is reserved.
    "/turns/*/record/text",
    "/turns/*/record/reserved_nano_usd",
    "/turns/*/headers/x-seqroute-budget-remaining",
    "/turns/*/headers/x-ratelimit-remaining-usd",
    "/counters/granted_nano_usd",
    "/counters/refunded_nano_usd",
    // How much of a window is over depends on the clock.
    "/turns/*/headers/retry-after",
];

/// The folder of the scenarios.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Reads every scenario, in the order of their names. The folders below `scenarios/` are topics and no part of a name.
///
/// # Errors
/// For a file that is not a scenario, with its path.
pub fn all() -> Result<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    for topic in entries(&directory())? {
        for file in entries(&topic)? {
            scenarios.push(read(&file).with_context(|| file.display().to_string())?);
        }
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scenarios)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn read(file: &Path) -> Result<Scenario> {
    let text = std::fs::read_to_string(file)?;
    let mut scenario: Scenario = serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{error}"))?;
    scenario.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    check(&scenario)?;
    Ok(scenario)
}

fn check(scenario: &Scenario) -> Result<()> {
    ensure!(
        scenario.only.is_some() == scenario.why.is_some(),
        "only, why: found one of them, expected both or none"
    );
    if let Some(why) = &scenario.why {
        ensure!(REASONS.contains(&why.as_str()), "why: found `{why}`, expected one of {REASONS:?}");
    }
    for pointer in &scenario.varies {
        ensure!(
            VARYING.contains(&pointer.as_str()),
            "varies: found `{pointer}`, expected one of {VARYING:?}"
        );
    }
    for expect in scenario.expectations() {
        if let Some(name) = &expect.row {
            outcome_table::row(name)?.is_stated_by(expect)?;
        }
    }
    Ok(())
}

/// The plugin configuration of a scenario.
///
/// # Errors
/// When its policy cannot be written.
pub fn settings_of(scenario: &Scenario) -> Result<Value> {
    let mut settings = match scenario.policy {
        Some(seed) => settings::with_policy(&policies::arbitrary(seed)?),
        None => settings::plugin(serde_json::json!("best_affordable")),
    };
    merge(&mut settings, &scenario.settings);
    Ok(settings)
}

/// Applies a JSON merge patch (RFC 7396). A list is replaced as a whole, except by an object with numbers for keys,
/// which patches the entries with these indices.
pub fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (_, Value::Null) => {}
        (Value::Array(items), Value::Object(changes))
            if changes.keys().all(|key| key.parse::<usize>().is_ok_and(|index| index < items.len())) =>
        {
            for (key, change) in changes {
                if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                    merge(item, change);
                }
            }
        }
        (target, Value::Object(changes)) => {
            if !target.is_object() {
                *target = Value::Object(serde_json::Map::new());
            }
            let Some(fields) = target.as_object_mut() else { return };
            for (key, change) in changes {
                if change.is_null() {
                    fields.remove(key);
                } else {
                    merge(fields.entry(key.clone()).or_insert(Value::Null), change);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}
