//! Whatever a client writes, each of the common parsers reads the request that was decided on from what is sent upstream
//! ([`readers`]). The names and values are those that parsers read differently; the cuts are random.

#[path = "readers/mod.rs"]
mod readers;

use proptest::prelude::*;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use readers::tree::Tree;
use readers::{Bounds, check};
use seqroute_core::body::edits::ServedBy;
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::request::api::Api;
use seqroute_core::wire::json::Progress;

const APIS: [Api; 5] = [
    Api::OpenAiChat,
    Api::OpenAiResponses,
    Api::AnthropicMessages,
    Api::GeminiGenerate,
    Api::BedrockConverse,
];
const NAMES: [&str; 30] = [
    "model",
    "stream",
    "store",
    "n",
    "best_of",
    "candidateCount",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "maxOutputTokens",
    "maxTokens",
    "n_predict",
    "max_new_tokens",
    "num_predict",
    "service_tier",
    "stream_options",
    "include_usage",
    "generationConfig",
    "generation_config",
    "inferenceConfig",
    "tools",
    "type",
    "messages",
    "parameters",
    "metadata",
    "user",
    "temperature",
    "input",
    "contents",
    "models",
];
const SCALARS: [&str; 24] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "2",
    "7",
    "40",
    "41",
    "4096",
    "1e3",
    "40.0",
    "-0",
    "0.5",
    "1e99",
    "99999999999999999999",
    "\"40\"",
    "\"true\"",
    "\"function\"",
    "\"web_search\"",
    "\"large\"",
    "\"\"",
    "[]",
];
const CAP_TOKENS: u64 = 40;

/// A name in one of the spellings that some parser takes for it.
fn name(draw: &mut impl Rng) -> String {
    let name = *NAMES.choose(draw).unwrap_or(&"model");
    let mut spelled = String::new();
    for letter in name.chars() {
        match draw.random_range(0..24) {
            0 => spelled.push(letter.to_ascii_uppercase()),
            1 => spelled.push_str(&format!("\\u{:04x}", u32::from(letter))),
            2 if letter == 'k' => spelled.push('\u{212A}'),
            2 if letter == 's' => spelled.push('\u{17F}'),
            _ => spelled.push(letter),
        }
    }
    spelled
}

fn value(draw: &mut impl Rng, depth: usize) -> String {
    match draw.random_range(0..6) {
        0 if depth < 3 => object(draw, depth + 1),
        1 if depth < 3 => {
            let items: Vec<_> = (0..draw.random_range(0..3)).map(|_| value(draw, depth + 1)).collect();
            format!("[{}]", items.join(","))
        }
        _ => (*SCALARS.choose(draw).unwrap_or(&"1")).to_owned(),
    }
}

fn object(draw: &mut impl Rng, depth: usize) -> String {
    let space = |draw: &mut ChaCha8Rng| if draw.random_bool(0.1) { "\n " } else { "" };
    let mut own = ChaCha8Rng::seed_from_u64(draw.random());
    let members: Vec<_> = (0..draw.random_range(0..6))
        .map(|_| {
            let (name, value) = (name(draw), value(draw, depth));
            format!("{}\"{name}\"{}:{}{value}", space(&mut own), space(&mut own), space(&mut own))
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

/// What is sent in place of a body that comes in these pieces; `None` where it is refused, or reset on its way.
fn sent(api: Api, body: &str, draw: &mut impl Rng) -> Option<(Vec<u8>, u64)> {
    let mut reader = RequestBody::new(api);
    let (mut rest, mut sent, mut answers) = (body.as_bytes(), Vec::new(), None);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(draw.random_range(1..=rest.len()));
        rest = after;
        reader.scan(piece);
        if answers.is_none() {
            answers = Some(reader.facts().answers);
            let cap = CAP_TOKENS.saturating_mul(reader.facts().answers);
            reader.decide(&ServedBy::named("large"), Some(cap));
        }
        sent.extend(reader.rewrite(piece).unwrap_or_else(|| piece.to_vec()));
        if reader.is_forbidden() || reader.progress() == Progress::Invalid {
            return None;
        }
    }
    Some((sent, answers.unwrap_or(1)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn every_parser_reads_the_request_that_was_decided_on(seed: u64, api in 0..5usize) {
        let mut draw = ChaCha8Rng::seed_from_u64(seed);
        let (api, body) = (APIS[api], object(&mut draw, 0));
        if let Some((sent, answers)) = sent(api, &body, &mut draw) {
            let text = String::from_utf8_lossy(&sent).into_owned();
            let Some(tree) = Tree::parse(&sent) else { panic!("JSON stays JSON: {body}\n{text}") };
            let bounds = Bounds { model: "large", limit_tokens: CAP_TOKENS, answers };
            if let Err(fault) = check(api, bounds, &tree) {
                prop_assert!(false, "{fault}\n{body}\n{text}");
            }
        }
    }
}
