//! Books from written logs, entered into a store as the filter does.

use super::*;
use crate::simulator::tiers;
use seqroute_core::counters::Counts;
use seqroute_core::ledger::Namespace;
use seqroute_core::ledger::sessions::SessionTable;
use seqroute_core::ledger::sessions::bucket::Owner;
use seqroute_core::ledger::store::MemoryStore;
use seqroute_core::request::conversation::Conversation;
use serde_json::{Value, json};

const HOUR_MS: u64 = 3_600_000;

fn config(change: impl FnOnce(&mut Value)) -> Config {
    let mut value = json!({
        "version": 1, "salt": "a secret of tests", "strategy": "best_affordable",
        "budget": {"default_usd": "0.000001"}, "models": tiers(),
    });
    change(&mut value);
    Config::from_json(value.to_string().as_bytes()).unwrap()
}

fn id(number: u8) -> SessionId {
    SessionId([number; 16])
}

/// One line: session, time in hours, turn, spent before, charged, outcome; `change` may add the rest.
fn line(session: u8, hour: f64, turn: u32, spent: u64, charged: u64, outcome: &str) -> Value {
    json!({
        "v": 1, "time_ms": (hour * HOUR_MS as f64) as u64, "session": id(session).to_string(), "tenant": null,
        "turn": turn, "policy": "p", "requested_model": null, "models": [], "chosen": "small",
        "reason": "strategy", "propensity": 1.0, "features": [], "mask": [], "q_quality": [], "q_cost": [],
        "lambda": 0.0, "prompt_tokens": 1, "max_output_tokens": null, "output_cap_tokens": null,
        "budget_nano_usd": 1000, "spent_nano_usd": spent, "outstanding_nano_usd": 0, "reserved_nano_usd": 300,
        "charged_nano_usd": charged, "outcome": outcome, "usage": null, "status": 200,
    })
}

fn read(config: &Config, now_hour: u64, lines: &[Value]) -> (Books, Summary) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    read_text(config, now_hour, text.as_bytes())
}

fn read_text(config: &Config, now_hour: u64, text: &[u8]) -> (Books, Summary) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("decisions.jsonl");
    std::fs::write(&log, text).unwrap();
    let mut reader = Reader::new(config, now_hour * HOUR_MS);
    reader.read(&log).unwrap();
    reader.finish()
}

/// What a session may still spend once the books are entered.
fn left(config: &Config, books: &Books, session: u8, now_hour: u64) -> u64 {
    let store = MemoryStore::default();
    books.clone().restore(&store, config).unwrap();
    let table = SessionTable::new(&store, &config.ledger, Namespace::Real);
    let owner = Owner::default;
    let open = table.open(
        id(session),
        Conversation::default(),
        NanoUsd(1000),
        owner,
        now_hour * HOUR_MS,
        &mut Counts::default(),
    );
    open.unwrap().view.available().0
}

#[test]
fn a_session_has_spent_what_its_turns_were_charged_in_any_order() {
    let config = config(|_| {});
    // Two turns at once: both decided when nothing was spent.
    let lines = [
        line(1, 1.0, 0, 0, 200, "settled"),
        line(1, 1.0, 0, 0, 300, "estimated"),
        line(1, 1.1, 2, 500, 10, "settled"),
    ];
    let (books, summary) = read(&config, 2, &lines);
    assert_eq!(summary, Summary { sessions: 1, ..Summary::default() });
    assert_eq!(left(&config, &books, 1, 2), 490);
    assert_eq!(left(&config, &books, 2, 2), 1000);
}

#[test]
fn what_was_spent_before_the_log_begins_counts() {
    let config = config(|_| {});
    let lines = [line(1, 1.0, 5, 600, 100, "settled"), line(1, 1.0, 5, 600, 50, "settled")];
    assert_eq!(left(&config, &read(&config, 2, &lines).0, 1, 2), 250);
    let refused = [line(1, 1.0, 5, 900, 0, "refused")];
    assert_eq!(left(&config, &read(&config, 2, &refused).0, 1, 2), 100);
}

