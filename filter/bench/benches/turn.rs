//! What the parts of one turn cost, natively: scanning, deciding, the ledger. `make bench-core` runs it.
//!
//! The module runs the same code in Wasm, a few times slower; `make bench` measures the cost in Envoy.

#[path = "../../core/tests/texts/mod.rs"]
mod texts;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use seqroute_core::answer::hide_usage::UsageHider;
use seqroute_core::answer::reader::AnswerReader;
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::body::text::TextFeatures;
use seqroute_core::config::Config;
use seqroute_core::counters::Counts;
use seqroute_core::decide::estimate::RequestSize;
use seqroute_core::engine::{Admission, Answer, Engine};
use seqroute_core::ledger::SessionView;
use seqroute_core::ledger::store::MemoryStore;
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;
use seqroute_core::request::api::Api;
use seqroute_core::request::head::{HeadVerdict, RequestHead};
use seqroute_core::usage::Usage;

/// What one callback of Envoy brings at most by default.
const PIECE_BYTES: usize = 16 * 1024;

/// A chat of about so many bytes.
fn chat(bytes: usize) -> String {
    texts::chat(bytes / texts::MESSAGE.len() + 1)
}

/// A streamed answer of about so many bytes.
fn stream(bytes: usize) -> String {
    texts::stream(bytes / texts::EVENT.len() + 1)
}

/// The shipped configuration, with the shipped policy.
fn engine() -> Engine {
    let json = include_bytes!("../../../envoy/plugin.json");
    let mut config: serde_json::Value = serde_json::from_slice(json).expect("the shipped configuration");
    config["strategy"] = "best_affordable".into();
    // No session may exhaust its budget, however long the benchmark runs.
    config["budget"]["default_usd"] = "1000000".into();
    let mut config = Config::from_json(config.to_string().as_bytes()).expect("the shipped configuration");
    config.strategy = seqroute_core::config::Strategy::Policy;
    let policy = Policy::open(include_bytes!("../../../envoy/policy/default.nnef.tar"));
    Engine::new(config, Some(policy.expect("the shipped policy")))
        .expect("the policy is for the configured models")
}

fn scanning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    for bytes in [1 << 10, 64 << 10, 1 << 20] {
        let (body, answer) = (chat(bytes), stream(bytes));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("request body, {} KiB", bytes >> 10), |bencher| {
            bencher.iter_batched_ref(
                || RequestBody::new(Api::OpenAiChat),
                |scanner| body.as_bytes().chunks(PIECE_BYTES).for_each(|piece| scanner.scan(piece)),
                BatchSize::SmallInput,
            );
        });
        group.throughput(Throughput::Bytes(answer.len() as u64));
        group.bench_function(format!("streamed answer, {} KiB", bytes >> 10), |bencher| {
            bencher.iter_batched_ref(
                || AnswerReader::new(Api::OpenAiChat, b""),
                |reader| answer.as_bytes().chunks(PIECE_BYTES).for_each(|piece| reader.feed(piece)),
                BatchSize::SmallInput,
            );
        });
    }
    let answer = stream(64 << 10);
    group.throughput(Throughput::Bytes(answer.len() as u64));
    group.bench_function("hiding of the usage event, 64 KiB", |bencher| {
        bencher.iter_batched_ref(
            UsageHider::default,
            |hider| answer.as_bytes().chunks(PIECE_BYTES).for_each(|piece| drop(hider.pass(piece, false))),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn deciding(criterion: &mut Criterion) {
    let engine = engine();
    let session =
        SessionView { turns: 3, spent: NanoUsd(9_000_000), ..SessionView::new(NanoUsd(50_000_000)) };
    let size = RequestSize { body_bytes: Some(4_000), ..RequestSize::default() };
    let text = TextFeatures::of("Prove that the square root of two is irrational.");
    criterion.bench_function("decide with the shipped policy", |bencher| {
        bencher.iter(|| engine.decide(black_box(&session), &size, &text, 0.0));
    });
}

fn whole_turns(criterion: &mut Criterion) {
    let (engine, store, body) = (engine(), MemoryStore::default(), chat(1 << 10));
    let headers: Vec<(Vec<u8>, Vec<u8>)> =
        [(":method", "POST"), (":path", "/v1/chat/completions"), ("x-session-id", "bench")]
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .to_vec();
    let usage = Some(Usage { input_tokens: 1, output_tokens: 0, ..Usage::default() });
    let answer = Answer { status: Some(200), usage, is_final: true, ..Answer::default() };
    criterion.bench_function("whole turn with a body of 1 KiB: read, decide, reserve, settle", |bencher| {
        bencher.iter(|| {
            let mut counts = Counts::default();
            let HeadVerdict::Llm(head) = RequestHead::read(engine.config(), &headers, None, &mut counts) else {
                panic!("an LLM request")
            };
            let mut scanner = RequestBody::new(Api::OpenAiChat);
            scanner.scan(body.as_bytes());
            let facts = scanner.facts();
            match engine.admit(&store, &head, Some(&facts), Some(body.len() as u64), 1_000, &mut counts) {
                Admission::Route(turn) => engine.conclude(&store, *turn, &answer, 1_000, &mut counts),
                other => panic!("{other:?}"),
            }
        });
    });
}

criterion_group!(benches, scanning, deciding, whole_turns);
criterion_main!(benches);
