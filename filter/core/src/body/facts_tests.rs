use super::*;
use crate::body::rewrite::RequestBody;
use crate::config::{MembersConfig, StoredState};
use serde_json::{Value, json};

fn facts(body: &Value) -> BodyFacts {
    let stored_state = StoredState::Allow;
    let members = Members::new(&MembersConfig { stored_state, ..MembersConfig::default() });
    facts_with(Api::OpenAiChat, members, body)
}

fn facts_of(api: Api, body: &Value) -> BodyFacts {
    facts_with(api, Members::default(), body)
}

fn facts_with(api: Api, members: Members, body: &Value) -> BodyFacts {
    let mut scanned = RequestBody::with_members(api, Arc::new(members));
    scanned.scan(body.to_string().as_bytes());
    let facts = scanned.facts();
    assert!(facts.read.complete);
    facts
}

#[test]
fn model_limit_and_stream_are_read() {
    let found = facts(&json!({"model": "auto", "max_tokens": 7, "max_completion_tokens": 9, "stream": true}));
    assert_eq!((found.requested_model.as_deref(), found.stream), (Some("auto"), true));
    assert_eq!(found.max_output_tokens, Some(9));
}

#[test]
fn the_limit_is_read_where_each_api_has_it() {
    let own = [
        (Api::OpenAiChat, json!({"max_tokens": 9})),
        (Api::OpenAiChat, json!({"max_completion_tokens": 9})),
        (Api::OpenAiResponses, json!({"max_output_tokens": 9})),
        (Api::AnthropicMessages, json!({"max_tokens": 9})),
        (Api::GeminiGenerate, json!({"generationConfig": {"maxOutputTokens": 9}})),
        (Api::GeminiGenerate, json!({"generation_config": {"max_output_tokens": 9}})),
        (Api::BedrockConverse, json!({"inferenceConfig": {"maxTokens": 9}})),
    ];
    for (api, body) in own {
        assert_eq!(facts_of(api, &body).max_output_tokens, Some(9), "{api:?} {body}");
    }
}

#[test]
fn a_limit_that_the_api_does_not_have_is_not_believed() {
    let others = [
        (Api::OpenAiChat, json!({"metadata": {"max_tokens": 9}})),
        (Api::OpenAiChat, json!({"max_output_tokens": 9})),
        (Api::OpenAiChat, json!({"n_predict": 9, "Max_Tokens": 9})),
        (Api::OpenAiResponses, json!({"max_tokens": 9})),
        (Api::AnthropicMessages, json!({"max_completion_tokens": 9})),
        (Api::GeminiGenerate, json!({"maxOutputTokens": 9})),
        (Api::BedrockConverse, json!({"maxTokens": 9})),
    ];
    for (api, body) in others {
        assert_eq!(facts_of(api, &body).max_output_tokens, None, "{api:?} {body}");
    }
}

