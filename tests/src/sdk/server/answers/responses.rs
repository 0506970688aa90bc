//! OpenAI responses (openai-openapi `Response`, `ResponseStreamEvent`).

use serde_json::{Value, json};

use super::{Answer, CREATED, Material, TOKENS_PER_EVENT, named};
use crate::sdk::server::signature;
use crate::sdk::server::tokens::pieces;

/// The answer.
#[must_use]
pub fn answer(material: Material<'_>) -> Answer {
    if material.turn.stream {
        Answer::Events(events(material))
    } else {
        Answer::Json(response(material, output(material), true))
    }
}

fn response(material: Material<'_>, output: Vec<Value>, done: bool) -> Value {
    let (used, request) = (material.used, &material.turn.request);
    let given = |name: &str, default: Value| request.get(name).cloned().unwrap_or(default);
    let cut = material.reply.cut;
    let status = match (done, cut) {
        (false, _) => "in_progress",
        (true, true) => "incomplete",
        (true, false) => "completed",
    };
    let reason = if done && cut { json!({"reason": "max_output_tokens"}) } else { Value::Null };
    let usage = json!({
        "input_tokens": used.whole_input(),
        "input_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": 0},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.thinking},
        "total_tokens": used.whole_input() + used.output,
    });
    json!({
        "id": format!("resp_{}", material.number), "object": "response", "created_at": CREATED,
        "status": status, "error": null, "incomplete_details": reason,
        "instructions": given("instructions", Value::Null), "metadata": given("metadata", json!({})),
        "model": material.model.name, "output": output,
        "parallel_tool_calls": given("parallel_tool_calls", json!(true)),
        "temperature": 1.0, "top_p": 1.0, "top_logprobs": 0,
        "tool_choice": given("tool_choice", json!("auto")), "tools": given("tools", json!([])),
        "background": false, "max_output_tokens": given("max_output_tokens", Value::Null),
        "max_tool_calls": null, "previous_response_id": null, "prompt_cache_key": null,
        "reasoning": {"effort": "medium", "summary": null}, "safety_identifier": null,
        "service_tier": "default", "store": false,
        "text": given("text", json!({"format": {"type": "text"}, "verbosity": "medium"})),
        "truncation": "disabled", "user": null,
        "usage": if done { usage } else { Value::Null },
    })
}

fn output(material: Material<'_>) -> Vec<Value> {
    let (turn, reply) = (material.turn, material.reply);
    let status = if reply.cut { "incomplete" } else { "completed" };
    let mut items = Vec::new();
    if turn.thinks {
        let summary = if turn.shows_thinking && !reply.thinking.is_empty() {
            json!([{"type": "summary_text", "text": "I mull it over."}])
        } else {
            json!([])
        };
        let mut item =
            json!({"id": format!("rs_{}", material.number), "type": "reasoning", "summary": summary});
        if turn.encrypted {
            item["encrypted_content"] = json!(signature::seal(material.model.name, &reply.thinking));
        }
        items.push(item);
    }
    if !reply.text.is_empty() {
        items.push(json!({
            "id": format!("msg_{}", material.number), "type": "message", "role": "assistant", "status": status,
            "content": [{"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}],
        }));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        items.push(json!({
            "id": format!("fc_{}_{index}", material.number), "type": "function_call", "status": status,
            "call_id": format!("call_{}_{index}", material.number), "name": call.name,
            "arguments": call.arguments,
        }));
    }
    items
}

fn events(material: Material<'_>) -> Vec<String> {
    let items = output(material);
    let mut events = Vec::new();
    for kind in ["response.created", "response.in_progress"] {
        events.push(json!({"type": kind, "response": response(material, Vec::new(), false)}));
    }
    for (index, item) in items.iter().enumerate() {
        of_item(index, item, &mut events);
    }
    let kind = if material.reply.cut { "response.incomplete" } else { "response.completed" };
    events.push(json!({"type": kind, "response": response(material, items, true)}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events.iter().map(named).collect()
}

fn of_item(index: usize, item: &Value, events: &mut Vec<Value>) {
    let mut begun = item.clone();
    if item["type"] != "reasoning" {
        begun["status"] = json!("in_progress");
    }
    for (member, empty) in [("content", json!([])), ("arguments", json!("")), ("summary", json!([]))] {
        if begun.get(member).is_some() {
            begun[member] = empty;
        }
    }
    events.push(json!({"type": "response.output_item.added", "output_index": index, "item": begun}));
    let event = |kind: &str, further: Value| {
        let mut event = json!({"type": kind, "item_id": item["id"], "output_index": index});
        for (name, value) in further.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        event
    };
    match item["type"].as_str() {
        Some("message") => {
            let part = &item["content"][0];
            let text = part["text"].as_str().unwrap_or_default();
            let empty = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
            events.push(event("response.content_part.added", json!({"content_index": 0, "part": empty})));
            for piece in pieces(text, TOKENS_PER_EVENT) {
                let further =
                    json!({"content_index": 0, "delta": piece, "logprobs": [], "obfuscation": "x1y2"});
                events.push(event("response.output_text.delta", further));
            }
            let done = json!({"content_index": 0, "text": text, "logprobs": []});
            events.push(event("response.output_text.done", done));
            events.push(event("response.content_part.done", json!({"content_index": 0, "part": part})));
        }
        Some("function_call") => {
            let arguments = item["arguments"].as_str().unwrap_or_default();
            for piece in pieces(arguments, TOKENS_PER_EVENT) {
                let further = json!({"delta": piece, "obfuscation": "x1y2"});
                events.push(event("response.function_call_arguments.delta", further));
            }
            let done = json!({"arguments": arguments, "name": item["name"]});
            events.push(event("response.function_call_arguments.done", done));
        }
        _ => {
            for (number, part) in item["summary"].as_array().into_iter().flatten().enumerate() {
                let at = |further: Value| {
                    let mut all = json!({"summary_index": number});
                    for (name, value) in further.as_object().into_iter().flatten() {
                        all[name] = value.clone();
                    }
                    all
                };
                let empty = json!({"type": "summary_text", "text": ""});
                events.push(event("response.reasoning_summary_part.added", at(json!({"part": empty}))));
                let text = &part["text"];
                events.push(event("response.reasoning_summary_text.delta", at(json!({"delta": text}))));
                events.push(event("response.reasoning_summary_text.done", at(json!({"text": text}))));
                events.push(event("response.reasoning_summary_part.done", at(json!({"part": part}))));
            }
        }
    }
    events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
}
