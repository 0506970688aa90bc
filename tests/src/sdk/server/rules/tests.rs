//! What each API refuses, one row each.

use serde_json::{Value, json};

use super::{chat, generate, messages, responses};
use crate::sdk::models::{MODELS, Model};
use crate::sdk::server::signature;
use crate::sdk::server::turn::Understood;

fn model(name: &str) -> &'static Model {
    MODELS.iter().find(|model| model.name == name).unwrap()
}

/// A body with some members set.
fn with(mut body: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn check(rows: Vec<(Value, &str)>, good: Value, read: impl Fn(Value) -> Understood) {
    read(good.clone()).unwrap();
    for (changes, words) in rows {
        let refusal = read(with(good.clone(), changes.clone())).expect_err(&changes.to_string());
        assert!(refusal.message.contains(words), "{changes}: {}", refusal.message);
    }
}

#[test]
fn chat_refuses_what_the_api_refuses() {
    let user = json!({"role": "user", "content": "hi"});
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let called = json!({"role": "assistant", "tool_calls": [call]});
    let tool = |parameters: Value| json!([{"type": "function", "function": {"name": "f", "strict": true, "parameters": parameters}}]);
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let rows = vec![
        (json!({"model": "gpt-5-mini"}), "does not exist"),
        (json!({"unknown": 1}), "Unrecognized request argument supplied: unknown"),
        (json!({"max_tokens": 5}), "Use 'max_completion_tokens'"),
        (json!({"max_completion_tokens": 0}), "max_completion_tokens"),
        (json!({"max_completion_tokens": 128_001}), "max_completion_tokens"),
        (json!({"max_completion_tokens": "5"}), "max_completion_tokens"),
        (json!({"stream_options": {"include_usage": true}}), "only allowed when 'stream'"),
        (json!({"temperature": 0.5}), "Unsupported value"),
        (json!({"tool_choice": "auto"}), "only allowed when 'tools'"),
        (json!({"tools": tool(open)}), "additionalProperties"),
        (json!({"messages": [user, called, user]}), "must be followed by tool messages"),
        (
            json!({"messages": [user, {"role": "tool", "tool_call_id": "c", "content": "x"}]}),
            "preceeding message",
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi", "reasoning_content": "x"}]}),
            "reasoning_content",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]}),
            "image",
        ),
    ];
    let good = json!({"model": "gpt-5.1", "messages": [user]});
    check(rows, good, |body| chat::read(model("gpt-5.1"), body));
}

#[test]
fn responses_refuse_what_the_api_refuses() {
    let output = json!({"type": "function_call_output", "call_id": "c", "output": "x"});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let sealed = |model: &str| json!({"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": signature::seal(model, "x")});
    let rows = vec![
        (json!({"unknown": 1}), "Unknown parameter: 'unknown'"),
        (json!({"max_output_tokens": 15}), "max_output_tokens"),
        (json!({"max_output_tokens": 128_001}), "max_output_tokens"),
        (json!({"previous_response_id": "r"}), "not found"),
        (json!({"input": [output]}), "No tool call found"),
        (json!({"input": [call]}), "No tool output found"),
        (json!({"input": [sealed("gpt-5-mini")]}), "could not be verified"),
        (json!({"input": [{"type": "reasoning", "id": "rs", "summary": []}]}), "not persisted"),
        (json!({"input": [with(call.clone(), json!({"id": "fc"})), output]}), "required 'reasoning' item"),
    ];
    let good = json!({"model": "gpt-5.1", "input": [sealed("gpt-5.1"), call, output], "store": false});
    check(rows, good, |body| responses::read(model("gpt-5.1"), body));
}

#[test]
fn messages_refuse_what_the_api_refuses() {
    let user = json!({"role": "user", "content": "hi"});
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]});
    let said = |blocks: Value| json!({"role": "assistant", "content": blocks});
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
    let thought =
        |model: &str| json!({"type": "thinking", "thinking": "x", "signature": signature::sign(model, "x")});
    let thinking = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let own = thought("claude-haiku-4-5");
    let rows = vec![
        (json!({"unknown": 1}), "unknown: Extra inputs are not permitted"),
        (json!({"max_tokens": null}), "max_tokens: Field required"),
        (json!({"max_tokens": 64_001}), "max_tokens"),
        (json!({"thinking": thinking(1023)}), "greater than or equal to 1024"),
        (json!({"thinking": thinking(2000)}), "`max_tokens` must be greater"),
        (json!({"thinking": {"type": "adaptive"}}), "adaptive thinking is not supported"),
        (json!({"output_config": {"effort": "low"}}), "does not support the effort parameter"),
        (json!({"thinking": thinking(1024), "temperature": 0.5}), "`temperature`"),
        (json!({"messages": [user, said(json!([call])), user]}), "without `tool_result`"),
        (json!({"messages": [user, result]}), "unexpected `tool_use_id`"),
        (json!({"messages": [user, said(json!([thought("claude-opus-4-6")])), user]}), "Invalid `signature`"),
        (
            json!({"thinking": thinking(1024), "messages": [user, said(json!([call])), result]}),
            "Expected `thinking`",
        ),
        (json!({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}), "non-empty"),
    ];
    let messages = json!([user, said(json!([own, call])), result]);
    let good = json!({"model": "claude-haiku-4-5", "max_tokens": 2000, "messages": messages});
    check(rows, good, |body| messages::read(model("claude-haiku-4-5"), body, false));
}

#[test]
fn gemini_refuses_what_the_api_refuses() {
    let config = |config: Value| json!({"generationConfig": config});
    let content = |role: &str, part: Value| json!({"role": role, "parts": [part]});
    let call = content("model", json!({"functionCall": {"name": "f", "args": {}}}));
    let signed =
        |model: &str| content("model", json!({"text": "x", "thoughtSignature": signature::seal(model, "x")}));
    let rows = vec![
        (json!({"unknown": 1}), "Unknown name \"unknown\""),
        (config(json!({"max_output_tokens": 65_537})), "maxOutputTokens"),
        (config(json!({"thinkingConfig": {"thinkingBudget": 127}})), "thinking budget"),
        (config(json!({"thinkingConfig": {"thinkingBudget": 0}})), "thinking budget"),
        (config(json!({"responseSchema": {"type": "OBJECT"}})), "application/json"),
        (json!({"contents": [call]}), "followed by a function response turn"),
        (json!({"contents": [call, content("user", json!({"text": "x"}))]}), "equal to the number"),
        (json!({"contents": [signed("gemini-2.5-flash")]}), "signature is not valid"),
    ];
    let good = json!({"contents": [content("user", json!({"text": "hi"})), signed("gemini-2.5-pro")]});
    check(rows, good, |body| generate::read(model("gemini-2.5-pro"), body, false));
}
