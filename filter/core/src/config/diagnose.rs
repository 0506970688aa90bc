//! Finds every fault of a configuration that could not be deserialised.
//!
//! Serde stops at the first fault and names no path. Here amounts are looked at one by one, and each top-level field is
//! deserialised alone, within the smallest valid configuration.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::faults::Faults;
use crate::money::NanoUsd;

/// Replaces an amount that cannot be read: the smallest one, so that no other field contradicts it.
const SMALLEST_USD: &str = "0.000000001";
const REQUIRED: [&str; 4] = ["version", "salt", "budget", "models"];

/// Adds the faults of a JSON text that serde refused. Returns the configuration with every unreadable amount replaced,
/// for further checks, if amounts are all that is wrong.
pub(super) fn diagnose<Config: DeserializeOwned>(json: &[u8], faults: &mut Faults) -> Option<Config> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    let fields = value.as_object_mut()?;
    for (name, field) in &mut *fields {
        replace_amounts(field, name, faults);
    }
    for name in REQUIRED {
        faults.require_present(fields.contains_key(name), name, "a value: the field is required");
    }
    for (name, field) in &*fields {
        let mut alone = smallest();
        alone.insert(name.clone(), field.clone());
        if let Err(error) = serde_json::from_value::<Config>(Value::Object(alone)) {
            let error = error.to_string();
            let (found, expected) =
                error.split_once(", expected ").unwrap_or((&error, "its documented form"));
            faults.add(name, found, expected.to_owned());
        }
    }
    serde_json::from_value(value).ok()
}

/// Replaces every amount below `path` that cannot be read. The names of amounts end in `_usd`.
fn replace_amounts(value: &mut Value, path: &str, faults: &mut Faults) {
    let Value::Object(members) = value else { return };
    for (name, member) in members {
        let path = format!("{path}.{name}");
        match member {
            Value::Object(amounts) if name == "budgets_usd" => {
                amounts
                    .iter_mut()
                    .for_each(|(name, amount)| replace(amount, &format!("{path}.{name}"), faults));
            }
            member if name.ends_with("_usd") => replace(member, &path, faults),
            member => replace_amounts(member, &path, faults),
        }
    }
}

fn replace(amount: &mut Value, path: &str, faults: &mut Faults) {
    let found = match &*amount {
        Value::Null => return,
        Value::String(text) if NanoUsd::parse_usd(text).is_ok() => return,
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`, which is not a string"),
    };
    faults.add(path, found, "a plain decimal number of USD in a string, with at most nine decimals");
    *amount = SMALLEST_USD.into();
}

/// A configuration of the required fields alone.
fn smallest() -> Map<String, Value> {
    let fields = [
        ("version", json!(1)),
        ("salt", json!("")),
        ("budget", json!({"default_usd": SMALLEST_USD})),
        ("models", json!([])),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
