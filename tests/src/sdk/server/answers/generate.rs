//! Gemini (ai.google.dev/api/generate-content, `GenerateContentResponse`). Every event of a stream repeats the usage so far.

use serde_json::{Value, json};

use super::{Answer, Material, TOKENS_PER_EVENT, data};
use crate::sdk::server::signature;
use crate::sdk::server::tokens::{of_text, pieces};

/// The answer.
#[must_use]
pub fn answer(material: Material<'_>) -> Answer {
    if material.turn.stream {
        Answer::Events(events(material))
    } else {
        let output = material.used.output - material.used.thinking;
        Answer::Json(response(material, &parts(material), Some(output)))
    }
}

fn finish(material: Material<'_>) -> &'static str {
    if material.reply.cut { "MAX_TOKENS" } else { "STOP" }
}

fn usage(material: Material<'_>, output: Option<u64>) -> Value {
    let used = material.used;
    let mut usage = json!({
        "promptTokenCount": used.whole_input(),
        "totalTokenCount": used.whole_input() + used.thinking + output.unwrap_or(0),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": used.whole_input()}],
    });
    if let Some(output) = output {
        usage["candidatesTokenCount"] = json!(output);
    }
    if used.thinking > 0 {
        usage["thoughtsTokenCount"] = json!(used.thinking);
    }
    if used.cached > 0 {
        usage["cachedContentTokenCount"] = json!(used.cached);
        usage["cacheTokensDetails"] = json!([{"modality": "TEXT", "tokenCount": used.cached}]);
    }
    usage
}

fn response(material: Material<'_>, parts: &[Value], finished: Option<u64>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if finished.is_some() {
        candidate["finishReason"] = json!(finish(material));
    }
    json!({
        "candidates": [candidate], "usageMetadata": usage(material, finished),
        "modelVersion": material.model.name, "responseId": format!("resp{}", material.number),
    })
}

/// The signature stands on the first part after the thinking.
fn parts(material: Material<'_>) -> Vec<Value> {
    let (turn, reply) = (material.turn, material.reply);
    let mut parts = Vec::new();
    if turn.shows_thinking && !reply.thinking.is_empty() {
        parts.push(json!({"text": "I mull it over.", "thought": true}));
    }
    let thoughts = parts.len();
    if !reply.text.is_empty() {
        parts.push(json!({"text": reply.text}));
    }
    for call in &reply.calls {
        parts.push(json!({"functionCall": {"name": call.name, "args": call.value()}}));
    }
    let first = parts.get_mut(thoughts).filter(|_| turn.thinks && !turn.tools.is_empty());
    if let Some(first) = first {
        first["thoughtSignature"] = json!(signature::seal(material.model.name, &reply.thinking));
    }
    parts
}

fn events(material: Material<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for part in parts(material) {
        match part["text"].as_str() {
            Some(text) if part.get("thought").is_none() => {
                for (number, piece) in pieces(text, TOKENS_PER_EVENT).into_iter().enumerate() {
                    let mut one = json!({"text": piece});
                    if number == 0 && part.get("thoughtSignature").is_some() {
                        one["thoughtSignature"] = part["thoughtSignature"].clone();
                    }
                    all.push(one);
                }
            }
            _ => all.push(part),
        }
    }
    let output = material.used.output - material.used.thinking;
    let (mut written, count) = (0, all.len());
    let event = |(number, part): (usize, Value)| {
        written += part["text"].as_str().map_or(0, of_text);
        let mut event = response(material, &[part], (number + 1 == count).then_some(output));
        if number + 1 < count && written > 0 {
            event["usageMetadata"] = usage(material, Some(written.min(output)));
        }
        data(&event)
    };
    let mut events: Vec<String> = all.into_iter().enumerate().map(event).collect();
    if events.is_empty() {
        events.push(data(&response(material, &[json!({"text": ""})], Some(output))));
    }
    events
}
