//! The promise as one inequality, for clients, servers and cuts drawn at random:
//!
//! ```text
//! billed(session) ≤ budget + Σ over its turns that nobody settled of what each had reserved
//! ```
//!
//! The model server keeps its own bill. It reads the body that it gets, not the one that was sent, obeys limits of its own,
//! in its own reading, and bills every request that reached it whole, whether or not anybody received the answer. The
//! turns that nobody settles are those whose VM died and those whose client left before any answer.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::counters::Counts;
use seqroute_core::engine::{Admission, Answer, Engine, Turn};
use seqroute_core::ledger::store::MemoryStore;
use seqroute_core::request::api::Api;
use seqroute_core::request::head::{HeadVerdict, RequestHead};
use seqroute_core::usage::Usage;
use seqroute_core::wire::json::Progress;
use serde_json::{Value, json};

const BUDGET_NANO_USD: u64 = 50_000_000;
const CONTEXT_TOKENS: u64 = 20_000;
const IMAGE_TOKENS: u64 = 500;
/// Input above which a request has other prices.
const LONG_CONTEXT_TOKENS: u64 = 400;
const LEASE_MS: u64 = 10_000;
/// Words that every vocabulary has as one token.
const WORDS: [&str; 4] = ["the", "and", "report", "children"];
/// Names of limits that some server obeys, each server one of them first.
const LIMITS: [&str; 6] =
    ["max_tokens", "max_completion_tokens", "n_predict", "max_new_tokens", "maxTokens", "MAX_TOKENS"];

fn engine() -> Engine {
    let model = |name: &str, input: u64, output: u64| {
        json!({
            "name": name, "cluster": name, "context_tokens": CONTEXT_TOKENS, "image_tokens": IMAGE_TOKENS,
            "expected_output_tokens": 100, "upper_output_tokens": 400,
            "prices": {
                "input_pico_usd_per_token": input, "output_pico_usd_per_token": output,
                "cached_input_pico_usd_per_token": input / 10, "cache_write_pico_usd_per_token": input * 5 / 4,
                "long_context": {
                    "above_input_tokens": LONG_CONTEXT_TOKENS,
                    "input_pico_usd_per_token": input * 2, "output_pico_usd_per_token": output * 3 / 2,
                    "cache_write_pico_usd_per_token": input * 5 / 2,
                },
            },
        })
    };
    let config = json!({
        "version": 1, "salt": "a secret of tests", "strategy": "best_affordable", "peek_bytes": 1024,
        "budget": {"default_usd": "0.05", "cap_output": true, "shortest_output_tokens": 1},
        "ledger": {"lease_ms": LEASE_MS},
        "models": [model("small", 150_000, 600_000), model("large", 3_000_000, 15_000_000)],
    });
    Engine::configure(config.to_string().as_bytes()).unwrap()
}

/// A text of one class, long or short.
fn text(draw: &mut impl Rng) -> String {
    let most = if draw.random_bool(0.1) { 4000 } else { 60 };
    let units = draw.random_range(1..=most);
    match draw.random_range(0..6) {
        0 => "zv".repeat(units),
        1 => "\u{1f600}".repeat(units),
        2 => "7".repeat(units),
        3 => "~)".repeat(units),
        4 => " ".repeat(units),
        _ => (0..units).map(|k| format!(" {}", WORDS[k % WORDS.len()])).collect(),
    }
}

/// Tokens that a server bills for a text: one for a word it knows, or else one for each byte.
fn tokens(text: &str) -> u64 {
    text.split_inclusive(' ')
        .map(|piece| match piece.strip_suffix(' ') {
            Some(word) if WORDS.contains(&word) => 1,
            _ if WORDS.contains(&piece) => 1,
            _ => piece.len() as u64,
        })
        .sum()
}

