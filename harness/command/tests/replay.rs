//! `replay`: cost and quality through the filter equal those of the trainer's replay.

mod common;

use std::path::Path;

use common::{error, json, run, stdout};
use seqroute_core::engine::Engine;
use seqroute_core::money::NanoUsd;
use seqroute_core::reply::record::DecisionRecord;
use seqroute_sessions::environment;
use seqroute_sessions::session::Session;
use seqroute_sessions::simulator::Simulator;
use serde_json::{Value, json};
use tempfile::TempDir;

const SHIPPED: &str = include_str!("../../../envoy/plugin.json");
/// Messages that are long enough for records to have their text block.
const THEOREM: &str = "Prove the theorem of Pythagoras for a triangle whose sides are three, four and five units \
    long, and say which step fails where the angle is not a right one.";
const OTHER: &str = "And now prove the theorem of Thales in the same way, with every step on a line of its own, for \
    a circle of radius one around the origin of the plane.";
const POLICY: &[u8] = include_bytes!("../../../envoy/policy/default.nnef.tar");

fn sessions(directory: &TempDir) -> (String, Vec<Session>) {
    let path = directory.path().join("sessions.jsonl.zst");
    let sessions = Simulator::new(7).sessions(60);
    seqroute_sessions::session::write(&path, &sessions).unwrap();
    (path.to_str().unwrap().to_owned(), sessions)
}

