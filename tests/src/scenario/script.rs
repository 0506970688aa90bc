//! Turns the answers of a scenario into the bytes that a model server sends, equal in both worlds.

use std::io::Write;

use anyhow::{Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use seqroute_envoy::mock_llm::{PrescribedAnswer, Step};
use serde_json::json;

use super::format::{End, Sse, Upstream, Usage};

/// Pause around pieces that must arrive separately.
const SEPARATION_MS: u64 = 40;
/// A key that is never released.
pub const NEVER: &str = "never";

/// The pieces of an answer's body, before any compression.
///
/// # Errors
/// When the scenario names no body or several.
pub fn pieces(upstream: &Upstream) -> Result<Vec<Vec<u8>>> {
    let given = [upstream.json.is_some(), upstream.sse.is_some(), !upstream.pieces.is_empty()];
    let bodies = given.iter().filter(|given| **given).count();
    ensure!(bodies <= 1, "upstream: found {bodies} of json, sse, pieces, expected one");
    let pieces = match (upstream.json, upstream.sse) {
        (Some(usage), _) => vec![chat_completion(usage).into_bytes()],
        (_, Some(sse)) => events(sse).into_iter().map(String::into_bytes).collect(),
        _ => upstream.pieces.iter().map(|piece| piece.clone().into_bytes()).collect(),
    };
    if upstream.cuts.is_empty() {
        return Ok(pieces);
    }
    Ok(cut(&pieces.concat(), &upstream.cuts)?.into_iter().map(<[u8]>::to_vec).collect())
}

/// `whole` cut at the given offsets.
///
/// # Errors
/// When the offsets do not rise or lie outside.
pub fn cut<'a>(whole: &'a [u8], cuts: &[usize]) -> Result<Vec<&'a [u8]>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for &to in cuts.iter().chain([&whole.len()]) {
        ensure!(from < to && to <= whole.len(), "cuts: found {to} after {from} in {} bytes", whole.len());
        pieces.push(&whole[from..to]);
        from = to;
    }
    Ok(pieces)
}

/// Headers of an answer, without its length.
pub fn headers(upstream: &Upstream) -> Vec<(String, String)> {
    let by_body = if upstream.sse.is_some() { "text/event-stream" } else { "application/json" };
    let content_type = upstream.content_type.as_deref().unwrap_or(by_body);
    let mut headers = vec![("content-type".to_owned(), content_type.to_owned())];
    if upstream.gzip {
        headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    }
    headers
}

/// The answer as instructions for the mock model server. `hold` is a key that the answer waits for before it begins.
///
/// # Errors
/// As [`pieces`].
pub fn answer(upstream: &Upstream, hold: Option<&str>) -> Result<PrescribedAnswer> {
    let mut before: Vec<Step> = hold.map(|key| Step::Hold(key.to_owned())).into_iter().collect();
    match upstream.ends {
        End::ResetBeforeHeaders => before.push(Step::Reset),
        End::NeverBegins => before.push(Step::Hold(NEVER.to_owned())),
        End::Whole | End::ResetAfterBody | End::NeverEnds => {}
    }
    let mut pieces = pieces(upstream)?;
    let mut headers = headers(upstream);
    if let (End::Whole, [only], false) = (upstream.ends, pieces.as_slice(), upstream.gzip) {
        headers.push(("content-length".to_owned(), only.len().to_string()));
    }
    if pieces.is_empty() && upstream.ends == End::Whole {
        headers.push(("content-length".to_owned(), "0".to_owned()));
    }
    if upstream.gzip {
        pieces = compressed(&pieces)?;
    }
    let separate = pieces.len() > 1;
    let mut body = Vec::new();
    for piece in pieces {
        if separate && !body.is_empty() {
            body.push(Step::PauseMs(SEPARATION_MS / 4));
        }
        body.push(Step::Send(piece));
    }
    match upstream.ends {
        End::ResetAfterBody => body.extend([Step::PauseMs(SEPARATION_MS), Step::Reset]),
        End::NeverEnds => body.push(Step::Hold(NEVER.to_owned())),
        End::Whole | End::ResetBeforeHeaders | End::NeverBegins => {}
    }
    Ok(PrescribedAnswer { before, status: upstream.status, headers, body })
}

/// A chat completion as JSON that reports this usage.
#[must_use]
pub fn chat_completion(usage: Usage) -> String {
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": "Hello there."},
        "finish_reason": "stop"});
    let mut body = json!({"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice]});
    if usage.prompt.is_some() {
        body["usage"] = reported(usage);
    }
    body.to_string()
}

fn events(sse: Sse) -> Vec<String> {
    let event = |choices, usage| {
        let event = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices,
            "usage": usage});
        format!("data: {event}\n\n")
    };
    let delta = |_| event(json!([{"index": 0, "delta": {"content": "word "}}]), json!(null));
    let mut events: Vec<String> = (0..sse.events).map(delta).collect();
    if sse.usage.prompt.is_some() {
        events.push(event(json!([]), reported(sse.usage)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn reported(usage: Usage) -> serde_json::Value {
    let prompt = usage.prompt.unwrap_or(0);
    json!({
        "prompt_tokens": prompt, "completion_tokens": usage.output, "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    })
}

/// One gzip stream, flushed after each piece so that the pieces arrive separately.
fn compressed(pieces: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut compressed = Vec::new();
    for piece in pieces {
        encoder.write_all(piece)?;
        encoder.flush()?;
        compressed.push(std::mem::take(encoder.get_mut()));
    }
    compressed.push(encoder.finish()?);
    Ok(compressed)
}