/// A body as a client could write it: any order, any limits, blanks, duplicates.
fn body(draw: &mut impl Rng) -> String {
    let mut members = vec![r#""model":"auto""#.to_owned()];
    let parts: Vec<String> = (0..draw.random_range(1..4)).map(|_| part(draw)).collect();
    members.push(format!(r#""messages":[{{"role":"user","content":[{}]}}]"#, parts.join(",")));
    for _ in 0..draw.random_range(0..4) {
        let name = LIMITS[draw.random_range(0..LIMITS.len())];
        let values = ["0", "-1", "1", "50", "100000", "4294967295", "\"9\"", "1e3", "null", "true"];
        members.push(format!(r#""{name}":{}"#, values[draw.random_range(0..values.len())]));
    }
    if draw.random_bool(0.2) {
        let (name, value) = (["n", "best_of", "N"][draw.random_range(0..3)], draw.random_range(0..5));
        members.push(format!(r#""{name}":{value}"#));
    }
    for _ in 0..3 {
        let (a, b) = (draw.random_range(0..members.len()), draw.random_range(0..members.len()));
        members.swap(a, b);
    }
    let blanks = " ".repeat(if draw.random_bool(0.2) { draw.random_range(0..5000) } else { 0 });
    format!("{{{}{blanks}}}", members.join(&format!("{blanks},")))
}

fn part(draw: &mut impl Rng) -> String {
    match draw.random_range(0..8) {
        0 => r#"{"type":"image_url","image_url":{"url":"https://example.org/1.png"}}"#.to_owned(),
        1 => r#"{"type":"file","file":{"file_id":"f"}}"#.to_owned(),
        2 => json!({"type": "text", "text": text(draw), "cache_control": {"ttl": "1h"}}).to_string(),
        _ => json!({"type": "text", "text": text(draw)}).to_string(),
    }
}

/// What a server bills for a body: all that it reads there, by its own rules.
fn bill(draw: &mut impl Rng, body: &[u8]) -> Usage {
    let body: Value = serde_json::from_slice(body).expect("JSON reaches the server");
    let mut input = 0;
    for part in body["messages"][0]["content"].as_array().expect("parts") {
        input += match part["type"].as_str() {
            Some("text") => tokens(part["text"].as_str().expect("a text")),
            Some("image_url") => IMAGE_TOKENS,
            _ => CONTEXT_TOKENS,
        };
    }
    let input_tokens = input.min(CONTEXT_TOKENS);
    let favourite = LIMITS[draw.random_range(0..LIMITS.len())];
    let read = |name: &str| body.get(name).and_then(Value::as_i64).filter(|limit| *limit > 0);
    // What it does not know, or takes for nothing, is no limit.
    let known = [favourite, "max_completion_tokens", "max_tokens"];
    let limit = known.into_iter().find_map(read).and_then(|limit| u64::try_from(limit).ok());
    let answers = ["n", "best_of", "N"].into_iter().filter_map(|name| body.get(name)?.as_u64()).max();
    let most = limit.unwrap_or(u64::MAX).min(CONTEXT_TOKENS);
    let output_tokens = most.saturating_mul(answers.unwrap_or(1).max(1));
    // Its cache treats the input as it likes.
    let cache_write_tokens = input_tokens * draw.random_range(0..=4) / 4;
    let cached_input_tokens = (input_tokens - cache_write_tokens) * draw.random_range(0..=4) / 4;
    // It keeps entries for an hour where a part asks for that.
    let asked = body["messages"][0]["content"].to_string().contains("\"ttl\"");
    let long_cache_write_tokens = if asked { cache_write_tokens * draw.random_range(0..=4) / 4 } else { 0 };
    Usage {
        input_tokens,
        cached_input_tokens,
        cache_write_tokens,
        long_cache_write_tokens,
        output_tokens,
        ..Usage::default()
    }
}

struct World {
    engine: Engine,
    store: MemoryStore,
    counts: Counts,
    now_ms: u64,
    /// By session: what servers billed, and what turns that nobody settled had reserved.
    billed: BTreeMap<u8, u64>,
    unsettled: BTreeMap<u8, u64>,
    in_flight: Vec<(u8, Turn, Usage)>,
}

impl World {
    fn new() -> World {
        World {
            engine: engine(),
            store: MemoryStore::default(),
            counts: Counts::default(),
            now_ms: 1_000_000,
            billed: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            in_flight: Vec::new(),
        }
    }

    fn head(&mut self, session: u8, length: Option<usize>) -> RequestHead {
        let mut headers = vec![
            (b":method".to_vec(), b"POST".to_vec()),
            (b":path".to_vec(), b"/v1/chat/completions".to_vec()),
            (b"x-session-id".to_vec(), vec![b'a' + session]),
        ];
        headers.extend(length.map(|length| (b"content-length".to_vec(), length.to_string().into_bytes())));
        match RequestHead::read(self.engine.config(), &headers, None, &mut self.counts) {
            HeadVerdict::Llm(head) => *head,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a request as the shell does: the first piece decides, the others are covered as they pass.
    fn send(&mut self, draw: &mut impl Rng) {
        let session = draw.random_range(0..3);
        let text = body(draw);
        let cut = if draw.random_bool(0.5) { text.len() } else { draw.random_range(1..=text.len()) };
        let declared = draw.random_bool(0.7).then_some(text.len());
        let head = self.head(session, declared);
        let (first, rest) = text.as_bytes().split_at(cut);
        let mut reader = RequestBody::with_members(Api::OpenAiChat, self.engine.members());
        reader.scan(first);
        let complete = reader.progress() == Progress::Complete;
        let length = head.body_bytes.or(complete.then_some(text.len() as u64));
        let facts = reader.facts();
        let World { engine, store, counts, now_ms, .. } = self;
        let admission = engine.admit(store, &head, Some(&facts), length, *now_ms, counts);
        let mut turn = match admission {
            Admission::Route(turn) => *turn,
            Admission::Refuse(..) => return,
            other => panic!("{other:?}"),
        };
        let model = turn.model().and_then(|k| engine.model(k)).expect("a model");
        reader.decide(&model.into(), turn.record().output_cap_tokens);
        let mut sent = reader.rewrite(first).unwrap_or_else(|| first.to_vec());
        for piece in rest.chunks(1 + draw.random_range(0..3000)) {
            reader.scan(piece);
            let new = reader.rewrite(piece).unwrap_or_else(|| piece.to_vec());
            let read = reader.read_input();
            if !engine.cover_input(store, &mut turn, &read, *now_ms, counts) {
                let unreached = seqroute_core::engine::turn::Upstream::Unreached;
                let reset = Answer { upstream: unreached, ..Answer::default() };
                engine.conclude(store, turn, &reset, *now_ms, counts);
                return;
            }
            sent.extend(new);
        }
        let usage = bill(draw, &sent);
        let cost = model.prices.cost(&usage);
        let reserved = turn.record().reserved_nano_usd;
        assert!(cost <= reserved, "billed {cost} of {reserved} for {}", String::from_utf8_lossy(&sent));
        *self.billed.entry(session).or_default() += cost.0;
        self.in_flight.push((session, turn, usage));
    }

    /// Ends a turn in one of the ways that a turn ends.
    fn end(&mut self, draw: &mut impl Rng) {
        if self.in_flight.is_empty() {
            return;
        }
        let (session, turn, usage) = self.in_flight.swap_remove(draw.random_range(0..self.in_flight.len()));
        let reserved = turn.record().reserved_nano_usd.0;
        let answered = Answer { status: Some(200), ..Answer::default() };
        let answer = match draw.random_range(0..5) {
            // The VM dies: the turn is never ended, and its lease expires.
            0 => {
                *self.unsettled.entry(session).or_default() += reserved;
                return;
            }
            // The client leaves before any answer.
            1 => {
                *self.unsettled.entry(session).or_default() += reserved;
                Answer::default()
            }
            // The client leaves, or the answer breaks off, before its usage.
            2 => Answer { guessed_output_tokens: draw.random_range(0..9), ..answered },
            // The server reports something absurd.
            3 => {
                let absurd = Usage { input_tokens: u64::MAX, output_tokens: 0, ..usage };
                Answer { usage: Some(absurd), is_final: true, ..answered }
            }
            _ => Answer { usage: Some(usage), is_final: true, ..answered },
        };
        let World { engine, store, counts, now_ms, .. } = self;
        engine.conclude(store, turn, &answer, *now_ms, counts);
    }

    /// Time passes, and bytes of the answers that are on their way come.
    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        let World { engine, store, counts, now_ms, in_flight, .. } = self;
        for (_, turn, _) in in_flight {
            assert!(engine.keep_alive(turn, store, *now_ms, counts));
        }
    }

    fn check(&self) {
        for (session, billed) in &self.billed {
            let unsettled = self.unsettled.get(session).copied().unwrap_or(0);
            assert!(
                *billed <= BUDGET_NANO_USD + unsettled,
                "session {session}: {billed}, unsettled {unsettled}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_session_is_billed_more_than_its_budget_and_what_nobody_settled(seed in any::<u64>()) {
        let mut draw = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::new();
        for _ in 0..60 {
            match draw.random_range(0..10) {
                0..6 => world.send(&mut draw),
                6..9 => world.end(&mut draw),
                _ => world.wait(draw.random_range(0..LEASE_MS / 2)),
            }
            world.check();
        }
    }
}

#[test]
fn the_server_of_this_test_would_bill_a_body_that_nobody_changed_more_than_a_budget() {
    let mut draw = ChaCha8Rng::seed_from_u64(1);
    let mut most = 0;
    for _ in 0..200 {
        let text = body(&mut draw);
        let usage = bill(&mut draw, text.as_bytes());
        most = most.max(usage.input_tokens * 3000 + usage.output_tokens * 15_000);
    }
    assert!(most > BUDGET_NANO_USD, "{most}");
}
