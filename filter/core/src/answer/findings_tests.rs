use crate::answer::reader::AnswerReader;
use crate::request::api::Api;
use proptest::prelude::*;

fn is_error(api: Api, text: &str, whole: bool) -> bool {
    let mut reader = AnswerReader::new(api, b"");
    reader.feed(text.as_bytes());
    reader.shown(whole).is_error
}

/// What a stream may begin an output with, or report of its use, by API.
fn began() -> impl Strategy<Value = (Api, &'static str)> {
    proptest::sample::select(vec![
        (Api::OpenAiChat, r#"{"choices":[{"delta":{"content":"a"}}]}"#),
        (Api::OpenAiChat, r#"{"choices":[{"delta":{"reasoning_content":"a"}}]}"#),
        (Api::OpenAiChat, r#"{"choices":[{"delta":{"tool_calls":[{"id":"1"}]}}]}"#),
        (Api::OpenAiChat, r#"{"choices":[{"text":"a"}]}"#),
        (Api::OpenAiChat, r#"{"choices":[{"message":{"content":"a"}}],"error":{"message":"x"}}"#),
        (Api::OpenAiChat, r#"{"error":{"message":"x"},"usage":{"prompt_tokens":1,"completion_tokens":0}}"#),
        (Api::OpenAiChat, r#"{"usage":{"total_tokens":9}}"#),
        (Api::OpenAiChat, r#"{"usage":{"prompt_tokens":-9}}"#),
        (Api::OpenAiResponses, r#"{"type":"response.output_text.delta","delta":"a"}"#),
        (Api::OpenAiResponses, r#"{"type":"response.output_item.added","item":{"id":"1"}}"#),
        (Api::OpenAiResponses, r#"{"response":{"output":[{"type":"reasoning"}]}}"#),
        (Api::AnthropicMessages, r#"{"type":"message_start","message":{"usage":{"input_tokens":9}}}"#),
        (Api::AnthropicMessages, r#"{"content_block":{"type":"redacted_thinking","data":"a"}}"#),
        (Api::AnthropicMessages, r#"{"delta":{"thinking":"a"}}"#),
        (Api::GeminiGenerate, r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#),
        (Api::GeminiGenerate, r#"{"usageMetadata":{"promptTokenCount":9}}"#),
        (Api::BedrockConverse, r#"{"delta":{"text":"a"}}"#),
        (Api::BedrockConverse, r#"{"output":{"message":{"content":[{"text":"a"}]}}}"#),
    ])
}

proptest! {
    #[test]
    fn an_error_is_all_of_an_answer_only_where_nothing_was_begun(
        (api, output) in began(), before in 0usize..3, place in 0usize..3, whole in any::<bool>(),
    ) {
        const ERROR: &str = r#"{"type":"error","error":{"message":"x"}}"#;
        let quiet = if api == Api::OpenAiChat { r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"# } else { "{}" };
        let events = |texts: &[&str]| -> String { texts.iter().map(|text| format!("data: {text}\n\n")).collect() };
        let mut texts = vec![quiet; before];
        texts.push(ERROR);
        prop_assert!(is_error(api, &events(&texts), true));
        prop_assert!(!is_error(api, &events(&texts), false), "its end was not seen");
        texts.insert(place.min(texts.len()), output);
        prop_assert!(!is_error(api, &events(&texts), whole), "{texts:?}");
    }
}
