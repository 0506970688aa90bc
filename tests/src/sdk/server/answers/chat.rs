//! OpenAI chat completions (openai-openapi `CreateChatCompletionResponse`, `CreateChatCompletionStreamResponse`).

use serde_json::{Value, json};

use super::{Answer, CREATED, Material, TOKENS_PER_EVENT, data};
use crate::sdk::server::reply::Call;
use crate::sdk::server::tokens::pieces;

/// The answer.
#[must_use]
pub fn answer(material: Material<'_>) -> Answer {
    if material.turn.stream { Answer::Events(events(material)) } else { Answer::Json(document(material)) }
}

fn finish(material: Material<'_>) -> &'static str {
    match material.reply {
        reply if reply.cut => "length",
        reply if !reply.calls.is_empty() => "tool_calls",
        _ => "stop",
    }
}

fn usage(material: Material<'_>) -> Value {
    let used = material.used;
    json!({
        "prompt_tokens": used.whole_input(),
        "completion_tokens": used.output,
        "total_tokens": used.whole_input() + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": used.thinking, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

fn id(material: Material<'_>) -> String {
    format!("chatcmpl-{}", material.number)
}

fn call_id(material: Material<'_>, index: usize) -> String {
    format!("call_{}_{index}", material.number)
}

fn document(material: Material<'_>) -> Value {
    let reply = material.reply;
    let mut message = json!({
        "role": "assistant", "content": reply.text, "refusal": null, "annotations": [],
    });
    if !reply.calls.is_empty() {
        let call = |(index, call): (usize, &Call)| {
            json!({
                "id": call_id(material, index), "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })
        };
        message["content"] = Value::Null;
        message["tool_calls"] = reply.calls.iter().enumerate().map(call).collect();
    }
    json!({
        "id": id(material), "object": "chat.completion", "created": CREATED, "model": material.model.name,
        "choices": [{
            "index": 0, "message": message, "logprobs": null, "finish_reason": finish(material),
        }],
        "usage": usage(material), "service_tier": "default", "system_fingerprint": null,
    })
}

fn events(material: Material<'_>) -> Vec<String> {
    let chunk = |choices: Value| {
        let mut chunk = json!({
            "id": id(material), "object": "chat.completion.chunk", "created": CREATED,
            "model": material.model.name, "service_tier": "default", "system_fingerprint": null,
            "choices": choices, "obfuscation": "x1y2z3",
        });
        if material.turn.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let delta =
        |delta: Value| chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]));
    let reply = material.reply;
    let mut chunks = vec![delta(json!({"role": "assistant", "content": "", "refusal": null}))];
    for piece in pieces(&reply.text, TOKENS_PER_EVENT) {
        chunks.push(delta(json!({"content": piece})));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        chunks.push(delta(json!({"tool_calls": [{
            "index": index, "id": call_id(material, index), "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }]})));
        for piece in pieces(&call.arguments, TOKENS_PER_EVENT) {
            chunks.push(delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})));
        }
    }
    let last = json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": finish(material)}]);
    chunks.push(chunk(last));
    if material.turn.include_usage {
        let mut last = chunk(json!([]));
        last["usage"] = usage(material);
        chunks.push(last);
    }
    chunks.iter().map(data).chain(["data: [DONE]\n\n".to_owned()]).collect()
}
