//! Tests of the ingest: records as the core writes them become sessions, and everything else is counted.

use super::*;
use seqroute_sessions::simulator::tiers;
use serde_json::{Value, json};

fn record(session: &str, turn: u32, time_ms: u64, change: impl FnOnce(&mut Value)) -> String {
    let mut value = json!({
        "v": RECORD_VERSION, "time_ms": time_ms, "session": session, "turn": turn, "policy": "p@1",
        "requested_model": null, "models": ["small", "medium", "large"], "chosen": "small", "reason": "policy",
        "propensity": 1.0, "features": [], "mask": [], "q_quality": [], "q_cost": [], "lambda": 0.0,
        "prompt_tokens": 100, "max_output_tokens": null, "output_cap_tokens": null, "budget_nano_usd": 10,
        "spent_nano_usd": 0, "outstanding_nano_usd": 0, "reserved_nano_usd": 0, "charged_nano_usd": 0,
        "outcome": "settled", "usage": {"input_tokens": 100 + 130 * u64::from(turn), "output_tokens": 30},
        "status": 200,
    });
    change(&mut value);
    value.to_string()
}

fn feedback(of: &[(&str, u32, f64)]) -> FeedbackTable {
    let line = |(session, turn, quality): &(&str, u32, f64)| {
        json!({"session": session, "turn": turn, "quality": quality}).to_string()
    };
    let mut table = FeedbackTable::default();
    of.iter().for_each(|judgement| table.line(&line(judgement)).unwrap());
    table
}

fn ingest(lines: &[String], feedback: &FeedbackTable) -> (Vec<Session>, Summary) {
    let models = tiers();
    let mut ingest = Ingest::new(&models);
    lines.iter().for_each(|line| ingest.line(line).unwrap());
    ingest.finish(feedback)
}

#[test]
fn turns_become_messages_without_their_history() {
    let lines = [
        record("a", 1, 20, |v| v["chosen"] = json!("large")),
        record("a", 0, 10, |v| v["propensity"] = json!(0.25)),
    ];
    let (sessions, summary) = ingest(&lines, &feedback(&[("a", 0, 0.5), ("a", 1, 1.0)]));
    let turns = &sessions[0].turns;
    assert_eq!(
        (turns[0].input_tokens, turns[0].propensity, turns[0].options[0].quality),
        (100, Some(0.25), 0.5)
    );
    assert_eq!((turns[1].input_tokens, turns[1].options[0].model.as_str()), (100, "large"));
    assert_eq!((summary.sessions, summary.turns, summary.records), (1, 2, 2));
    assert_eq!(seqroute_sessions::session::check(&sessions[0], &tiers()), Ok(()));
}

#[test]
fn what_is_left_out_is_counted_by_its_reason() {
    let lines = [
        record("whole", 0, 1, |_| {}),
        record("whole", 1, 2, |v| v["outcome"] = json!("refunded")),
        record("whole", 1, 3, |v| v["usage"]["input_tokens"] = json!(20)),
        record("whole", 2, 4, |v| v["outcome"] = json!("refused")),
        record("late start", 3, 1, |_| {}),
        record("two at once", 0, 1, |_| {}),
        record("two at once", 2, 2, |_| {}),
        record("unjudged", 0, 1, |v| v["outcome"] = json!("estimated")),
        record("x", 0, 1, |v| v["session"] = json!(null)),
    ];
    let judged = [
        ("whole", 0, 1.0),
        ("whole", 1, 1.0),
        ("late start", 3, 1.0),
        ("two at once", 0, 1.0),
        ("two at once", 2, 1.0),
    ];
    let (sessions, summary) = ingest(&lines, &feedback(&judged));
    assert_eq!(sessions.iter().map(|s| s.session.as_str()).collect::<Vec<_>>(), ["whole"]);
    let expected = Summary {
        records: 9,
        refused: 1,
        refunded: 1,
        without_session: 1,
        estimated: 1,
        shortened_histories: 1,
        sessions: 1,
        broken_sessions: 2,
        unjudged_sessions: 1,
        turns: 2,
    };
    assert_eq!(summary, expected);
}

#[test]
fn an_id_that_starts_again_is_another_session() {
    let lines = [record("a", 0, 1, |_| {}), record("a", 1, 2, |_| {}), record("a", 0, 9, |_| {})];
    let (sessions, summary) = ingest(&lines, &feedback(&[("a", 0, 1.0), ("a", 1, 1.0)]));
    assert_eq!((sessions.len(), sessions[0].turns.len(), summary.unjudged_sessions), (1, 2, 1));
}

#[test]
fn a_bad_record_is_named_with_its_field() {
    let models = tiers();
    let error = |change: fn(&mut Value)| Ingest::new(&models).line(&record("a", 0, 1, change)).unwrap_err().0;
    assert!(error(|v| v["v"] = json!(99)).contains("field `v`: found 99"));
    assert!(
        error(|v| v["chosen"] = json!("huge")).contains("found `huge`, expected one of small, medium, large")
    );
    assert!(error(|v| v["propensity"] = json!(0.0)).contains("field `propensity`: found 0"));
    assert!(error(|v| v["usage"] = json!(null)).contains("field `usage`"));
    assert!(
        error(|v| {
            v.as_object_mut().unwrap().remove("turn");
        })
        .contains("missing field `turn`")
    );
}

#[test]
fn a_bad_judgement_is_named_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("feedback.jsonl");
    let error = |text: &str| {
        std::fs::write(&path, text).unwrap();
        FeedbackTable::read(&path).unwrap_err().to_string()
    };
    let good = "{\"session\":\"a\",\"turn\":0,\"quality\":1}\n";
    let bad = error(&format!("{good}{{\"session\":\"a\",\"turn\":1,\"quality\":7}}"));
    assert!(bad.contains("feedback.jsonl:2: field `quality`: found 7"), "{bad}");
    assert!(error(&format!("{good}{good}")).contains("again"));
    assert!(error("{\"session\":\"a\",\"turn\":0,\"quality\":1,\"x\":1}").contains("unknown field"));
}
