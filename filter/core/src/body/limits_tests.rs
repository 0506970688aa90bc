//! Tests of what becomes of limits and of the members that decide on the price.

use super::tests::{chat, rewritten};
use super::*;
use crate::config::LimitMember;

#[test]
fn the_limit_is_lowered_where_each_api_has_it() {
    let cases = [
        (Api::OpenAiChat, r#"{"model":"m","max_tokens":900}"#, r#"{"model":"large","max_tokens":50}"#),
        (
            Api::OpenAiChat,
            r#"{"model":"m","max_completion_tokens":900}"#,
            r#"{"model":"large","max_completion_tokens":50}"#,
        ),
        (Api::OpenAiChat, r#"{"model":"m"}"#, r#"{"model":"large","max_completion_tokens":50}"#),
        (
            Api::OpenAiResponses,
            r#"{"model":"m"}"#,
            r#"{"model":"large","max_output_tokens":50,"store":false}"#,
        ),
        (
            Api::OpenAiResponses,
            r#"{"max_output_tokens":51,"model":"m","maxOutputTokens":1,"store":true}"#,
            r#"{"max_output_tokens":50,"model":"large","maxOutputTokens":1,"store":false}"#,
        ),
        (Api::AnthropicMessages, r#"{"model":"m"}"#, r#"{"model":"large","max_tokens":50}"#),
        (
            Api::GeminiGenerate,
            r#"{"contents":[]}"#,
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":50}}"#,
        ),
        (
            Api::GeminiGenerate,
            r#"{"generationConfig":{"temperature":1},"model":"m"}"#,
            r#"{"generationConfig":{"temperature":1,"maxOutputTokens":50},"model":"m"}"#,
        ),
        (
            Api::GeminiGenerate,
            r#"{"generation_config":{"max_output_tokens":51}}"#,
            r#"{"generation_config":{"max_output_tokens":50}}"#,
        ),
        (
            Api::GeminiGenerate,
            r#"{"generationConfig":null}"#,
            r#"{"generationConfig":{"maxOutputTokens":50}}"#,
        ),
        (Api::BedrockConverse, r#"{"inferenceConfig":{}}"#, r#"{"inferenceConfig":{"maxTokens":50}}"#),
        (
            Api::BedrockConverse,
            r#"{"inferenceConfig":{"maxTokens":80},"modelId":"m"}"#,
            r#"{"inferenceConfig":{"maxTokens":50},"modelId":"m"}"#,
        ),
        (Api::BedrockConverse, "{}", r#"{"inferenceConfig":{"maxTokens":50}}"#),
    ];
    for (api, text, expected) in cases {
        assert_eq!(rewritten(api, text, &[], Some(50)).0, expected, "{api:?}");
    }
}

#[test]
fn every_member_that_a_server_may_obey_as_a_limit_is_lowered() {
    let cases = [
        (
            r#"{"model":"m","max_tokens":1,"n_predict":-1}"#,
            r#"{"model":"large","max_tokens":1,"n_predict":1}"#,
        ),
        (
            r#"{"model":"m","max_tokens":2,"Max_New_Tokens":"9"}"#,
            r#"{"model":"large","max_tokens":2,"Max_New_Tokens":2}"#,
        ),
        (
            r#"{"model":"m","max_tokens":2,"x":{"num_predict":9,"y":{"num_predict":9}}}"#,
            r#"{"model":"large","max_tokens":2,"x":{"num_predict":2,"y":{"num_predict":9}}}"#,
        ),
        (
            r#"{"model":"m","max_tokens":2,"messages":[{"max_tokens":9}],"metadata":{"max_tokens":"9"}}"#,
            r#"{"model":"large","max_tokens":2,"messages":[{"max_tokens":9}],"metadata":null}"#,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(chat(text, None), expected);
    }
}

#[test]
fn a_limit_behind_the_decision_is_lowered_to_the_one_that_was_reserved_for() {
    let text = r#"{"model":"m","max_tokens":5,"x":0,"max_tokens":100000,"max_completion_tokens":null}"#;
    let (found, _) = rewritten(Api::OpenAiChat, text, &[34], None);
    assert_eq!(found, r#"{"model":"large","max_tokens":5,"x":0,"max_tokens":5,"max_completion_tokens":5}"#);
}

#[test]
fn a_server_that_knows_max_tokens_alone_gets_it() {
    let limited = |text: &str| {
        let mut body = RequestBody::default();
        body.scan(text.as_bytes());
        let served_by = ServedBy { limit_member: LimitMember::MaxTokens, ..ServedBy::named("large") };
        body.decide(&served_by, Some(5));
        String::from_utf8(body.rewrite(text.as_bytes()).unwrap()).unwrap()
    };
    assert_eq!(limited(r#"{"model":"m"}"#), r#"{"model":"large","max_tokens":5}"#);
    assert_eq!(
        limited(r#"{"model":"m","max_completion_tokens":9}"#),
        r#"{"model":"large","max_completion_tokens":5,"max_tokens":5}"#
    );
    assert_eq!(limited(r#"{"model":"m","max_tokens":9}"#), r#"{"model":"large","max_tokens":5}"#);
}

#[test]
fn tier_store_and_odd_truth_values_become_what_was_reserved_for() {
    let cases = [
        (
            Api::OpenAiChat,
            r#"{"service_tier":"priority","model":"m"}"#,
            r#"{"service_tier":"default","model":"large"}"#,
        ),
        (
            Api::AnthropicMessages,
            r#"{"service_tier":"auto","model":"m"}"#,
            r#"{"service_tier":"standard_only","model":"large"}"#,
        ),
        (Api::OpenAiChat, r#"{"store":true,"model":"m"}"#, r#"{"store":false,"model":"large"}"#),
        (Api::OpenAiChat, r#"{"store":1,"model":"m"}"#, r#"{"store":false,"model":"large"}"#),
        (Api::OpenAiChat, r#"{"stream":"yes","model":"m"}"#, r#"{"stream":false,"model":"large"}"#),
        (Api::OpenAiChat, r#"{"model":"m","best_of":7}"#, r#"{"model":"large","best_of":7}"#),
    ];
    for (api, text, expected) in cases {
        assert_eq!(rewritten(api, text, &[], None).0, expected, "{api:?}");
    }
    let (late, _) = rewritten(Api::OpenAiChat, r#"{"model":"m","x":1,"best_of":7}"#, &[17], None);
    assert_eq!(late, r#"{"model":"large","x":1,"best_of":1}"#);
}

#[test]
fn a_limit_that_is_not_a_count_up_to_the_cap_becomes_the_cap() {
    for limit in [
        "0",
        "null",
        "-1",
        "51",
        "1e3",
        "5.5",
        "\"9\"",
        "{\"a\":[1]}",
        "[9]",
        "100000000000000000000000000000000",
    ] {
        let body = format!("{{\"model\":\"m\",\"max_tokens\":{limit}}}");
        for cut in [0, 28, 30, 32] {
            let (found, _) = rewritten(Api::OpenAiChat, &body, &[cut], Some(50));
            assert_eq!(found, r#"{"model":"large","max_tokens":50}"#, "{limit} cut at {cut}");
        }
    }
    let (kept, _) = rewritten(Api::OpenAiChat, r#"{"model":"m","max_tokens":50}"#, &[27], Some(50));
    assert_eq!(kept, r#"{"model":"large","max_tokens":50}"#);
}

#[test]
fn several_answers_share_the_cap_and_cannot_become_more() {
    let text = r#"{"model":"m","n":3,"max_tokens":90,"n":7}"#;
    let (found, _) = rewritten(Api::OpenAiChat, text, &[20], Some(60));
    assert_eq!(found, r#"{"model":"large","n":3,"max_tokens":20,"n":3}"#);
    let (found, _) = rewritten(Api::OpenAiChat, r#"{"model":"m","x":0,"n":7}"#, &[18], Some(60));
    assert_eq!(found, r#"{"model":"large","x":0,"n":1,"max_completion_tokens":60}"#);
}

/// What a server that is described like this gets of a chat.
fn served(served_by: ServedBy<'_>, text: &str, cap: Option<u64>) -> String {
    let mut body = RequestBody::default();
    body.scan(text.as_bytes());
    body.decide(&served_by, cap);
    String::from_utf8(body.rewrite(text.as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_limit_above_the_models_largest_is_lowered_to_it_and_none_is_added() {
    let served_by = ServedBy { max_output_tokens: Some(8192), ..ServedBy::named("large") };
    let chat = |text, cap| served(served_by, text, cap);
    assert_eq!(chat(r#"{"model":"m","max_tokens":32000}"#, None), r#"{"model":"large","max_tokens":8192}"#);
    assert_eq!(
        chat(r#"{"model":"m","max_tokens":32000}"#, Some(9000)),
        r#"{"model":"large","max_tokens":8192}"#
    );
    assert_eq!(chat(r#"{"model":"m","max_tokens":32000}"#, Some(9)), r#"{"model":"large","max_tokens":9}"#);
    assert_eq!(chat(r#"{"model":"m","max_tokens":80}"#, None), r#"{"model":"large","max_tokens":80}"#);
    assert_eq!(chat(r#"{"model":"m"}"#, None), r#"{"model":"large"}"#);
    assert_eq!(
        chat(r#"{"model":"m","n":2,"max_tokens":32000}"#, None),
        r#"{"model":"large","n":2,"max_tokens":8192}"#
    );
    // One that comes behind the decision.
    let (text, cut) = (r#"{"model":"m","messages":[],"max_tokens":32000}"#, 20);
    let mut body = RequestBody::default();
    body.scan(&text.as_bytes()[..cut]);
    body.decide(&served_by, None);
    let mut out = body.rewrite(&text.as_bytes()[..cut]).unwrap();
    body.scan(&text.as_bytes()[cut..]);
    out.extend(body.rewrite(&text.as_bytes()[cut..]).unwrap());
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"model":"large","messages":[],"max_tokens":8192}"#);
}

#[test]
fn a_server_that_refuses_stream_options_does_not_get_them() {
    let served_by = ServedBy { stream_usage: false, ..ServedBy::named("large") };
    let text = r#"{"model":"m","stream":true,"max_tokens":5}"#;
    assert_eq!(served(served_by, text, None), r#"{"model":"large","stream":true,"max_tokens":5}"#);
}
