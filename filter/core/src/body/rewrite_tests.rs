use super::*;
use crate::wire::json::Progress;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What the upstream gets of `text`, cut at `cuts`, when everything was held until the first cut.
pub(super) fn rewritten(api: Api, text: &str, cuts: &[usize], cap: Option<u64>) -> (String, RequestBody) {
    let mut body = RequestBody::new(api);
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().filter(|cut| *cut < text.len()).chain([text.len()]) {
        let chunk = &text.as_bytes()[from..cut];
        body.scan(chunk);
        if from == 0 {
            body.decide(&ServedBy::named("large"), cap);
        }
        out.extend(body.rewrite(chunk).unwrap_or_else(|| chunk.to_vec()));
        from = cut;
    }
    (String::from_utf8(out).unwrap(), body)
}

pub(super) fn chat(text: &str, cap: Option<u64>) -> String {
    rewritten(Api::OpenAiChat, text, &[], cap).0
}

#[test]
fn only_the_model_changes() {
    let text = r#"{"messages":[{"model":"no"}],  "model" : "auto","max_tokens":5}"#;
    let expected = r#"{"messages":[{"model":"no"}],  "model" : "large","max_tokens":5}"#;
    assert_eq!(chat(text, None), expected);
    assert_eq!(chat(text, Some(5)), expected);
}