#[test]
fn of_several_limits_the_largest_counts() {
    let found = facts_of(Api::OpenAiChat, &json!({"max_completion_tokens": 9, "max_tokens": 700}));
    assert_eq!(found.max_output_tokens, Some(700));
    let mut body = RequestBody::default();
    body.scan(br#"{"max_tokens":700,"max_tokens":9,"n":5,"n":1}"#);
    assert_eq!((body.facts().max_output_tokens, body.facts().answers), (Some(3500), 5));
}

#[test]
fn what_a_request_may_not_ask_for_is_named() {
    let member = |name: &str| Some(Forbidden::Member(name.to_owned()));
    let tool = |kind: &str| Some(Forbidden::Tool(kind.to_owned()));
    let cases = [
        (Api::OpenAiChat, json!({"Models": ["a"]}), member("models")),
        (Api::OpenAiChat, json!({"web_search_options": {}}), member("web_search_options")),
        (Api::OpenAiChat, json!({"background": true}), member("background")),
        (Api::OpenAiResponses, json!({"previous_response_id": "r"}), member("previous_response_id")),
        (Api::OpenAiResponses, json!({"prompt": {"id": "p"}}), member("prompt")),
        (Api::GeminiGenerate, json!({"cachedContent": "c"}), member("cachedContent")),
        (
            Api::GeminiGenerate,
            json!({"generationConfig": {"responseModalities": ["IMAGE"]}}),
            member("responseModalities"),
        ),
        (Api::OpenAiChat, json!({"stream": 1}), Some(Forbidden::Stream)),
        (Api::OpenAiChat, json!({"stream": "true"}), Some(Forbidden::Stream)),
        (Api::OpenAiResponses, json!({"tools": [{"type": "web_search"}]}), tool("web_search")),
        (
            Api::OpenAiResponses,
            json!({"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}),
            tool("mcp"),
        ),
        (
            Api::AnthropicMessages,
            json!({"tools": [{"type": "code_execution_20250825", "name": "x"}]}),
            tool("code_execution_20250825"),
        ),
        (Api::GeminiGenerate, json!({"tools": [{"googleSearch": {}}]}), tool("built-in")),
        (
            Api::BedrockConverse,
            json!({"toolConfig": {"tools": [{"systemTool": {"name": "x"}}]}}),
            tool("built-in"),
        ),
        (Api::OpenAiChat, json!({"tools": [{"type": ["function"]}]}), tool("")),
        (Api::OpenAiChat, json!({"Tools": [{"type": "web_search"}]}), tool("web_search")),
        (Api::OpenAiChat, json!({"tools": [{"Type": "web_search"}]}), tool("web_search")),
        (Api::OpenAiChat, json!({"tools": {"type": "web_search"}}), tool("")),
        (Api::OpenAiChat, json!({"tools": ["web_search"]}), tool("")),
        (Api::GeminiGenerate, json!({"tools": {"googleSearch": {}}}), tool("")),
        (Api::BedrockConverse, json!({"ToolConfig": {"TOOLS": [{"systemTool": {}}]}}), tool("built-in")),
        (
            Api::BedrockConverse,
            json!({"additionalModelRequestFields": {"tools": [{"type": "web_search_20250305"}]}}),
            tool("web_search_20250305"),
        ),
    ];
    for (api, body, expected) in cases {
        assert_eq!(facts_of(api, &body).forbidden, expected, "{api:?} {body}");
    }
}

#[test]
fn what_honest_clients_send_is_allowed() {
    let cases = [
        (Api::OpenAiChat, json!({"stream": true, "background": null, "models": [], "audio": null, "n": 1})),
        (
            Api::OpenAiChat,
            json!({"metadata": {"route": "x"}, "response_format": {"type": "json_schema",
            "json_schema": {"schema": {"properties": {"models": {}}}}}, "tools": [{"type": "function",
            "function": {"name": "f", "parameters": {"properties": {"route": {"type": "string"}}}}}]}),
        ),
        (
            Api::OpenAiResponses,
            json!({"store": false, "include": ["reasoning.encrypted_content"],
            "parallel_tool_calls": true, "reasoning": {"effort": "high"}, "tools": [{"type": "custom", "name": "x"},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]}]}),
        ),
        (
            Api::AnthropicMessages,
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            "tools": [{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]}),
        ),
        (
            Api::GeminiGenerate,
            json!({"tools": [{"functionDeclarations": []}], "safetySettings": [],
            "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}, "responseSchema": {"properties": {"audio": {}}}}}),
        ),
        (
            Api::BedrockConverse,
            json!({"toolConfig": {"tools": [{"toolSpec": {"name": "f"}}, {"cachePoint": {}}],
            "toolChoice": {"auto": {}}}}),
        ),
    ];
    for (api, body) in cases {
        assert_eq!(facts_of(api, &body).forbidden, None, "{api:?} {body}");
    }
}

#[test]
fn a_limit_that_is_not_a_count_is_ignored() {
    for limit in ["-1", "1.5", "\"9\"", "null", "1e3", "{}", "99999999999999999999"] {
        let mut body = RequestBody::default();
        body.scan(format!("{{\"max_tokens\":{limit}}}").as_bytes());
        assert_eq!(body.facts().max_output_tokens, None, "{limit}");
    }
}

#[test]
fn a_thinking_budget_is_read_where_anthropic_and_bedrock_have_it() {
    let thinking = json!({"type": "enabled", "budget_tokens": 2048});
    assert_eq!(facts(&json!({"thinking": thinking})).wants.thinking_tokens, Some(2048));
    let bedrock = json!({"additionalModelRequestFields": {"thinking": thinking}});
    assert_eq!(facts(&bedrock).wants.thinking_tokens, Some(2048));
    assert_eq!(facts(&json!({"thinking": {"type": "disabled"}})).wants.thinking_tokens, None);
}

#[test]
fn several_answers_multiply_the_limit() {
    let found = facts(&json!({"n": 4, "max_tokens": 100}));
    assert_eq!((found.answers, found.max_output_tokens), (4, Some(400)));
    assert_eq!(facts(&json!({"generationConfig": {"candidateCount": 2}})).answers, 2);
    assert_eq!((facts(&json!({"n": null})).answers, facts(&json!({"n": 0})).answers), (1, 1));
}

#[test]
fn a_tool_loop_is_open_while_its_result_is_the_last_message() {
    let user = json!({"role": "user", "content": "hi"});
    let open = [
        json!({"messages": [user, {"role": "tool", "tool_call_id": "c", "content": "42"}]}),
        json!({"messages": [user, {"role": "user", "content": [{"type": "tool_result", "content": "42"}]}]}),
        json!({"messages": [user, {"content": [{"text": "so"}, {"type": "tool_result"}], "role": "user"}]}),
        json!({"input": [user, {"type": "function_call_output", "call_id": "c", "output": "42"}]}),
        json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}),
        json!({"messages": [user, {"role": "user", "content": [{"toolResult": {"toolUseId": "t"}}]}]}),
    ];
    for mut body in open {
        assert!(facts(&body).open_tool_loop, "{body}");
        for list in ["messages", "input", "contents"] {
            if let Some(list) = body.get_mut(list).and_then(Value::as_array_mut) {
                list.push(user.clone());
            }
        }
        assert!(!facts(&body).open_tool_loop, "{body}");
    }
}