#[test]
fn a_turn_whose_end_is_not_known_costs_what_it_had_reserved() {
    let config = config(|_| {});
    let lines = [line(1, 1.0, 0, 0, 0, ""), line(2, 1.0, 0, 0, 0, "from a newer filter")];
    let (books, _) = read(&config, 1, &lines);
    assert_eq!((left(&config, &books, 1, 1), left(&config, &books, 2, 1)), (700, 700));
}

#[test]
fn a_session_that_is_over_begins_anew() {
    let config =
        config(|v| v["ledger"] = json!({"session_ttl_ms": 10 * HOUR_MS, "short_session_ttl_ms": HOUR_MS}));
    let over = [line(1, 1.0, 3, 0, 700, "settled")];
    assert_eq!(read(&config, 20, &over).1.sessions, 0);
    let anew = [line(1, 1.0, 3, 0, 700, "settled"), line(1, 19.0, 0, 0, 100, "settled")];
    assert_eq!(left(&config, &read(&config, 19, &anew).0, 1, 19), 900);
    // It was not over for the table, whatever the times say: it knows what was spent.
    let on = [line(1, 1.0, 3, 0, 700, "settled"), line(1, 19.0, 4, 700, 100, "settled")];
    assert_eq!(left(&config, &read(&config, 19, &on).0, 1, 19), 200);
}

#[test]
fn shadow_records_count_nothing_and_free_turns_leave_no_trace() {
    let config = config(|_| {});
    let mut shadow = line(1, 1.0, 0, 0, 500, "settled");
    shadow["shadow"] = json!(true);
    let (_, summary) =
        read(&config, 1, &[shadow, line(2, 1.0, 0, 0, 0, "refused"), line(3, 1.0, 0, 0, 0, "refunded")]);
    assert_eq!(summary.sessions, 0);
    let mut left_early = line(1, 1.0, 0, 0, 0, "refunded");
    left_early["status"] = Value::Null;
    assert_eq!(read(&config, 1, &[left_early]).1.sessions, 1, "the next early leave is not free again");
}

#[test]
fn a_tenant_has_spent_what_its_turns_cost_in_the_last_window() {
    let config = config(|v| {
        v["session"] = json!({"tenant_header": "x-team"});
        v["tenants"] = json!({"default_usd": "1", "window_ms": 10 * HOUR_MS});
    });
    let of_tenant = |hour, charged| {
        let mut line = line(1, hour, 0, 0, charged, "settled");
        line["tenant"] = json!(id(9).to_string());
        line["session"] = Value::Null;
        line
    };
    let (books, summary) = read(
        &config,
        12,
        &[of_tenant(9.0, 500), of_tenant(10.5, 30), of_tenant(11.0, 4), of_tenant(9.9, 100)],
    );
    assert_eq!((summary.sessions, summary.tenants), (0, 1));
    let mut expected = Books::default();
    expected.add_tenant(&config, id(9), NanoUsd(34), 11 * HOUR_MS);
    assert_eq!(books, expected);
}

#[test]
fn lines_that_were_cut_are_counted_and_left_out() {
    let config = config(|_| {});
    let whole = line(1, 1.0, 0, 0, 200, "settled").to_string();
    let mut text = whole.clone().into_bytes();
    text.extend_from_slice(b"\n{\"v\":1,\"time_ms\":36\xc3");
    text.extend_from_slice(whole.as_bytes());
    text.extend_from_slice(b"\n\n");
    text.extend_from_slice(&whole.as_bytes()[..40]);
    let (books, summary) = read_text(&config, 1, &text);
    assert_eq!((summary.sessions, summary.unreadable), (1, 3));
    assert_eq!(left(&config, &books, 1, 1), 800);
}

#[test]
fn a_missing_log_is_named() {
    let config = config(|_| {});
    let error = Reader::new(&config, 0).read(Path::new("/nonexistent/decisions.jsonl")).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/decisions.jsonl: "), "{error}");
}