#[test]
fn a_missing_model_is_added_before_the_closing_brace() {
    assert_eq!(chat(r#"{"n":1}"#, None), r#"{"n":1,"model":"large"}"#);
    assert_eq!(chat("{}", None), r#"{"model":"large"}"#);
}

#[test]
fn a_model_name_is_quoted_as_json() {
    let mut body = RequestBody::default();
    body.scan(br#"{"model":1}"#);
    body.decide(&ServedBy::named("a\"b"), None);
    assert_eq!(body.rewrite(br#"{"model":1}"#).unwrap(), br#"{"model":"a\"b"}"#);
}

#[test]
fn members_that_differ_in_case_are_rewritten_but_do_not_count_as_present() {
    assert_eq!(chat(r#"{"Model":"x"}"#, None), r#"{"Model":"large","model":"large"}"#);
    let capped = chat(r#"{"model":"x","Max_Tokens":900}"#, Some(50));
    assert_eq!(capped, r#"{"model":"large","Max_Tokens":50,"max_completion_tokens":50}"#);
}

#[test]
fn a_stream_is_made_to_report_its_usage() {
    let include = r#""stream_options":{"include_usage":true}"#;
    let cases = [
        (
            r#"{"model":"m","stream":true}"#.to_owned(),
            format!(r#"{{"model":"large","stream":true,{include}}}"#),
            true,
        ),
        (
            r#"{"model":"m","stream_options":{"x":1},"stream":true}"#.to_owned(),
            r#"{"model":"large","stream_options":{"x":1,"include_usage":true},"stream":true}"#.to_owned(),
            true,
        ),
        (
            r#"{"model":"m","stream_options":{"include_usage":false},"stream":true}"#.to_owned(),
            r#"{"model":"large","stream_options":{"include_usage":true},"stream":true}"#.to_owned(),
            true,
        ),
        (
            r#"{"model":"m","stream_options":null,"stream":true}"#.to_owned(),
            format!(r#"{{"model":"large",{include},"stream":true}}"#),
            true,
        ),
        (
            format!(r#"{{"model":"m","stream":true,{include}}}"#),
            format!(r#"{{"model":"large","stream":true,{include}}}"#),
            false,
        ),
        (
            r#"{"model":"m","stream":false}"#.to_owned(),
            r#"{"model":"large","stream":false}"#.to_owned(),
            false,
        ),
        (r#"{"model":"m"}"#.to_owned(), r#"{"model":"large"}"#.to_owned(), false),
    ];
    for (text, expected, asks) in cases {
        let (found, body) = rewritten(Api::OpenAiChat, &text, &[], None);
        assert_eq!((found, body.asks_for_usage()), (expected, asks), "{text}");
    }
    let (found, body) = rewritten(Api::AnthropicMessages, r#"{"model":"m","stream":true}"#, &[], None);
    assert_eq!((found.as_str(), body.asks_for_usage()), (r#"{"model":"large","stream":true}"#, false));
}

/// The body that the upstream gets, and the length declared after the first piece; `None` where the body
/// overran it.
fn with_length(api: Api, text: &str, cuts: &[usize], cap: Option<u64>) -> Option<(String, u64)> {
    let (mut body, mut out, mut from, mut length) = (RequestBody::new(api), Vec::new(), 0, 0);
    for cut in cuts.iter().copied().filter(|cut| *cut < text.len()).chain([text.len()]) {
        let chunk = &text.as_bytes()[from..cut];
        body.scan(chunk);
        if from == 0 {
            body.decide(&ServedBy::named("large"), cap);
        }
        let new = body.rewrite(chunk).unwrap_or_else(|| chunk.to_vec());
        if from == 0 {
            length = body.fix_length(text.len() as u64, chunk.len(), new.len());
        }
        out.extend(new);
        from = cut;
    }
    (!body.overran()).then(|| (String::from_utf8(out).unwrap(), length))
}

#[test]
fn the_declared_length_is_the_length_sent() {
    let texts = [
        (Api::OpenAiChat, r#"{"model":"m","messages":[]}"#),
        (Api::OpenAiChat, r#"{"messages":[{"content":"x"}],"stream":true,"model":"a very long name"} "#),
        (Api::OpenAiChat, r#"{"messages":[],"stream":true,"stream_options":{"include_usage":false},"n":1}"#),
        (Api::OpenAiResponses, r#"{"input":"hello","model":"m","max_output_tokens":5}"#),
        (Api::AnthropicMessages, r#"{"max_tokens":100000,"messages":[],"model":"m"}"#),
        (Api::GeminiGenerate, r#"{"contents":[],"generationConfig":{"temperature":0}}"#),
        (Api::GeminiGenerate, r#"{"contents":[],"generationConfig":null}"#),
        (Api::BedrockConverse, r#"{"messages":[],"inferenceConfig":{"maxTokens":900}}"#),
    ];
    for (api, text) in texts {
        for cap in [None, Some(50)] {
            let whole = rewritten(api, text, &[], cap).0;
            for cut in 1..=text.len() {
                let (sent, length) = with_length(api, text, &[cut, cut + 3], cap).expect("an honest body");
                assert_eq!(sent.len() as u64, length, "{sent} cut at {cut}");
                assert_eq!(sent.trim_end(), whole.trim_end(), "{text} cut at {cut}");
            }
        }
    }
}

#[test]
fn a_body_that_leaves_no_room_overruns() {
    let text = r#"{"model":"m","stream":false,"messages":[],"model":"m"}"#;
    assert!(with_length(Api::OpenAiChat, text, &[30], None).is_none());
    let text = r#"{"model":"m","messages":[],"max_tokens":1,"max_tokens":1,"model":1,"model":1,"model":1}"#;
    assert!(
        with_length(Api::OpenAiChat, text, &[30], Some(50)).is_some(),
        "there is room for `stream_options`"
    );
}

#[test]
fn too_many_places_to_change_are_invalid() {
    let (_, body) = rewritten(Api::OpenAiChat, &format!("{{{}", r#""model":1,"#.repeat(100)), &[], None);
    assert_eq!(body.progress(), Progress::Invalid);
    let mut body = RequestBody::default();
    body.scan(b"[{}]");
    assert_eq!(body.progress(), Progress::Invalid, "an array is not a request");
}

/// Members of a chat request, in any order and number.
fn any_body() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        Just(r#""model":"auto""#.to_owned()),
        Just(r#""mod\u0065l" : 5"#.to_owned()),
        Just(r#""Model":"é""#.to_owned()),
        (0u32..200).prop_map(|limit| format!("\"max_tokens\":{limit}")),
        (0u32..200).prop_map(|limit| format!("\"max_completion_tokens\" :{limit} ")),
        Just(r#""max_tokens":null"#.to_owned()),
        (0u32..9).prop_map(|n| format!("\"n\":{n}")),
        any::<bool>().prop_map(|stream| format!("\"stream\":{stream}")),
        Just(r#""stream_options":{"include_usage":false}"#.to_owned()),
        Just(r#""stream_options":{}"#.to_owned()),
        Just(r#""stream_options":null"#.to_owned()),
        Just(r#""messages":[{"role":"user","content":"é\"\\","model":"x","max_tokens":1}]"#.to_owned()),
    ];
    proptest::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1usize..150, 0..8).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    })
}

proptest! {
    #[test]
    fn whatever_was_held_the_upstream_cannot_spend_more(text in any_body(), cuts in cuts(), cap in 1u64..300) {
        let (found, _) = rewritten(Api::OpenAiChat, &text, &cuts, Some(cap));
        let value: Value = serde_json::from_str(&found).unwrap();
        prop_assert_eq!(&value["model"], &json!("large"));
        let limits = ["max_tokens", "max_completion_tokens"];
        let limit = limits.iter().filter_map(|name| value.get(name)).map(|limit| limit.as_u64().unwrap());
        let answers = value["n"].as_u64().unwrap_or(1).max(1);
        prop_assert!(limit.max().expect("a limit") * answers <= cap, "{}", found);
    }

    #[test]
    fn every_duplicate_is_changed(text in any_body(), cuts in cuts()) {
        let (found, _) = rewritten(Api::OpenAiChat, &text, &cuts, Some(40));
        for (name, value) in members(&found) {
            match name.to_ascii_lowercase().as_str() {
                "model" => prop_assert_eq!(value, r#""large""#),
                "max_tokens" | "max_completion_tokens" => prop_assert!(value.parse::<u64>().unwrap() <= 40),
                _ => {}
            }
        }
    }

    #[test]
    fn all_but_the_changed_members_pass_byte_by_byte(text in any_body(), cuts in cuts()) {
        let (found, _) = rewritten(Api::OpenAiChat, &text, &cuts, Some(40));
        let others = |text: &str| members(text).into_iter().filter(|(name, _)| name == "messages").collect::<Vec<_>>();
        prop_assert_eq!(others(&found), others(&text));
    }

    #[test]
    fn later_cuts_change_nothing(text in any_body(), cuts in cuts(), held in 1usize..150) {
        // Whether `null` must give way is decided by what is known of `stream` when it is sent.
        let text = text.replace("\"stream_options\":null", "\"stream_options\":{ }");
        let later: Vec<usize> = [held].into_iter().chain(cuts.into_iter().filter(|cut| *cut > held)).collect();
        let whole = rewritten(Api::OpenAiChat, &text, &[held], Some(40));
        prop_assert_eq!(rewritten(Api::OpenAiChat, &text, &later, Some(40)).0, whole.0);
    }

    #[test]
    fn a_body_has_the_declared_length_or_overruns_it(text in any_body(), cuts in cuts()) {
        if let Some((sent, length)) = with_length(Api::OpenAiChat, &text, &cuts, Some(40)) {
            prop_assert_eq!(sent.len() as u64, length);
            prop_assert!(serde_json::from_str::<Value>(&sent).is_ok());
        }
    }

    #[test]
    fn any_bytes_are_accepted_without_a_panic(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..100),
            "[{}\\[\\]\",:a-z0-9\\\\]{0,60}".prop_map(String::into_bytes),
        ],
        api in 0usize..5,
    ) {
        let apis = [
            Api::OpenAiChat, Api::OpenAiResponses, Api::AnthropicMessages, Api::GeminiGenerate, Api::BedrockConverse,
        ];
        let mut body = RequestBody::new(apis[api]);
        for chunk in bytes.chunks(7) {
            body.scan(chunk);
            body.decide(&ServedBy::named("m"), Some(1));
            let _ = (body.rewrite(chunk), body.facts(), body.fix_length(9, 9, 9), body.overran());
        }
    }
}

/// The top-level members of an object as they are written, duplicates included.
fn members(text: &str) -> Vec<(String, String)> {
    struct Members(Vec<(String, String)>);
    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<(String, String)>;
        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
            while let Some((name, value)) = map.next_entry::<String, Value>()? {
                self.0.push((name, value.to_string()));
            }
            Ok(self.0)
        }
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde::Deserializer::deserialize_map(&mut json, Members(Vec::new())).unwrap()
}

#[test]
fn a_compaction_gets_the_model_and_nothing_that_its_api_does_not_know() {
    let call = crate::request::call::Call {
        api: Api::OpenAiResponses,
        compacts: true,
        ..crate::request::call::Call::default()
    };
    let mut body = RequestBody::of_call(&call, Members::built_in());
    let text = br#"{"model":"auto","input":[{"role":"user","content":"hello"}]}"#;
    body.scan(text);
    body.decide(&ServedBy::named("large"), None);
    let sent = body.rewrite(text).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&sent),
        r#"{"model":"large","input":[{"role":"user","content":"hello"}]}"#
    );
}