#[test]
fn arguments_and_results_of_tools_are_not_messages() {
    let call = json!({"type": "tool_use", "input": {"type": "tool_result", "signature": "s", "image": {}}});
    let found = facts(&json!({"messages": [{"role": "assistant", "content": [call]}]}));
    assert!(!found.open_tool_loop && !found.provider_state && !found.wants.images);
    let call = json!({"functionCall": {"args": {"functionResponse": {}, "inlineData": {}}}});
    let found = facts(&json!({"contents": [{"role": "model", "parts": [call]}]}));
    assert!(!found.open_tool_loop && !found.wants.images);
}

#[test]
fn thinking_is_signed_when_it_carries_a_signature() {
    let content = |part: Value| json!({"messages": [{"role": "assistant", "content": [part]}]});
    let signed = [
        content(json!({"type": "thinking", "thinking": "hm", "signature": "Eq=="})),
        content(json!({"type": "redacted_thinking", "data": "x"})),
        json!({"input": [{"type": "reasoning", "encrypted_content": "gAAA"}]}),
        json!({"contents": [{"parts": [{"text": "x", "thoughtSignature": "s"}]}]}),
        content(json!({"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}})),
    ];
    for body in signed {
        assert!(facts(&body).provider_state, "{body}");
    }
    for body in [
        content(json!({"type": "thinking", "thinking": "hm", "signature": ""})),
        json!({"input": [{"type": "reasoning", "encrypted_content": null}]}),
    ] {
        assert!(!facts(&body).provider_state, "{body}");
    }
}

#[test]
fn images_are_seen_in_messages_and_in_results_of_tools() {
    let content = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let with_image = [
        content(json!({"type": "image_url", "image_url": {"url": "data:"}})),
        content(json!({"type": "image", "source": {}})),
        content(json!({"type": "tool_result", "content": [{"type": "image", "source": {}}]})),
        content(json!({"toolResult": {"content": [{"image": {"format": "png"}}]}})),
        json!({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}),
        json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png"}}]}]}),
    ];
    for body in with_image {
        assert!(facts(&body).wants.images, "{body}");
    }
    assert!(!facts(&content(json!({"type": "text", "text": "\"type\":\"image\""}))).wants.images);
}

#[test]
fn tools_json_and_stored_history_are_seen() {
    assert!(
        facts(&json!({"tools": [{}]})).read.has_tools
            && facts(&json!({"toolConfig": {"tools": [{}]}})).read.has_tools
    );
    assert!(!facts(&json!({"tools": [], "functions": null})).read.has_tools);
    let json_formats = [
        json!({"response_format": {"type": "json_schema", "json_schema": {}}}),
        json!({"text": {"format": {"type": "json_object"}}}),
        json!({"generationConfig": {"responseMimeType": "application/json"}}),
    ];
    for body in json_formats {
        assert!(facts(&body).wants.structure.is_some(), "{body}");
    }
    let plain = json!({"response_format": {"type": "text"}, "text": {"format": {}}});
    assert!(facts(&plain).wants.structure.is_none());
    let long = "r".repeat(300);
    assert!(facts(&json!({"previous_response_id": long})).previous_response_id);
    assert!(!facts(&json!({"previous_response_id": null})).previous_response_id);
    assert!(!facts(&json!({"previous_response_id": ""})).previous_response_id);
}

#[test]
fn messages_are_counted() {
    assert_eq!(facts(&json!({"messages": [{"content": [{}, {}]}, {}, 1]})).messages, 3);
    assert_eq!(facts(&json!({"input": "hello"})).messages, 1);
    assert_eq!(facts(&json!({"messages": []})).messages, 0);
}

#[test]
fn session_ids_are_read_decoded_and_capped() {
    let body = json!({
        "metadata": {"session_id": "s\u{e9}\n", "user_id": "u", "deep": {"session_id": "no"}},
        "conversation": {"id": "c"}, "prompt_cache_key": "k", "user": "x".repeat(255),
    });
    let ids = facts(&body).session_ids;
    assert_eq!(ids.metadata_session_id.as_deref(), Some("s\u{e9}\n".as_bytes()));
    assert_eq!(ids.metadata_user_id.as_deref(), Some(&b"u"[..]));
    assert_eq!(ids.conversation.as_deref(), Some(&b"c"[..]));
    assert_eq!(ids.prompt_cache_key.as_deref(), Some(&b"k"[..]));
    assert_eq!(ids.user.map(|user| user.len()), Some(255));
    let ids =
        facts(&json!({"conversation": "c", "user": "x".repeat(256), "prompt_cache_key": ""})).session_ids;
    assert_eq!(ids, BodySessionIds { conversation: Some(b"c".to_vec()), ..BodySessionIds::default() });
    let ids = facts(&json!({"user": 5, "metadata": null, "conversation": null})).session_ids;
    assert_eq!(ids, BodySessionIds::default());
}

#[test]
fn facts_of_half_a_body_are_incomplete() {
    let mut body = RequestBody::default();
    body.scan(br#"{"model":"auto","messages":[{"role":"tool","content":"4"#);
    let found = body.facts();
    assert!(!found.read.complete && found.open_tool_loop);
    assert_eq!((found.requested_model.as_deref(), found.messages), (Some("auto"), 1));
}

#[test]
fn the_path_may_name_the_model_and_ask_for_a_stream() {
    let found = facts(&json!({"model": "body"})).of_path(Some("auto"), true);
    assert_eq!((found.requested_model.as_deref(), found.stream), (Some("auto"), true));
    let found = facts(&json!({"model": "body"})).of_path(None, false);
    assert_eq!((found.requested_model.as_deref(), found.stream), (Some("body"), false));
}

#[test]
fn the_last_message_of_the_user_is_counted_wherever_an_api_puts_its_text() {
    let expected = TextFeatures::of("Prove \"it\",\nplease");
    let text = "Prove \"it\",\nplease";
    let bodies = [
        json!({"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "no"},
            {"role": "assistant", "content": "yes"}, {"role": "user", "content": text}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "text", "text": text}]},
            {"role": "assistant", "content": [{"type": "tool_use", "input": {"text": "no"}}]},
            {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "no"}]}]}]}),
        json!({"messages": [{"role": "user", "content": [{"text": "Prove \"it\","}, {"text": "please"}]}]}),
        json!({"contents": [{"role": "user", "parts": [{"text": text}]}, {"role": "model", "parts": [{"text": "x"}]}]}),
        json!({"contents": [{"parts": [{"text": text}]}]}),
        json!({"input": text}),
        json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": text}]},
            {"type": "function_call_output", "output": "no"}]}),
    ];
    for body in bodies {
        assert_eq!(facts(&body).text, expected, "{body}");
    }
    assert!(facts(&json!({"messages": [{"role": "system", "content": "no"}]})).text.is_empty());
}

