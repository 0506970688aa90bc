//! `bench` and `soak`: their measurements, and their end after an interrupt.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{command, error, json, stdout};
use serde_json::Value;

#[test]
fn bench_measures_the_filter_and_a_plugin_that_does_nothing() {
    let rows = json(&["bench", "--turns", "200", "--rounds", "2", "--json"]);
    let rows = rows.as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["plugin"].as_str().unwrap()).collect();
    let expected = [
        "nothing",
        "host calls alone",
        "filter: headers, fixed model",
        "filter: peek, fixed model",
        "filter: headers, policy",
        "filter: peek, policy",
    ];
    assert_eq!(names, expected);
    let calls = |row: &Value| row["host_calls_per_turn"].as_f64().unwrap();
    assert_eq!(calls(&rows[0]), 0.0);
    assert!(rows[2..].iter().all(|row| calls(row) > 10.0 && row["refused"] == 0), "{rows:?}");
    assert!(rows.iter().all(|row| row["turn_ns"].as_f64().unwrap() > 0.0), "{rows:?}");
    let difference = (calls(&rows[1]) - calls(&rows[2])).abs();
    assert!(difference < 1.0, "the calls alone are those of a header-routed turn: {rows:?}");
}

#[test]
fn bench_accepts_given_configurations() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings: Value = serde_json::from_str(include_str!("../../../envoy/plugin.json")).unwrap();
    settings["strategy"] = "best_affordable".into();
    let config = directory.path().join("mine.json");
    std::fs::write(&config, settings.to_string()).unwrap();
    let text = stdout(&["bench", "--turns", "50", "--rounds", "1", "--config", config.to_str().unwrap()]);
    assert!(text.contains("mine.json") && text.contains("turns/s per core"), "{text}");
    std::fs::write(&config, "{}").unwrap();
    let message = error(&["bench", "--turns", "50", "--config", config.to_str().unwrap()]);
    assert!(message.contains("mine.json") && message.contains("was not configured"), "{message}");
}

#[test]
fn soak_shows_a_table_that_stays_within_its_bound() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings: Value = serde_json::from_str(include_str!("../../../envoy/plugin.json")).unwrap();
    // A table that is full after a few hundred sessions.
    settings["ledger"]["buckets"] = 16.into();
    settings["ledger"]["sessions_per_bucket"] = 8.into();
    let config = directory.path().join("plugin.json");
    std::fs::write(&config, settings.to_string()).unwrap();
    let reports = json(&["soak", "--sessions", "4000", "--config", config.to_str().unwrap(), "--json"]);
    let layers: Vec<&Value> = reports.as_array().unwrap().iter().collect();
    assert_eq!((layers[0]["layer"].as_str(), layers[1]["layer"].as_str()), (Some("core"), Some("filter")));
    for report in &layers {
        assert_eq!((&report["sessions"], &report["complete"]), (&4000.into(), &true.into()));
        assert!(report["table_bytes"].as_u64() <= report["table_bound_bytes"].as_u64(), "{report}");
        assert_eq!(report["evicted"].as_u64().unwrap(), 4000 - 16 * 8, "{report}");
        assert!(report["evicted_late"].as_u64().unwrap() == 2000, "{report}");
    }
    assert_eq!(layers[0]["table_bytes"], layers[1]["table_bytes"], "core and module keep the same table");
}

#[test]
fn an_interrupted_soak_reports_the_figures_so_far() {
    let arguments = ["soak", "--layer", "core", "--sessions", "4000000000", "--json"];
    let mut child = command().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first line is written once the interrupt handler is installed.
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let reports: Value = serde_json::from_slice(&output.stdout).expect("a whole report");
    assert_eq!(reports[0]["complete"], false);
    assert_eq!(reports[0]["created"], reports[0]["sessions"]);
}
