//! Tests of the session reader: every refusal names its file and line.

use super::*;
use crate::simulator;
use proptest::prelude::*;
use serde_json::{Value, json};

fn good() -> Value {
    json!({"session": "a", "turns": [{"input_tokens": 5, "options": [
        {"model": "small", "quality": 0.5, "output_tokens": 7},
        {"model": "large", "quality": 1.0, "output_tokens": 9},
    ]}]})
}

fn read_text(text: &str) -> Result<Dataset, DataError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    std::fs::write(&path, text).unwrap();
    read(&path, &simulator::tiers())
}

fn error_of(change: impl FnOnce(&mut Value)) -> String {
    let mut second = good();
    second["session"] = json!("b");
    change(&mut second);
    read_text(&format!("{}\n{second}\n", good())).unwrap_err().to_string()
}

#[test]
fn each_bad_line_is_named_with_its_field() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 13] = [
        (
            |v| v["turns"][0]["propensity"] = json!(0),
            "field `turns[0].propensity`: found 0, expected a number above 0",
        ),
        (|v| v["turns"][0]["options"][0]["quality"] = json!("NaN"), "invalid type"),
        (|v| v["session"] = json!("a"), "field `session`: found `a` again"),
        (|v| v["session"] = json!(""), "field `session`: found an empty text"),
        (|v| v["turns"] = json!([]), "field `turns`: found none"),
        (|v| v["turns"][0]["options"] = json!([]), "field `turns[0].options`: found none"),
        (
            |v| v["turns"][0]["options"][1]["quality"] = json!(80),
            "`turns[0].options[1].quality`: found 80, expected a number from 0 to 1",
        ),
        (|v| v["turns"][0]["options"][1]["quality"] = json!(-0.1), "found -0.1"),
        (
            |v| v["turns"][0]["options"][1]["model"] = json!("huge"),
            "found `huge`, expected one of small, medium, large",
        ),
        (|v| v["turns"][0]["options"][1]["model"] = json!("small"), "found `small` again"),
        (|v| v["turns"][0]["inputtokens"] = json!(1), "unknown field `inputtokens`"),
        (|v| v["turns"][0]["input_tokens"] = json!(-1), "invalid value"),
        (|v| v["turns"][0]["options"][0]["output_tokens"] = json!(null), "invalid type"),
    ];
    for (change, expected) in cases {
        let error = error_of(change);
        assert!(error.contains("log.jsonl:2: ") && error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn an_empty_file_a_blank_line_and_a_cut_line_are_errors() {
    assert!(read_text("").unwrap_err().to_string().contains("log.jsonl: found no session"));
    assert!(read_text(&format!("{}\n\n", good())).unwrap_err().to_string().contains("log.jsonl:2: "));
    let text = good().to_string();
    assert!(read_text(&text[..text.len() - 3]).unwrap_err().to_string().contains("log.jsonl:1: column"));
}

#[test]
fn a_missing_file_is_named() {
    let error = read(Path::new("no-such-file.jsonl"), &simulator::tiers()).unwrap_err();
    assert!(error.to_string().starts_with("no-such-file.jsonl: "), "{error}");
}

#[test]
fn a_cut_gzip_file_is_an_error_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl.gz");
    let sessions = simulator::Simulator::new(1).sessions(50);
    let bytes = to_bytes(&sessions, true).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = read(&path, &simulator::tiers()).unwrap_err().to_string();
    assert!(error.contains("log.jsonl.gz:"), "{error}");
}

#[test]
fn the_hash_is_that_of_the_bytes_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["log.jsonl", "log.jsonl.gz", "log.jsonl.zst"] {
        let path = directory.path().join(name);
        write(&path, simulator::Simulator::new(1).sessions(300)).unwrap();
        let expected = hex(&Sha256::digest(std::fs::read(&path).unwrap()));
        assert_eq!(read(&path, &simulator::tiers()).unwrap().sha256, expected);
    }
}

#[test]
fn a_gap_in_the_outcomes_is_found() {
    let mut sessions = simulator::Simulator::new(1).sessions(3);
    assert_eq!(first_gap(&sessions, &simulator::tiers()), None);
    sessions[2].turns[0].options.remove(1);
    let (session, turn, model) = first_gap(&sessions, &simulator::tiers()).unwrap();
    assert_eq!((session, turn, model.as_str()), (sessions[2].session.clone(), 0, "medium"));
}

#[test]
fn compressed_bytes_depend_on_the_sessions_alone() {
    let directory = tempfile::tempdir().unwrap();
    let sessions = simulator::Simulator::new(1).sessions(20);
    for name in ["s.jsonl.gz", "s.jsonl.zst"] {
        let written = |_| {
            let path = directory.path().join(name);
            write(&path, &sessions).unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(written(1), written(2));
    }
}

#[test]
fn a_cut_zstd_file_is_an_error_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl.zst");
    write(&path, simulator::Simulator::new(1).sessions(500)).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = read(&path, &simulator::tiers()).unwrap_err().to_string();
    assert!(error.contains("log.jsonl.zst:"), "{error}");
}

#[test]
fn sessions_of_one_turn_each_are_warned_of_by_name() {
    let mut sessions = simulator::Simulator::new(1).sessions(5);
    assert_eq!(warning(&sessions), None);
    sessions.iter_mut().for_each(|session| session.turns.truncate(1));
    assert!(warning(&sessions).unwrap().to_string().starts_with("all-sessions-have-one-turn: "));
    assert_eq!(warning(&[]), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn writing_and_reading_is_the_identity(seed in any::<u64>(), count in 1usize..20, end in 0usize..3) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(["s.jsonl", "s.jsonl.gz", "s.jsonl.zst"][end]);
        let sessions = simulator::Simulator::new(seed).sessions(count);
        write(&path, &sessions).unwrap();
        prop_assert_eq!(read(&path, &simulator::tiers()).unwrap().sessions, sessions);
    }
}
