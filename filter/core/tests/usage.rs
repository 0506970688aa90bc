//! Plays answers as providers and servers write them, and compares what is charged to the nano-USD.
//!
//! The answers are data, `tests/usage/*.txt`, one file per provider and API; `tests/usage/mod.rs` says how to read them. Each
//! is played whole, byte by byte and in random cuts: how the network cuts an answer must not change what it costs.

#[path = "usage/mod.rs"]
mod corpus;

use std::collections::BTreeSet;

use corpus::{Charge, Shape, shapes};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqroute_core::answer::reader::AnswerReader;
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::counters::Counts;
use seqroute_core::engine::{Admission, Answer, Engine};
use seqroute_core::ledger::store::MemoryStore;
use seqroute_core::reply::record::DecisionRecord;
use seqroute_core::request::api::Api;
use seqroute_core::request::head::{HeadVerdict, RequestHead};
use serde_json::{Value, json};

const BYTES_PER_TOKEN: u64 = 4;
const RANDOM_CUTS: usize = 24;

/// Prices of a large model with a prompt cache, with or without a tier for long contexts.
fn prices(is_tiered: bool) -> Value {
    let mut prices = json!({
        "input_pico_usd_per_token": 3_000_000, "cached_input_pico_usd_per_token": 300_000,
        "cache_write_pico_usd_per_token": 3_750_000, "output_pico_usd_per_token": 15_000_000,
    });
    if is_tiered {
        prices["long_context"] = json!({
            "above_input_tokens": 200_000, "input_pico_usd_per_token": 6_000_000,
            "cached_input_pico_usd_per_token": 600_000, "cache_write_pico_usd_per_token": 7_500_000,
            "output_pico_usd_per_token": 22_500_000,
        });
    }
    prices
}

fn engine(is_tiered: bool) -> Engine {
    let config = json!({
        "version": 1, "salt": "a secret of tests", "strategy": "best_affordable",
        "budget": {"default_usd": "1000"},
        "models": [{
            "name": "large", "cluster": "large", "context_tokens": 1_000_000, "expected_output_tokens": 100,
            "upper_output_tokens": 400, "prices": prices(is_tiered),
        }],
    });
    Engine::configure(config.to_string().as_bytes()).unwrap()
}

/// What was read of an answer that came in these pieces.
fn read(shape: &Shape, pieces: &[&[u8]]) -> Answer {
    let mut reader = AnswerReader::new(shape.api, b"");
    pieces.iter().for_each(|piece| reader.feed(piece));
    Answer {
        status: Some(shape.status),
        upstream: seqroute_core::engine::turn::Upstream::Answered,
        usage: reader.finish(BYTES_PER_TOKEN),
        is_final: reader.is_final(shape.is_whole, shape.answers),
        guessed_output_tokens: reader.guessed_output_tokens(BYTES_PER_TOKEN),
        shown: reader.shown(shape.is_whole),
        ..Answer::default()
    }
}

/// The record of a turn that is answered so, and what it had reserved.
fn settle(engine: &Engine, shape: &Shape, answer: &Answer) -> (DecisionRecord, u64) {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let headers = [(":method", "POST"), (":path", "/v1/chat/completions"), ("x-session-id", "a")]
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .to_vec();
    let HeadVerdict::Llm(head) = RequestHead::read(engine.config(), &headers, None, &mut counts) else {
        panic!("no call")
    };
    let request: RequestHead = *head;
    let body = json!({
        "model": "auto", "max_tokens": 100_000, "n": shape.answers,
        "messages": [{"role": "user", "content": "hello"}],
    });
    let body = body.to_string().into_bytes();
    let mut reader = RequestBody::with_members(Api::OpenAiChat, engine.members());
    reader.scan(&body);
    let length = Some(body.len() as u64);
    match engine.admit(&store, &request, Some(&reader.facts()), length, 0, &mut counts) {
        Admission::Route(turn) => {
            let reserved = turn.record().reserved_nano_usd.0;
            (engine.conclude(&store, *turn, answer, 0, &mut counts), reserved)
        }
        other => panic!("{other:?}"),
    }
}

fn random_pieces<'a>(body: &'a [u8], draw: &mut ChaCha8Rng) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (body, Vec::new());
    let most = draw.random_range(1..=body.len().max(1));
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(draw.random_range(1..=most.min(rest.len())));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[test]
fn every_recorded_answer_costs_what_its_provider_bills_in_any_cut() {
    let mut draw = ChaCha8Rng::seed_from_u64(13);
    let (plain, tiered) = (engine(false), engine(true));
    let mut wrong = Vec::new();
    for shape in shapes() {
        let answer = read(&shape, &[&shape.body]);
        let bytes: Vec<&[u8]> = shape.body.chunks(1).collect();
        let mut cuts = vec![bytes];
        cuts.extend((0..RANDOM_CUTS).map(|_| random_pieces(&shape.body, &mut draw)));
        for pieces in cuts {
            assert_eq!(read(&shape, &pieces), answer, "{}: another cut reads differently", shape.name);
        }
        let engine = if shape.is_tiered { &tiered } else { &plain };
        let (record, reserved) = settle(engine, &shape, &answer);
        let (outcome, charge) = match shape.charge {
            Charge::Usage(charge) => ("settled", charge),
            Charge::Reserved => ("estimated", reserved),
            Charge::Nothing => ("refunded", 0),
        };
        let found = (record.outcome.as_str(), record.charged_nano_usd.0);
        if found != (outcome, charge) {
            wrong.push(format!(
                "{}: {found:?}, expected {:?}; {:?}",
                shape.name,
                (outcome, charge),
                record.usage
            ));
        } else if let (Some(expected), Charge::Usage(_)) = (shape.usage, shape.charge)
            && record.usage != Some(expected)
        {
            wrong.push(format!("{}: {:?}, expected {expected:?}", shape.name, record.usage));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_corpus_has_every_provider_and_names_its_sources() {
    let shapes = shapes();
    assert!(shapes.len() >= 150, "{} shapes", shapes.len());
    let names: BTreeSet<&str> = shapes.iter().map(|shape| shape.name.as_str()).collect();
    assert_eq!(names.len(), shapes.len(), "names differ");
    assert!(shapes.iter().all(|shape| !shape.source.is_empty()));
    let files: BTreeSet<&str> = shapes.iter().map(|shape| shape.file.as_str()).collect();
    for provider in [
        "anthropic",
        "azure",
        "bedrock-json",
        "bedrock-stream",
        "cohere",
        "deepseek",
        "fireworks",
        "gateways",
        "gemini",
        "glm",
        "groq",
        "kimi",
        "litellm",
        "llama-cpp",
        "mistral",
        "ollama",
        "openai-chat",
        "openai-responses",
        "openrouter",
        "perplexity",
        "qwen",
        "sglang",
        "tgi",
        "together",
        "vertex",
        "vllm",
        "xai",
    ] {
        assert!(files.contains(provider), "{provider}");
    }
}
