use super::*;
use crate::wire::event_stream::message;
use crate::wire::pieces::pieces;
use proptest::prelude::*;

fn reader(api: Api, content_type: &str, chunks: &[&[u8]]) -> AnswerReader {
    let mut reader = AnswerReader::new(api, content_type.as_bytes(), b"");
    chunks.iter().for_each(|chunk| reader.feed(chunk));
    reader
}

fn read(api: Api, content_type: &str, text: &str) -> Option<Usage> {
    reader(api, content_type, &[text.as_bytes()]).finish(4)
}

fn usage(input: u64, cached: u64, written: u64, output: u64, reasoning: u64) -> Option<Usage> {
    Some(Usage {
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output,
        reasoning_tokens: reasoning,
    })
}

const CHAT: &str = r#"{"choices":[{"message":{"content":"\"usage\":{}","usage":{"prompt_tokens":1}}}],
    "usage":{"prompt_tokens":120,"completion_tokens":30,"total_tokens":150,
    "prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":8}}}"#;

const CHAT_STREAM: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n",
);

const RESPONSES: &str = r#"{"output":[{"content":[{"text":"usage"}]}],"usage":{"input_tokens":90,
    "input_tokens_details":{"cached_tokens":60},"output_tokens":25,"output_tokens_details":{"reasoning_tokens":20}}}"#;

const RESPONSES_STREAM: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hé\"}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{}],\"usage\":",
    "{\"input_tokens\":90,\"input_tokens_details\":{\"cached_tokens\":60},\"output_tokens\":25,",
    "\"output_tokens_details\":{\"reasoning_tokens\":20}}}}\n\n",
);

const ANTHROPIC: &str = r#"{"type":"message","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":10,
    "cache_creation_input_tokens":30,"cache_read_input_tokens":50,"output_tokens":12}}"#;

const ANTHROPIC_STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,",
    "\"cache_creation_input_tokens\":30,\"cache_read_input_tokens\":50,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"four of them, é\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":12}}\n\n",
);

const GEMINI: &str = r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}],"usageMetadata":{"promptTokenCount":40,
    "toolUsePromptTokenCount":5,"cachedContentTokenCount":32,"candidatesTokenCount":9,"thoughtsTokenCount":11,
    "totalTokenCount":65}}"#;

const BEDROCK: &str = r#"{"output":{"message":{}},"usage":{"inputTokens":10,"outputTokens":12,"totalTokens":102,
    "cacheReadInputTokens":50,"cacheWriteInputTokens":30}}"#;

#[test]
fn each_api_is_read_in_the_inclusive_convention() {
    let json = "application/json; charset=utf-8";
    assert_eq!(read(Api::OpenAiChat, json, CHAT), usage(120, 64, 0, 30, 8));
    assert_eq!(read(Api::OpenAiResponses, json, RESPONSES), usage(90, 60, 0, 25, 20));
    assert_eq!(read(Api::AnthropicMessages, json, ANTHROPIC), usage(90, 50, 30, 12, 0));
    assert_eq!(read(Api::GeminiGenerate, json, GEMINI), usage(45, 32, 0, 20, 11));
    assert_eq!(read(Api::BedrockConverse, json, BEDROCK), usage(90, 50, 30, 12, 0));
}

#[test]
fn each_stream_is_read_in_the_inclusive_convention() {
    let sse = "text/event-stream";
    assert_eq!(read(Api::OpenAiChat, sse, CHAT_STREAM), usage(7, 0, 0, 3, 0));
    assert_eq!(read(Api::OpenAiResponses, sse, RESPONSES_STREAM), usage(90, 60, 0, 25, 20));
    assert_eq!(read(Api::AnthropicMessages, sse, ANTHROPIC_STREAM), usage(90, 50, 30, 12, 0));
    let first = r#"{"candidates":[{}],"usageMetadata":{"promptTokenCount":40,"candidatesTokenCount":2}}"#;
    let events = format!("data: {first}\r\n\r\ndata: {}\r\n\r\n", GEMINI.replace('\n', ""));
    assert_eq!(read(Api::GeminiGenerate, sse, &events), usage(45, 32, 0, 20, 11));
    assert_eq!(
        read(Api::GeminiGenerate, "application/json", &format!("[{first}\n,\r\n{GEMINI}]")),
        usage(45, 32, 0, 20, 11)
    );
    let mut binary = message(r#"{"contentBlockIndex":0,"delta":{"text":"hello"}}"#);
    binary.extend(message(BEDROCK));
    let found = reader(Api::BedrockConverse, "application/vnd.amazon.eventstream", &[&binary]);
    assert_eq!(found.finish(4), usage(90, 50, 30, 12, 0));
}

#[test]
fn reasoning_missing_from_the_completion_is_found_in_the_total() {
    let answer = r#"{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":45,
        "completion_tokens_details":{"reasoning_tokens":30}}}"#;
    assert_eq!(read(Api::OpenAiChat, "application/json", answer), usage(10, 0, 0, 35, 30));
}

#[test]
fn several_readings_are_merged_by_the_larger() {
    let events = concat!(
        "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n",
        "data: {\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":5}}\n\n",
    );
    assert_eq!(read(Api::OpenAiChat, "text/event-stream", events), usage(9, 0, 0, 5, 0));
}