#[test]
fn the_text_read_so_far_of_a_cut_body_counts() {
    let mut body = RequestBody::default();
    body.scan(br#"{"messages":[{"role":"user","content":"one"},{"role":"user","content":"two thr"#);
    assert_eq!(body.facts().text, TextFeatures::of("two thr"));
}

#[test]
fn an_answer_that_the_provider_keeps_is_known() {
    let allow = MembersConfig {
        stored_state: StoredState::Allow,
        allow: vec!["background".to_owned()],
        ..MembersConfig::default()
    };
    let allow = Arc::new(Members::new(&allow));
    let detached = |api: Api, text: &str| {
        let mut body = RequestBody::with_members(api, allow.clone());
        body.scan(text.as_bytes());
        body.facts().detached
    };
    let cases = [
        ("{}", false, true),
        (r#"{"store":false}"#, false, false),
        (r#"{"store":null}"#, false, true),
        (r#"{"store":true}"#, true, true),
        (r#"{"st\u006fre":1}"#, true, true),
        (r#"{"store":"false"}"#, true, true),
        (r#"{"store":true,"store":false}"#, true, true),
        (r#"{"store":false,"store":[]}"#, true, true),
        (r#"{"store":false,"background":true}"#, true, true),
        (r#"{"store":false,"background":false}"#, false, false),
        (r#"{"store":false,"conversation":"c"}"#, false, true),
        (r#"{"store":false,"conversation":{"id":"c"}}"#, false, true),
        (r#"{"store":false,"conversation":null}"#, false, false),
        (r#"{"store":false,"metadata":{"store":true}}"#, false, false),
    ];
    for (text, chat, responses) in cases {
        assert_eq!(detached(Api::OpenAiChat, text), chat, "{text}");
        assert_eq!(detached(Api::OpenAiResponses, text), responses, "{text}");
    }
}

#[test]
fn an_answer_is_not_kept_where_store_is_sent_as_false() {
    for text in ["{}", r#"{"store":true}"#] {
        let mut body = RequestBody::new(Api::OpenAiResponses);
        body.scan(text.as_bytes());
        assert!(!body.facts().detached, "{text}");
    }
}
