use super::*;
use crate::wire::event_stream::message;
use crate::wire::pieces::pieces;
use proptest::prelude::*;

fn reader(api: Api, chunks: &[&[u8]]) -> AnswerReader {
    let mut reader = AnswerReader::new(api, b"");
    chunks.iter().for_each(|chunk| reader.feed(chunk));
    reader
}

fn read(api: Api, text: &str) -> Option<Usage> {
    reader(api, &[text.as_bytes()]).finish(4)
}

/// Whether the usage is known to be the last where the stream was cut behind `text`.
fn is_final(api: Api, text: &str) -> bool {
    reader(api, &[text.as_bytes()]).is_final(false, 1)
}

fn usage(input: u64, cached: u64, written: u64, output: u64, reasoning: u64) -> Option<Usage> {
    Some(Usage {
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output,
        reasoning_tokens: reasoning,
        ..Usage::default()
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
    assert_eq!(read(Api::OpenAiChat, CHAT), usage(120, 64, 0, 30, 8));
    assert_eq!(read(Api::OpenAiResponses, RESPONSES), usage(90, 60, 0, 25, 20));
    assert_eq!(read(Api::AnthropicMessages, ANTHROPIC), usage(90, 50, 30, 12, 0));
    assert_eq!(read(Api::GeminiGenerate, GEMINI), usage(45, 32, 0, 20, 11));
    assert_eq!(read(Api::BedrockConverse, BEDROCK), usage(90, 50, 30, 12, 0));
}

#[test]
fn each_stream_is_read_in_the_inclusive_convention() {
    assert_eq!(read(Api::OpenAiChat, CHAT_STREAM), usage(7, 0, 0, 3, 0));
    assert_eq!(read(Api::OpenAiResponses, RESPONSES_STREAM), usage(90, 60, 0, 25, 20));
    assert_eq!(read(Api::AnthropicMessages, ANTHROPIC_STREAM), usage(90, 50, 30, 12, 0));
    let first = r#"{"candidates":[{}],"usageMetadata":{"promptTokenCount":40,"candidatesTokenCount":2}}"#;
    let events = format!("data: {first}\r\n\r\ndata: {}\r\n\r\n", GEMINI.replace('\n', ""));
    assert_eq!(read(Api::GeminiGenerate, &events), usage(45, 32, 0, 20, 11));
    assert_eq!(read(Api::GeminiGenerate, &format!("[{first}\n,\r\n{GEMINI}]")), usage(45, 32, 0, 20, 11));
    let mut binary = message(r#"{"contentBlockIndex":0,"delta":{"text":"hello"}}"#);
    binary.extend(message(BEDROCK));
    assert_eq!(reader(Api::BedrockConverse, &[&binary]).finish(4), usage(90, 50, 30, 12, 0));
}

#[test]
fn reasoning_missing_from_the_completion_is_found_in_the_total_or_added() {
    let answer = |total: &str| {
        let details = r#""completion_tokens_details":{"reasoning_tokens":30}"#;
        read(
            Api::OpenAiChat,
            &format!(r#"{{"usage":{{"prompt_tokens":10,"completion_tokens":5{total},{details}}}}}"#),
        )
    };
    assert_eq!(answer(r#","total_tokens":45"#), usage(10, 0, 0, 35, 30));
    assert_eq!(answer(r#","total_tokens":0"#), usage(10, 0, 0, 35, 30));
    assert_eq!(answer(""), usage(10, 0, 0, 35, 30));
}

#[test]
fn a_count_of_nothing_that_gemini_leaves_out_is_found_in_the_total() {
    let metadata = |counts: &str| format!(r#"{{"usageMetadata":{{"promptTokenCount":40,{counts}}}}}"#);
    let blocked = reader(Api::GeminiGenerate, &[metadata(r#""totalTokenCount":40"#).as_bytes()]);
    assert_eq!((blocked.finish(4), blocked.is_final(true, 1)), (usage(40, 0, 0, 0, 0), true));
    let thoughts = metadata(r#""thoughtsTokenCount":9,"totalTokenCount":49"#);
    assert_eq!(read(Api::GeminiGenerate, &thoughts), usage(40, 0, 0, 9, 9));
    let unknown = metadata(r#""totalTokenCount":90"#);
    assert_eq!(read(Api::GeminiGenerate, &unknown), usage(40, 0, 0, 50, 0));
}

#[test]
fn several_readings_are_merged_by_the_larger() {
    let events = concat!(
        "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n",
        "data: {\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":5}}\n\n",
    );
    assert_eq!(read(Api::OpenAiChat, events), usage(9, 0, 0, 5, 0));
}

#[test]
fn the_first_byte_decides_what_an_answer_is() {
    for before in ["", "\u{feff}", "\n", "\r\n\r\n", " \t\r", "\u{feff} \n", "\u{1e}"] {
        assert_eq!(read(Api::OpenAiChat, &format!("{before}{CHAT}")), usage(120, 64, 0, 30, 8), "{before:?}");
        let events = format!("{before}{CHAT_STREAM}");
        assert_eq!(read(Api::OpenAiChat, &events), usage(7, 0, 0, 3, 0), "{before:?}");
    }
    for line in
        [": ping", "event: x", "id: 1", "retry: 5", "vendor: x", "x", "\"x\": {", "<p>", "é", "HTTP/1.1 200"]
    {
        for end in ["\n", "\n\n", "\r", "\r\r", "\r\n", "\r\n\r\n"] {
            let events = format!("{line}{end}{}", CHAT_STREAM.replace('\n', end.get(..1).unwrap()));
            assert_eq!(read(Api::OpenAiChat, &events), usage(7, 0, 0, 3, 0), "{line:?} {end:?}");
        }
    }
    assert_eq!(read(Api::OpenAiChat, "<p>{\"usage\":{\"prompt_tokens\":7}}"), None);
    let mut binary = message("{}");
    binary.extend(message(BEDROCK));
    for first in [b"\n".as_slice(), b"\xEF\xBB\xBF", b""] {
        assert_eq!(reader(Api::BedrockConverse, &[first, &binary]).finish(4), usage(90, 50, 30, 12, 0));
    }
}

#[test]
fn several_json_texts_one_after_the_other_are_all_read() {
    let texts = [
        r#"{"choices":[{"delta":{"content":"a"}}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
    ];
    for between in ["", "\n", "\r\n", " ", ",\n", "\n\u{1e}", "\n\n\n"] {
        assert_eq!(read(Api::OpenAiChat, &texts.join(between)), usage(7, 0, 0, 3, 0), "{between:?}");
        let ended = format!("{}{between}[DONE]\n", texts.join(between));
        assert!(is_final(Api::OpenAiChat, &ended), "{between:?}");
        let mixed = format!("{}\ndata: {}\n\n", texts[0], texts[1]);
        assert_eq!(read(Api::OpenAiChat, &mixed), usage(7, 0, 0, 3, 0));
    }
}

#[test]
fn events_without_a_blank_line_between_them_are_all_read() {
    let events = CHAT_STREAM.replace("\n\n", "\n");
    let read = reader(Api::OpenAiChat, &[events.as_bytes()]);
    assert_eq!(read.finish(4), usage(7, 0, 0, 3, 0));
}

#[test]
fn an_encoded_answer_is_not_read() {
    let mut reader = AnswerReader::new(Api::OpenAiChat, b"gzip");
    reader.feed(CHAT.as_bytes());
    assert_eq!((reader.finish(4), reader.guessed_output_tokens(4)), (None, CHAT.len() as u64));
    let mut reader = AnswerReader::new(Api::OpenAiChat, b"identity");
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
        r#"{"prompt_tokens":1e15}"#,
        r#"{"prompt_tokens":123456789012345678901234567890}"#,
        "{broken",
    ];
    for value in values {
        assert_eq!(read(Api::OpenAiChat, &format!("{{\"usage\":{value}")), None, "{value}");
    }
}

#[test]
fn a_stream_cut_before_its_final_count_is_charged_for_what_was_seen() {
    let cut = ANTHROPIC_STREAM.split("event: message_delta").next().unwrap();
    let found = reader(Api::AnthropicMessages, &[cut.as_bytes()]);
    // "four of them, é" has 16 bytes.
    assert_eq!(found.finish(4), usage(90, 50, 30, 4, 0));
    assert!(!found.is_final(true, 1), "its end was seen, and yet there was no final count");
}

#[test]
fn an_answer_without_usage_is_guessed() {
    let mut reader = AnswerReader::new(Api::OpenAiChat, b"");
    reader.feed(&[0; 10]);
    assert_eq!(reader.guessed_output_tokens(4), 3);
    let mut reader = AnswerReader::new(Api::OpenAiChat, b"");
    reader.feed(b"data: {}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"0123456789abc\"}}]}\n\n");
    assert_eq!((reader.finish(4), reader.guessed_output_tokens(4)), (None, 4));
    assert_eq!(reader.guessed_output_tokens(100), 2);
}

const FINISH: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n";

#[test]
fn usage_of_a_chat_stream_is_final_behind_its_finish_reason() {
    let growing = WORD.replace("}]}", "}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}");
    let growing_finish = growing.replace("null", "\"stop\"");
    let cases = [
        (format!("{WORD}{FINISH}{USAGE}"), true),
        (format!("{WORD}{FINISH}{USAGE}: ping\n\n"), true),
        (format!("{WORD}{FINISH}{}", USAGE.trim_end()), true),
        (format!("{WORD}{FINISH}{}", USAGE.trim_end().trim_end_matches('}')), false),
        (format!("{WORD}{FINISH}"), false),
        (format!("{USAGE}{WORD}{FINISH}"), false),
        (format!("{WORD}{USAGE}"), false),
        (format!("{WORD}{FINISH}{USAGE}{WORD}"), false),
        (format!("{WORD}{growing}"), false),
        (format!("{WORD}{growing_finish}"), false),
        (format!("{WORD}{growing_finish}data: [DONE]"), true),
        (format!("{WORD}{growing_finish}data:[DONE]\r\n"), true),
        (format!("{WORD}{growing_finish}data: [DONE]x"), false),
        (format!("{WORD}{}{USAGE}", FINISH.replace("stop", "")), false),
        (format!("{WORD}{}{USAGE}", FINISH.replace("stop", &"x".repeat(99))), true),
    ];
    for (events, expected) in cases {
        assert_eq!(is_final(Api::OpenAiChat, &events), expected, "{events}");
    }
    let several = format!("{WORD}{FINISH}{USAGE}");
    assert!(!reader(Api::OpenAiChat, &[several.as_bytes()]).is_final(false, 2), "one of two has ended");
    let done = format!("{several}data: [DONE]\n\n");
    assert!(reader(Api::OpenAiChat, &[done.as_bytes()]).is_final(false, 2));
}

#[test]
fn usage_of_the_other_streams_is_final_with_the_reason_of_their_end() {
    let stop = |text: &str| text.replace("\"delta\":{}", "\"delta\":{\"stop_reason\":\"end_turn\"}");
    let cut = |text: &str, at: &str| text.split_once(at).unwrap().0.to_owned();
    assert!(!is_final(Api::AnthropicMessages, ANTHROPIC_STREAM), "a count in the middle");
    assert!(is_final(Api::AnthropicMessages, &stop(ANTHROPIC_STREAM)));
    assert!(!is_final(Api::AnthropicMessages, &cut(ANTHROPIC_STREAM, "event: message_delta")));
    let completed =
        RESPONSES_STREAM.replace("\"response\":{\"out", "\"response\":{\"status\":\"completed\",\"out");
    assert!(is_final(Api::OpenAiResponses, &completed));
    let in_progress = completed.replace("\"completed\",", "\"in_progress\",");
    assert!(is_final(Api::OpenAiResponses, &in_progress), "its type ends it");
    assert!(!is_final(
        Api::OpenAiResponses,
        &in_progress.replace("response.completed", "response.in_progress")
    ));
    for status in ["incomplete", "failed", "cancelled"] {
        let ended = completed.replace("\"completed\",", &format!("\"{status}\","));
        assert!(is_final(Api::OpenAiResponses, &ended), "{status}");
    }
    let growing = format!("data: {}\n\n", GEMINI.replace('\n', ""));
    let last = growing.replace("{\"content\"", "{\"finishReason\":\"STOP\",\"content\"");
    assert!(!is_final(Api::GeminiGenerate, &growing));
    assert!(is_final(Api::GeminiGenerate, &format!("{growing}{last}")));
    assert!(!is_final(Api::GeminiGenerate, &last.replace("STOP", "FINISH_REASON_UNSPECIFIED")));
    let elements = format!("[{},{}", &growing[6..], &last[6..]);
    assert!(is_final(Api::GeminiGenerate, &elements), "an element of an array");
    let mut binary = message(r#"{"stopReason":"end_turn"}"#);
    assert!(!reader(Api::BedrockConverse, &[&binary]).is_final(false, 1));
    binary.extend(message(BEDROCK));
    assert!(reader(Api::BedrockConverse, &[&binary]).is_final(false, 1));
}

#[test]
fn a_json_answer_is_final_once_it_is_complete() {
    let chat = CHAT.replacen("{\"message\"", "{\"finish_reason\":\"stop\",\"message\"", 1);
    assert!(is_final(Api::OpenAiChat, &chat));
    assert!(!is_final(Api::OpenAiChat, chat.trim_end_matches('}')));
    assert!(!is_final(Api::OpenAiChat, CHAT), "without a reason");
    assert!(reader(Api::OpenAiChat, &[CHAT.as_bytes()]).is_final(true, 9));
    assert!(is_final(Api::AnthropicMessages, &ANTHROPIC.replacen('{', "{\"stop_reason\":\"end_turn\",", 1)));
}

#[test]
fn only_what_is_output_for_sure_is_shown_as_text() {
    let shown = |api: Api, text: &str| reader(api, &[text.as_bytes()]).shown(false).text_bytes;
    let chat = r#"{"choices":[{"message":{"content":"12345","reasoning_content":"x","audio":{"data":"AAAA"},
        "annotations":[{"url":"u"}]},"logprobs":{"content":[{"token":"x"}]}}]}"#;
    assert_eq!(shown(Api::OpenAiChat, chat), 5);
    assert_eq!(shown(Api::OpenAiChat, &format!("{WORD}{WORD}")), 2);
    let responses =
        r#"{"instructions":[{"content":[{"text":"echoed"}]}],"output":[{"content":[{"text":"1234"}]}]}"#;
    assert_eq!(shown(Api::OpenAiResponses, responses), 4);
    let events = format!(
        "data: {{\"delta\":\"1234\",\"obfuscation\":\"x\"}}\n\ndata: {{\"response\":{responses}}}\n\n"
    );
    assert_eq!(shown(Api::OpenAiResponses, &events), 4, "once, though it came twice");
    assert_eq!(shown(Api::AnthropicMessages, ANTHROPIC_STREAM), 16);
    let signature = "data: {\"delta\":{\"type\":\"signature_delta\",\"signature\":\"AAAA\"}}\n\n";
    assert_eq!(shown(Api::AnthropicMessages, signature), 0);
    let parts = r#"{"candidates":[{"content":{"parts":[{"text":"123"},{"inlineData":{"data":"AAAA"}}]},"groundingMetadata":{"x":"y"}}]}"#;
    assert_eq!(shown(Api::GeminiGenerate, parts), 3);
    let blocked =
        message(r#"{"stopReason":"guardrail_intervened","usage":{"inputTokens":0,"outputTokens":0}}"#);
    assert!(reader(Api::BedrockConverse, &[&blocked]).shown(false).is_unbilled);
}

fn any_answer() -> impl Strategy<Value = (Api, Vec<u8>)> {
    let mut binary = message(r#"{"delta":{"text":"é"}}"#);
    binary.extend(message(r#"{"stopReason":"end_turn"}"#));
    binary.extend(message(BEDROCK));
    let text = |text: &str| text.as_bytes().to_vec();
    prop_oneof![
        Just((Api::OpenAiChat, text(CHAT))),
        Just((Api::OpenAiChat, text(CHAT_STREAM))),
        Just((Api::OpenAiChat, text(&format!("{CHAT}\n{CHAT},{CHAT}\n\n{CHAT_STREAM}")))),
        Just((Api::OpenAiChat, text(&CHAT_STREAM.replace("\n\n", "\n")))),
        Just((Api::OpenAiChat, text(&format!("\u{feff}\r\r{WORD}{FINISH}{USAGE}data: [DONE]\n\n")))),
        Just((Api::OpenAiResponses, text(RESPONSES))),
        Just((Api::OpenAiResponses, text(RESPONSES_STREAM))),
        Just((Api::AnthropicMessages, text(&ANTHROPIC_STREAM.replace('\n', "\r\n")))),
        Just((Api::AnthropicMessages, text(&ANTHROPIC_STREAM.replace('\n', "\r")))),
        Just((Api::GeminiGenerate, text(&format!("[{GEMINI},{GEMINI}]")))),
        Just((Api::BedrockConverse, binary)),
    ]
}

/// All that is read.
fn found(reader: &AnswerReader) -> (Option<Usage>, u64, bool, Shown) {
    (reader.finish(4), reader.guessed_output_tokens(4), reader.is_final(false, 1), reader.shown(false))
}

proptest! {
    #[test]
    fn any_cut_is_read_alike((api, body) in any_answer(), cuts in proptest::collection::vec(0usize..900, 0..12)) {
        let (cut, whole) = (reader(api, &pieces(&body, cuts)), reader(api, &[&body]));
        prop_assert!(whole.finish(4).is_some());
        prop_assert_eq!(found(&cut), found(&whole));
    }

    #[test]
    fn any_cut_of_a_strange_answer_is_read_alike(
        text in "((\\[DONE\\]|\\{\"usage\":\\{\"prompt_tokens\":[0-9]{1,3}\\}\\}|\\{\"choices\":\\[\\{\"finish_reason\":\"x\"\\}\\]\\}|data:|: x|\\[|\\{|é|,)(\r\n|\n|\r| |)){0,8}",
        cuts in proptest::collection::vec(0usize..200, 0..12),
    ) {
        let body = text.as_bytes();
        prop_assert_eq!(found(&reader(Api::OpenAiChat, &pieces(body, cuts))), found(&reader(Api::OpenAiChat, &[body])));
    }

    #[test]
    fn a_cut_answer_never_costs_more_than_the_whole_one_reports(
        (api, body) in any_answer(), share in 0.0f64..1.0,
    ) {
        let end = (body.len() as f64 * share) as usize;
        if let (Some(cut), Some(whole)) = (reader(api, &[&body[..end]]).finish(1000), reader(api, &[&body]).finish(1000)) {
            prop_assert!(cut.input_tokens <= whole.input_tokens);
        }
    }

    #[test]
    fn any_bytes_are_accepted_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let reader = reader(Api::GeminiGenerate, &[&bytes]);
        let _ = (reader.finish(0), reader.guessed_output_tokens(0), reader.is_final(true, 0));
    }
}
