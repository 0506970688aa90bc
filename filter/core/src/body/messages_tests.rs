//! Tests of what ties a conversation to its model.

use crate::body::facts::BodyFacts;
use crate::body::rewrite::RequestBody;
use serde_json::{Value, json};

fn facts(body: &Value) -> BodyFacts {
    let mut scanned = RequestBody::default();
    scanned.scan(body.to_string().as_bytes());
    scanned.facts()
}

#[test]
fn state_of_every_provider_is_seen() {
    let assistant = |members: Value| {
        let mut message = json!({"role": "assistant", "content": "4"});
        message.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        json!({"messages": [{"role": "user", "content": "2+2"}, message]})
    };
    let call = |members: Value| {
        let mut call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        call.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        assistant(json!({"tool_calls": [call]}))
    };
    let signed = [
        assistant(json!({"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}]})),
        assistant(json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]})),
        assistant(json!({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]})),
        assistant(json!({"provider_specific_fields": {"thought_signatures": ["s"]}})),
        assistant(json!({"extra_content": {"google": {"thought_signature": "s"}}})),
        assistant(json!({"reasoning_opaque": "x", "reasoning_text": "hm"})),
        assistant(json!({"reasoning_content": {"signature": "s", "text": "hm"}})),
        call(json!({"extra_content": {"google": {"thought_signature": "s"}}})),
        call(json!({"provider_specific_fields": {"thought_signature": "s"}})),
        json!({"input": [{"type": "compaction", "encrypted_content": "gAAA"}]}),
        json!({"input": [{"type": "item_reference", "id": "rs_1"}]}),
        json!({"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f"}, "thought_signature": "s"}]}]}),
        json!({"messages": [{"role": "assistant", "content": [{"type": "web_search_tool_result",
            "content": [{"type": "web_search_result", "encrypted_content": "x"}]}]}]}),
        json!({"messages": [{"role": "assistant", "content": [{"reasoningContent": {"redactedContent": "eA=="}}]}]}),
    ];
    for body in signed {
        assert!(facts(&body).provider_state, "{body}");
    }
    let unsigned = [
        assistant(json!({"reasoning_details": [], "thinking_blocks": null})),
        assistant(json!({"reasoning_content": "hm", "reasoning": "hm"})),
        call(json!({"function": {"name": "f", "arguments": "{\"signature\":\"s\"}"}})),
        call(json!({"function": {"name": "f", "arguments": {"signature": "s", "thought_signature": "s"}}})),
        json!({"messages": [{"role": "assistant", "content": [{"toolUse": {"input": {"signature": "s"}}}]}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]}),
    ];
    for body in unsigned {
        assert!(!facts(&body).provider_state, "{body}");
    }
}

#[test]
fn files_that_a_provider_keeps_are_seen() {
    let content = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for body in [
        content(json!({"type": "file", "file": {"file_id": "file-1"}})),
        content(json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}})),
        json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}),
        json!({"contents": [{"parts": [{"fileData": {"fileUri": "https://x/v1beta/files/1"}}]}]}),
    ] {
        assert!(facts(&body).kept_files, "{body}");
    }
    let inline = content(json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}}));
    assert!(!facts(&inline).kept_files);
}