#[test]
fn the_first_byte_decides_where_the_content_type_is_wrong_or_missing() {
    for content_type in
        ["", "text/plain", "application/octet-stream", "text/event-stream", "application/json"]
    {
        assert_eq!(read(Api::OpenAiChat, content_type, CHAT), usage(120, 64, 0, 30, 8), "{content_type}");
        assert_eq!(
            read(Api::OpenAiChat, content_type, &format!("\u{feff} \n{CHAT}")),
            usage(120, 64, 0, 30, 8)
        );
        if content_type != "application/json" {
            assert_eq!(
                read(Api::OpenAiChat, content_type, CHAT_STREAM),
                usage(7, 0, 0, 3, 0),
                "{content_type}"
            );
        }
    }
    assert_eq!(read(Api::OpenAiChat, "text/html", "<p>{\"usage\":{\"prompt_tokens\":7}}"), None);
}

#[test]
fn an_encoded_answer_is_not_read() {
    let mut reader = AnswerReader::new(Api::OpenAiChat, b"application/json", b"gzip");
    reader.feed(CHAT.as_bytes());
    assert_eq!((reader.finish(4), reader.guessed_output_tokens(4)), (None, CHAT.len() as u64));
    let mut reader = AnswerReader::new(Api::OpenAiChat, b"application/json", b"identity");
    reader.feed(CHAT.as_bytes());
    assert_eq!(reader.finish(4), usage(120, 64, 0, 30, 8));
}

#[test]
fn null_and_unknown_objects_are_not_usage() {
    let values = [
        "null",
        "{}",
        "[1]",
        r#"{"prompt_tokens":-5}"#,
        r#"{"prompt_tokens":"12"}"#,
        r#"{"prompt_tokens":12"#,
        "{broken",
    ];
    for value in values {
        assert_eq!(
            read(Api::OpenAiChat, "application/json", &format!("{{\"usage\":{value}")),
            None,
            "{value}"
        );
    }
}

#[test]
fn a_stream_cut_before_its_final_count_is_charged_for_what_was_seen() {
    let cut = ANTHROPIC_STREAM.split("event: message_delta").next().unwrap();
    let found = reader(Api::AnthropicMessages, "text/event-stream", &[cut.as_bytes()]);
    // "four of them, é" has 16 bytes.
    assert_eq!(found.finish(4), usage(90, 50, 30, 4, 0));
}

#[test]
fn an_answer_without_usage_is_guessed() {
    let mut reader = AnswerReader::new(Api::OpenAiChat, b"text/html", b"");
    reader.feed(&[0; 10]);
    assert_eq!(reader.guessed_output_tokens(4), 3);
    let mut reader = AnswerReader::new(Api::OpenAiChat, b"text/event-stream", b"");
    reader.feed(b"data: {}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"0123456789abc\"}}]}\n\n");
    assert_eq!((reader.finish(4), reader.guessed_output_tokens(4)), (None, 4));
    assert_eq!(reader.guessed_output_tokens(100), 2);
}

fn any_answer() -> impl Strategy<Value = (Api, &'static str, Vec<u8>)> {
    let mut binary = message(r#"{"delta":{"text":"é"}}"#);
    binary.extend(message(BEDROCK));
    let sse = "text/event-stream";
    let text = |text: &str| text.as_bytes().to_vec();
    prop_oneof![
        Just((Api::OpenAiChat, "application/json", text(CHAT))),
        Just((Api::OpenAiChat, sse, text(CHAT_STREAM))),
        Just((Api::OpenAiResponses, "", text(RESPONSES))),
        Just((Api::OpenAiResponses, sse, text(RESPONSES_STREAM))),
        Just((Api::AnthropicMessages, sse, text(&ANTHROPIC_STREAM.replace('\n', "\r\n")))),
        Just((Api::AnthropicMessages, sse, text(&ANTHROPIC_STREAM.replace('\n', "\r")))),
        Just((Api::GeminiGenerate, "", text(&format!("[{GEMINI},{GEMINI}]")))),
        Just((Api::BedrockConverse, "application/vnd.amazon.eventstream", binary)),
    ]
}

proptest! {
    #[test]
    fn any_cut_is_read_alike((api, content_type, body) in any_answer(), cuts in proptest::collection::vec(0usize..500, 0..12)) {
        let (cut, whole) = (reader(api, content_type, &pieces(&body, cuts)), reader(api, content_type, &[&body]));
        prop_assert!(whole.finish(4).is_some());
        prop_assert_eq!(cut.finish(4), whole.finish(4));
        prop_assert_eq!(cut.guessed_output_tokens(4), whole.guessed_output_tokens(4));
    }

    #[test]
    fn a_cut_answer_never_costs_more_than_the_whole_one_reports(
        (api, content_type, body) in any_answer(), share in 0.0f64..1.0,
    ) {
        let end = (body.len() as f64 * share) as usize;
        if let (Some(cut), Some(whole)) = (reader(api, content_type, &[&body[..end]]).finish(1000), reader(api, content_type, &[&body]).finish(1000)) {
            prop_assert!(cut.input_tokens <= whole.input_tokens);
        }
    }

    #[test]
    fn any_bytes_are_accepted_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        content_type in prop_oneof![Just("application/json"), Just("text/event-stream"), Just("application/vnd.amazon.eventstream"), Just("")],
    ) {
        let found = reader(Api::GeminiGenerate, content_type, &[&bytes]);
        let _ = (found.finish(0), found.guessed_output_tokens(0));
    }
}