fn write(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn settings(strategy: Value) -> Value {
    let mut settings: Value = serde_json::from_str(SHIPPED).unwrap();
    settings["strategy"] = strategy;
    settings
}

/// The same sessions in the trainer's environment.
fn expected(engine: &Engine, sessions: &[Session], budget: NanoUsd) -> Vec<environment::EpisodeResult> {
    let run = |session| {
        environment::run(engine, session, budget, 0.0, |_, decision| decision.chosen).expect("every outcome")
    };
    sessions.iter().map(run).collect()
}

fn compare(report: &Value, expected: &[environment::EpisodeResult]) {
    let sum = |of: fn(&environment::EpisodeResult) -> u64| expected.iter().map(of).sum::<u64>();
    assert_eq!(report["sessions"], expected.len());
    assert_eq!(report["served"], sum(|result| result.served as u64));
    assert_eq!(report["cut"], sum(|result| result.cut as u64));
    assert_eq!(report["bankrupt"], sum(|result| u64::from(result.bankrupt)));
    assert_eq!(report["cost_nano_usd"], sum(|result| result.cost.0));
    let quality: f64 = expected.iter().map(|result| result.quality).sum();
    assert!((report["quality"].as_f64().unwrap() - quality).abs() < 1e-9);
    for (model, served) in report["served_by"].as_array().unwrap().iter().enumerate() {
        assert_eq!(served[1], expected.iter().map(|result| u64::from(result.served_by[model])).sum::<u64>());
    }
}

#[test]
fn a_replay_costs_and_serves_what_the_trainer_computes() {
    let directory = tempfile::tempdir().unwrap();
    let (data, sessions) = sessions(&directory);
    let settings = settings(json!("best_affordable"));
    let config = write(&directory, "plugin.json", &settings.to_string());
    let reports =
        json(&["replay", "--data", &data, "--config", &config, "--budget-usd", "0.002,0.02", "--json"]);
    for (report, budget) in reports.as_array().unwrap().iter().zip(["0.002", "0.02"]) {
        let budget = NanoUsd::parse_usd(budget).unwrap();
        let engine = Engine::configure(settings.to_string().as_bytes()).unwrap();
        let expected = expected(&engine, &sessions, budget);
        compare(report, &expected);
        assert!(report["highest_cost_nano_usd"].as_u64().unwrap() <= budget.0);
    }
    assert!(reports[0]["bankrupt"].as_u64() > reports[1]["bankrupt"].as_u64(), "money matters: {reports}");
}

#[test]
fn the_shipped_policy_decides_in_the_module_as_in_the_trainer() {
    let directory = tempfile::tempdir().unwrap();
    let (data, sessions) = sessions(&directory);
    let reports = json(&["replay", "--data", &data, "--budget-usd", "0.02", "--json"]);
    let text = seqroute_sessions::deploy::plugin_config(SHIPPED, Some(POLICY)).unwrap();
    let engine = Engine::configure(text.as_bytes()).unwrap();
    compare(&reports[0], &expected(&engine, &sessions, NanoUsd::parse_usd("0.02").unwrap()));
}

#[test]
fn decision_records_are_written_one_per_request() {
    let directory = tempfile::tempdir().unwrap();
    let (data, _) = sessions(&directory);
    let out = directory.path().join("records.jsonl");
    let arguments =
        ["replay", "--data", &data, "--budget-usd", "0.004", "--json", "--out", out.to_str().unwrap()];
    let report = json(&arguments);
    let text = std::fs::read_to_string(&out).unwrap();
    let records: Vec<DecisionRecord> =
        text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    let requests = report[0]["served"].as_u64().unwrap() + report[0]["bankrupt"].as_u64().unwrap();
    assert_eq!(records.len() as u64, requests);
    let charged: u64 = records.iter().map(|record| record.charged_nano_usd.0).sum();
    assert_eq!(report[0]["cost_nano_usd"], charged);
}

#[test]
fn the_text_of_a_turn_reaches_the_filter() {
    let directory = tempfile::tempdir().unwrap();
    let session = json!({"session": "s", "turns": [
        {"input_tokens": 200, "text": THEOREM, "options": outcomes()},
        {"input_tokens": 200, "prompt_id": "p", "options": outcomes()},
    ]});
    let data = write(&directory, "sessions.jsonl", &session.to_string());
    let prompts = write(&directory, "prompts.jsonl", &json!({"prompt_id": "p", "prompt": OTHER}).to_string());
    let out = directory.path().join("records.jsonl");
    let (out_path, budget) = (out.to_str().unwrap(), "0.5");
    stdout(&["replay", "--data", &data, "--prompts", &prompts, "--budget-usd", budget, "--out", out_path]);
    let text = std::fs::read_to_string(&out).unwrap();
    let seen: Vec<Option<String>> =
        text.lines().map(|line| serde_json::from_str::<DecisionRecord>(line).unwrap().text).collect();
    let counted = |text: &str| seqroute_core::body::text::TextFeatures::of(text).to_base64();
    assert_eq!(seen, [counted(THEOREM), counted(OTHER)]);
}

fn outcomes() -> Value {
    ["small", "medium", "large"]
        .map(|model| json!({"model": model, "quality": 0.5, "output_tokens": 50}))
        .to_vec()
        .into()
}

#[test]
fn a_table_and_a_line_per_session_are_printed() {
    let directory = tempfile::tempdir().unwrap();
    let (data, sessions) = sessions(&directory);
    let text = stdout(&["replay", "--data", &data, "--first", "3", "--per-session"]);
    assert!(sessions[..3].iter().all(|session| text.contains(&session.session)), "{text}");
    assert!(!text.contains(&sessions[3].session), "{text}");
    assert!(["quality/turn", "bankrupt", "medium"].iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn errors_are_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let (data, _) = sessions(&directory);
    let bad = write(&directory, "bad.jsonl", "{\"session\": \"s\", \"turns\": []}\n");
    assert!(error(&["replay", "--data", &bad]).contains("bad.jsonl:1: "));
    assert!(error(&["replay", "--data", "/none.jsonl"]).contains("/none.jsonl: "));
    assert!(
        error(&["replay", "--data", &data, "--budget-usd", "much"]).contains("--budget-usd: found `much`")
    );
    assert!(
        error(&["replay", "--data", &data, "--module", "/none.wasm"]).contains("/none.wasm: no such module")
    );
    let single = json!({"session": "s", "turns": [
        {"input_tokens": 200, "options": [{"model": "small", "quality": 0.5, "output_tokens": 50}]},
    ]});
    let single = write(&directory, "single.jsonl", &single.to_string());
    let message = error(&["replay", "--data", &single, "--budget-usd", "1"]);
    assert!(message.contains("session `s`, turn 1: no outcome of `"), "{message}");
    let out = directory.path().join("records.jsonl");
    let failed = run(&["replay", "--data", &single, "--budget-usd", "1", "--out", out.to_str().unwrap()]);
    assert!(!failed.status.success() && !Path::new(&out).exists(), "no half file");
}
