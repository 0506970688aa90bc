//! Bodies cut at random, where a scenario has three fixed ways: upstream and ledger always see the same.

use proptest::prelude::*;
use seqroute_tests::support::chat::chat;
use seqroute_tests::support::module::START_MS;
use seqroute_tests::support::settings;
use serde_json::{Value, json};

use crate::support::Fixture;

fn settings(peek_bytes: u64) -> Value {
    let mut settings = settings::plugin(json!({"always": "medium"}));
    settings["peek_bytes"] = json!(peek_bytes);
    settings["budget"]["default_usd"] = json!("100");
    settings
}

/// Sends a body in pieces and returns what the upstream got: content-length and body.
fn sent(world: &Fixture, body: &[u8], cuts: &[usize]) -> (Option<String>, Vec<u8>) {
    let mut stream = world.stream(0);
    let length = body.len().to_string();
    let headers = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("x-seqroute-cluster", "small"),
        ("x-session-id", "s"),
        ("content-length", &length),
    ];
    stream.request_headers(&headers, false).unwrap();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([body.len()]) {
        stream.request_body(&body[from..cut], cut == body.len()).unwrap();
        from = cut;
        if from == body.len() {
            break;
        }
    }
    let headers = stream.upstream_request_headers().unwrap();
    assert_eq!(headers.get_str("x-seqroute-cluster").as_deref(), Some("medium"));
    let result = (headers.get_str("content-length"), stream.upstream_request_body());
    stream.finish().unwrap();
    result
}

fn with_model_last(bytes: usize) -> Vec<u8> {
    let chat: Value = serde_json::from_str(&chat(bytes, 10)).unwrap();
    format!(r#"{{"messages":{},"max_tokens":10,"model":"auto"}}"#, chat["messages"]).into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_a_request_gives_the_upstream_the_same_request(
        mut cuts in proptest::collection::vec(1usize..2000, 0..6), model_last in any::<bool>(),
    ) {
        let body = if model_last { with_model_last(1900) } else { chat(1900, 10).into_bytes() };
        cuts.retain(|cut| *cut < body.len());
        cuts.sort_unstable();
        cuts.dedup();
        // A peek beyond the body: the length must be right as well, wherever the model stands.
        let whole = sent(&Fixture::new(1, &settings(4096)), &body, &[]);
        prop_assert_eq!(&whole.0, &Some(whole.1.len().to_string()));
        prop_assert_eq!(&sent(&Fixture::new(1, &settings(4096)), &body, &cuts), &whole);
        // A peek that ends within it: the body must be the same, with or without its length.
        let (content_length, body) = sent(&Fixture::new(1, &settings(1024)), &body, &cuts);
        prop_assert_eq!(content_length, Some(body.len().to_string()));
        prop_assert_eq!(body.trim_ascii_end(), &whole.1[..]);
    }

    #[test]
    fn any_cut_of_an_answer_is_charged_alike(
        mut cuts in proptest::collection::vec(1usize..300, 0..8), stream in any::<bool>(),
    ) {
        let text = if stream {
            "data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}]}\r\n\r\ndata: {\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":20}}\r\n\r\ndata: [DONE]\r\n\r\n".to_owned()
        } else {
            crate::support::json_answer(90, 20)
        };
        cuts.retain(|cut| *cut < text.len());
        cuts.sort_unstable();
        let world = Fixture::new(1, &settings(4096));
        let mut turn = world.request(0, "s", &chat(400, 10));
        turn.answer_headers("200", if stream { "text/event-stream" } else { "application/json" });
        let mut from = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            turn.stream.response_body(&text.as_bytes()[from..cut], false).unwrap();
            from = cut;
        }
        turn.stream.response_body(b"", true).unwrap();
        let record = turn.end().unwrap();
        prop_assert_eq!(record.outcome.as_str(), "settled");
        prop_assert_eq!(record.charged_nano_usd.0, 90 * 800 + 20 * 3200);
        prop_assert!(record.time_ms >= START_MS);
    }
}
