//! Anthropic messages (platform.claude.com/docs/en/api/messages and …/build-with-claude/streaming).

use serde_json::{Value, json};

use super::{Answer, Material, TOKENS_PER_EVENT, named};
use crate::sdk::server::signature;
use crate::sdk::server::tokens::pieces;

/// The answer.
#[must_use]
pub fn answer(material: Material<'_>) -> Answer {
    if material.turn.stream { Answer::Events(events(material)) } else { Answer::Json(message(material)) }
}

fn stop_reason(material: Material<'_>) -> &'static str {
    match material.reply {
        reply if reply.cut => "max_tokens",
        reply if !reply.calls.is_empty() => "tool_use",
        _ => "end_turn",
    }
}

fn usage(material: Material<'_>, output: u64) -> Value {
    let used = material.used;
    json!({
        "input_tokens": used.input,
        "cache_creation_input_tokens": used.written + used.written_hour,
        "cache_read_input_tokens": used.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.written, "ephemeral_1h_input_tokens": used.written_hour,
        },
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn content(material: Material<'_>) -> Vec<Value> {
    let (turn, reply, model) = (material.turn, material.reply, material.model.name);
    let mut blocks = Vec::new();
    if turn.thinks {
        let thought = reply.thinking.as_str();
        blocks.push(if turn.shows_thinking {
            json!({"type": "thinking", "thinking": thought, "signature": signature::sign(model, thought)})
        } else {
            json!({"type": "thinking", "thinking": "", "signature": signature::seal(model, thought)})
        });
    }
    if !reply.text.is_empty() {
        blocks.push(json!({"type": "text", "text": reply.text}));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        blocks.push(json!({
            "type": "tool_use", "id": format!("toolu_{}_{index}", material.number), "name": call.name,
            "input": call.value(),
        }));
    }
    blocks
}

fn message(material: Material<'_>) -> Value {
    json!({
        "id": format!("msg_{}", material.number), "type": "message", "role": "assistant",
        "model": material.model.name, "content": content(material), "stop_reason": stop_reason(material),
        "stop_sequence": null, "usage": usage(material, material.used.output),
    })
}

fn events(material: Material<'_>) -> Vec<String> {
    let mut begun = message(material);
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["usage"] = usage(material, 1);
    let mut events = vec![json!({"type": "message_start", "message": begun})];
    let mut calls = material.reply.calls.iter();
    for (index, block) in content(material).into_iter().enumerate() {
        let mut start = block.clone();
        let mut deltas = Vec::new();
        match block["type"].as_str() {
            Some("thinking") => {
                start["thinking"] = json!("");
                start["signature"] = json!("");
                let thought = block["thinking"].as_str().unwrap_or_default();
                deltas.extend(
                    pieces(thought, TOKENS_PER_EVENT)
                        .iter()
                        .map(|piece| json!({"type": "thinking_delta", "thinking": piece})),
                );
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            }
            Some("text") => {
                start["text"] = json!("");
                let text = block["text"].as_str().unwrap_or_default();
                deltas.extend(
                    pieces(text, TOKENS_PER_EVENT)
                        .iter()
                        .map(|piece| json!({"type": "text_delta", "text": piece})),
                );
            }
            _ => {
                start["input"] = json!({});
                let arguments = calls.next().map(|call| call.arguments.as_str()).unwrap_or_default();
                deltas.push(json!({"type": "input_json_delta", "partial_json": ""}));
                deltas.extend(
                    pieces(arguments, TOKENS_PER_EVENT)
                        .iter()
                        .map(|piece| json!({"type": "input_json_delta", "partial_json": piece})),
                );
            }
        }
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        if index == 0 {
            events.push(json!({"type": "ping"}));
        }
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let used = material.used;
    events.push(json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(material), "stop_sequence": null},
        "usage": {
            "input_tokens": used.input, "cache_read_input_tokens": used.cached,
            "cache_creation_input_tokens": used.written + used.written_hour, "output_tokens": used.output,
        },
    }));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(named).collect()
}
