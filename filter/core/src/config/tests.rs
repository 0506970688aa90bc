//! Tests of the configuration's checks.

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A valid configuration of two models without a policy, for the tests of this crate.
pub(crate) fn example() -> Value {
    json!({
        "version": 1, "salt": "a secret of tests",
        "strategy": "best_affordable",
        "budget": {"default_usd": "0.01", "cap_output": false},
        "models": [
            {"name": "small", "cluster": "small-cluster", "expected_output_tokens": 100, "upper_output_tokens": 400,
             "prices": {"input_pico_usd_per_token": 100_000, "output_pico_usd_per_token": 400_000}},
            {"name": "large", "cluster": "large-cluster", "expected_output_tokens": 100, "upper_output_tokens": 400,
             "prices": {"input_pico_usd_per_token": 3_000_000, "output_pico_usd_per_token": 15_000_000}},
        ]
    })
}

/// The example with a change, accepted.
pub(crate) fn changed_example(change: impl FnOnce(&mut Value)) -> Config {
    let mut value = example();
    change(&mut value);
    Config::from_json(value.to_string().as_bytes()).unwrap()
}

fn error_of(change: impl FnOnce(&mut Value)) -> String {
    let mut value = example();
    change(&mut value);
    Config::from_json(value.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn the_example_is_accepted() {
    let config = Config::from_json(example().to_string().as_bytes()).unwrap();
    assert_eq!(config.default_budget(), NanoUsd(10_000_000));
    assert_eq!(config.mode, Mode::Peek);
}

fn long_context(above: u64, input: u64) -> Value {
    json!({
        "above_input_tokens": above, "input_pico_usd_per_token": input, "output_pico_usd_per_token": 400_000,
    })
}

#[test]
fn each_bad_value_is_named_with_its_field() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 28] = [
        (|v| v["version"] = json!(2), "`version`: found `2`"),
        (|v| v["salt"] = json!("short"), "`salt`: found `5 bytes`"),
        (|v| v["budget"]["default_usd"] = json!("-1"), "`budget.default_usd`: found `-1`"),
        (|v| v["budget"]["default_usd"] = json!("NaN"), "`budget.default_usd`: found `NaN`"),
        (|v| v["budget"]["default_usd"] = json!("0"), "`budget.default_usd`: found `0`"),
        (
            |v| v["models"][0]["prices"]["input_pico_usd_per_token"] = json!(0),
            "`models[0].prices`: found a price of 0",
        ),
        (|v| v["models"][1]["name"] = json!("small"), "`models[0].name`: found `small` twice"),
        (|v| v["models"] = json!([]), "`models`: found 0 models"),
        (|v| v["strategy"] = json!({"always": "huge"}), "`strategy.always`: found `huge`"),
        (|v| v["strategy"] = json!("policy"), "`policy_b64`: found nothing"),
        (|v| v["ledger"] = json!({"lease_ms": 5}), "`ledger.lease_ms`: found `5`"),
        (|v| v["lambda"] = json!({"value": -0.5}), "`lambda.value`: found `-0.5`"),
        (|v| v["session"] = json!({"sources": []}), "`session.sources`: found `0 sources`"),
        (|v| v["session"] = json!({"sources": [{"header": "X-S"}]}), "`session.sources[0]`: found `X-S`"),
        (|v| v["session"] = json!({"sources": [{"cookie": "a b"}]}), "`session.sources[0]`: found `a b`"),
        (|v| v["tenants"] = json!({"default_usd": "1"}), "`session.tenant_header`: found nothing"),
        (|v| v["tenants"] = json!({}), "`tenants.budgets_usd`: found nothing"),
        (
            |v| v["tenants"] = json!({"budgets_usd": {"a": "1"}, "default_per_name": true}),
            "`tenants.default_per_name`: found `true`",
        ),
        (|v| v["callers"] = json!({"new_sessions": 0}), "`callers.new_sessions`: found `0`"),
        (|v| v["ledger"] = json!({"free_early_leaves": 1001}), "`ledger.free_early_leaves`: found `1001`"),
        (|v| v["canary_share"] = json!(0.5), "`canary_share`: found `0.5`"),
        (|v| v["policy_canary_b64"] = json!("AA=="), "`policy_canary_b64`: found `a policy archive`"),
        (|v| v["switching"] = json!({"cache_margin": -1.0}), "`switching.cache_margin`: found `-1`"),
        (
            |v| v["budget"]["shortest_output_tokens"] = json!(16),
            "`budget.shortest_output_tokens`: found `16`, expected `cap_output`",
        ),
        (|v| v["debug"] = json!({"header": ""}), "`debug.header`: found ``"),
        (
            |v| v["models"][0]["prices"]["cached_input_pico_usd_per_token"] = json!(100_001),
            "`models[0].prices.cached_input_pico_usd_per_token`: found `100001`",
        ),
        (
            |v| v["models"][0]["prices"]["long_context"] = long_context(0, 100_000),
            "`models[0].prices.long_context.above_input_tokens`: found `0`",
        ),
        (
            |v| v["models"][0]["prices"]["long_context"] = long_context(200_000, 99_999),
            "`models[0].prices.long_context`: found `a price below that of other requests`",
        ),
    ];
    for (change, expected) in cases {
        let error = error_of(change);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn every_fault_is_reported_at_once() {
    let error = error_of(|v| {
        v["salt"] = json!("short");
        v["budget"]["default_usd"] = json!("0,5");
        v["tenants"] = json!({"default_usd": "1", "budgets_usd": {"a": "x", "b": 3}});
        v["models"][0]["context_tokens"] = json!(0);
        v["models"][1]["name"] = json!("");
    });
    for fault in [
        "`salt`: found `5 bytes`, expected at least 8 bytes",
        "`budget.default_usd`: found `0,5`, expected a plain decimal number",
        "`tenants.budgets_usd.a`: found `x`",
        "`tenants.budgets_usd.b`: found `3`, which is not a string",
        "`session.tenant_header`: found nothing",
        "`models[0].context_tokens`: found `0`",
        "`models[1].name`: found ``",
    ] {
        assert!(error.contains(fault), "{fault}: {error}");
    }
    assert_eq!(error.matches("field `").count(), 7, "{error}");
}

#[test]
fn an_error_spells_out_twenty_faults_and_counts_the_others() {
    let error = error_of(|v| v["guard"] = json!({"remaining_turns": vec![-1.0; 30]}));
    assert_eq!(error.matches("field `").count(), 20, "{error}");
    assert!(error.ends_with("; and 10 more"), "{error}");
}

#[test]
fn faults_of_shape_are_reported_for_each_top_level_field() {
    let mut value = example();
    value.as_object_mut().unwrap().remove("salt");
    value["models"][0]["prices"] = json!({"input_pico_usd_per_token": 5});
    value["ledger"] = json!({"buckets": "many"});
    value["budget"]["max_usd"] = json!("lots");
    let error = Config::from_json(value.to_string().as_bytes()).unwrap_err();
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["budget.max_usd", "salt", "ledger", "models"]);
    assert!(error.to_string().contains("found missing field `output_pico_usd_per_token`"), "{error}");
}

#[test]
fn a_missing_price_and_an_unknown_field_are_refused() {
    assert!(
        error_of(|v| v["models"][0]["prices"] = json!({"input_pico_usd_per_token": 5}))
            .contains("output_pico")
    );
    assert!(error_of(|v| v["bugdet"] = json!({})).contains("bugdet"));
}

#[test]
fn an_error_is_one_line_whatever_was_found() {
    for text in [r#"{"bug\ndet": 1}"#, r#"{"version": 1, "salt": "12345678", "strategy": "a\nb"}"#] {
        let error = Config::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(!error.contains('\n') && error.contains("\\n"), "{error}");
    }
}

#[test]
fn answers_are_cut_unless_that_was_switched_off() {
    let cuts = |cap_output: Value, mode: &str| {
        let config = changed_example(|value| {
            value["budget"]["cap_output"] = cap_output;
            value["mode"] = json!(mode);
        });
        (config.can_cut_answers(), config.warnings().len())
    };
    assert_eq!(cuts(Value::Null, "peek"), (true, 0));
    assert_eq!(cuts(json!(true), "body"), (true, 0));
    assert_eq!(cuts(json!(false), "peek"), (false, 0));
    assert_eq!(cuts(Value::Null, "headers"), (false, 0));
    assert_eq!(cuts(json!(true), "headers"), (false, 1));
}

#[test]
fn a_free_model_must_say_so() {
    let mut value = example();
    value["models"][0]["prices"]["input_pico_usd_per_token"] = json!(0);
    value["models"][0]["free"] = json!(true);
    assert!(Config::from_json(value.to_string().as_bytes()).is_ok());
}

/// A configuration that has every field.
fn maximal() -> Value {
    let mut value = example();
    value["session"] = json!({"tenant_header": "x-team"});
    value["budget"] =
        json!({"default_usd": "1", "max_usd": "2", "cap_output": true, "shortest_output_tokens": 16});
    value["tenants"] = json!({"default_usd": "1", "window_ms": 60_000});
    value["strategy"] = json!("policy");
    value["models"][0]["tokens_per_second"] = json!(100);
    value["policy_b64"] = json!("");
    value["policy_canary_b64"] = json!("");
    value["books_b64"] = json!("");
    value["models"][0]["prices"]["cached_input_pico_usd_per_token"] = json!(1);
    value["models"][0]["prices"]["cache_write_pico_usd_per_token"] = json!(1);
    value["models"][0]["prices"]["long_cache_write_pico_usd_per_token"] = json!(1);
    value["models"][0]["prices"]["long_context"] = json!({
        "above_input_tokens": 200_000, "input_pico_usd_per_token": 200_000,
        "cached_input_pico_usd_per_token": 1, "cache_write_pico_usd_per_token": 1,
        "long_cache_write_pico_usd_per_token": 1, "output_pico_usd_per_token": 400_000,
    });
    value["models"][0]["free"] = json!(true);
    value["models"][0]["accepts"] = json!({"images": false, "tools": false});
    value["models"][0]["max_output_tokens"] = json!(8192);
    value["models"][0]["compat_group"] = json!("family");
    value["models"][0]["rank"] = json!(1);
    value["models"].as_array_mut().unwrap().truncate(1);
    value
}

/// Every field that holds a value, by its path. Lists of values, tables by name and the strategy are values.
fn fields(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    let leaf = ["tenants.budgets_usd", "strategy"].contains(&path);
    match value {
        Value::Object(members) if !leaf => {
            let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
            members.iter().for_each(|(name, value)| fields(value, &format!("{prefix}{name}"), found));
        }
        Value::Array(items) if path == "models" => {
            items.iter().for_each(|item| fields(item, "models[]", found));
        }
        Value::Null => {}
        value => {
            found.insert(path.to_owned(), value.clone());
        }
    }
}

fn fields_of(config: &Value) -> BTreeMap<String, Value> {
    let config = Config::from_json(config.to_string().as_bytes()).unwrap();
    let mut found = BTreeMap::new();
    fields(&serde_json::to_value(&config).unwrap(), "", &mut found);
    found
}

#[test]
fn every_field_is_documented_with_its_default() {
    let readme = include_str!("../../../README.md");
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeMap<&str, &str> = rows
        .map(|row| {
            let cells: Vec<_> = row.split(" | ").collect();
            (cells[0].trim_matches(['|', ' ', '`']), cells[1])
        })
        .collect();
    let maximal = fields_of(&maximal());
    let listed = |field: &str| {
        let (_, after) = readme.split_once(&format!("Default of `{field}`:\n\n```json\n")).unwrap();
        after.split_once("```").unwrap().0
    };
    assert_eq!(documented.keys().copied().collect::<Vec<_>>(), maximal.keys().collect::<Vec<_>>());

    let mut bare = example();
    bare["session"] = json!({"tenant_header": "x-team"});
    bare["budget"] = json!({"default_usd": "0.01"});
    bare["tenants"] = json!({"budgets_usd": {"a": "1"}});
    let defaults = fields_of(&bare);
    let given = ["session.tenant_header", "strategy", "tenants.budgets_usd"];
    for (field, default) in documented.iter().filter(|(field, _)| !given.contains(field)) {
        match *default {
            "required" => assert!(defaults.contains_key(*field), "`{field}`"),
            // `accepts` is serialised only where it was given.
            json if field.starts_with("models[].accepts.") => {
                let accepts = serde_json::to_value(Accepts::default()).unwrap();
                let json: Value = serde_json::from_str(json.trim_matches('`')).unwrap();
                assert_eq!(accepts[field.trim_start_matches("models[].accepts.")], json, "`{field}`");
            }
            "absent" => assert_eq!(defaults.get(*field), None, "`{field}`"),
            "below" => {
                let json: Value = serde_json::from_str(listed(field)).unwrap();
                assert_eq!(defaults.get(*field), Some(&json), "`{field}`");
            }
            json => {
                let json: Value = serde_json::from_str(json.trim_matches('`')).unwrap();
                assert_eq!(defaults.get(*field), Some(&json), "`{field}`");
            }
        }
    }
    assert_eq!(serde_json::to_value(Strategy::default()).unwrap(), json!("policy"));
    assert_eq!(documented["tenants.budgets_usd"], "`{}`");
}

#[test]
fn a_body_field_is_not_a_source_in_the_mode_headers() {
    let error = error_of(|v| {
        v["mode"] = json!("headers");
        v["session"] = json!({"sources": [{"header": "x-session-id"}, {"body": "conversation"}]});
    });
    assert!(error.contains("`session.sources[1]`: found `conversation`"), "{error}");
}

#[test]
fn a_configuration_that_bounds_no_client_gives_a_warning() {
    let warnings = |change: fn(&mut Value)| changed_example(change).warnings().len();
    assert_eq!(warnings(|_| {}), 0);
    assert_eq!(warnings(|v| v["callers"] = json!({"enabled": false})), 1);
    let with_tenants = |v: &mut Value| {
        v["callers"] = json!({"enabled": false});
        v["session"] = json!({"tenant_header": "x-team"});
        v["tenants"] = json!({"default_usd": "1"});
    };
    assert_eq!(warnings(with_tenants), 0);
}

#[test]
fn a_short_session_lives_for_a_lease_at_least_and_no_longer_than_others() {
    let ttl_ms = |ledger: Value| {
        let config = changed_example(|v| v["ledger"] = ledger).ledger;
        [0, 1, 2].map(|turns| config.ttl_ms(turns))
    };
    assert_eq!(ttl_ms(json!({})), [3_600_000, 3_600_000, 86_400_000]);
    assert_eq!(ttl_ms(json!({"session_ttl_ms": 700_000})), [700_000; 3]);
    assert_eq!(ttl_ms(json!({"lease_ms": 7_200_000}))[0], 7_200_000);
}

#[test]
fn a_setting_without_effect_gives_a_warning() {
    let mut value = example();
    value["mode"] = json!("headers");
    value["budget"]["cap_output"] = json!(true);
    let config = Config::from_json(value.to_string().as_bytes()).unwrap();
    assert_eq!(config.warnings(), ["`budget.cap_output` has no effect in the mode `headers`"]);
}

#[test]
fn the_profiles_of_known_models_are_accepted() {
    let table: Value = serde_json::from_str(include_str!("../../../docs/model-profiles.json")).unwrap();
    let profiles = table["profiles"].as_array().unwrap();
    for entry in profiles {
        let profile = entry["profile"].as_object().unwrap().clone();
        assert!(
            !entry["sources"].as_array().unwrap().is_empty() && profile.contains_key("max_output_tokens")
        );
        for name in entry["models"].as_array().unwrap() {
            let mut value = example();
            let model = value["models"][0].as_object_mut().unwrap();
            model.extend(profile.clone());
            model.insert("name".to_owned(), name.clone());
            Config::from_json(value.to_string().as_bytes()).unwrap();
        }
    }
    for family in ["gpt-", "claude-", "gemini-", "mistral-", "deepseek-", "amazon.nova-"] {
        let begins = |name: &Value| name.as_str().unwrap().starts_with(family);
        assert!(
            profiles.iter().any(|entry| entry["models"].as_array().unwrap().iter().any(begins)),
            "{family}"
        );
    }
}
