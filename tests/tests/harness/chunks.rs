//! Bodies in pieces: however the network cuts them, upstream and ledger see the same.

use crate::support::{START_MS, World, chat};
use proptest::prelude::*;
use seqroute_tests::support::settings;
use serde_json::{Value, json};

fn settings(peek_bytes: u64) -> Value {
    let mut settings = settings::plugin(json!({"always": "medium"}));
    settings["peek_bytes"] = json!(peek_bytes);
    settings["budget"]["default_usd"] = json!("100");
    settings
}

/// Sends a body in pieces and returns what the upstream got: content-length and body.
fn sent(world: &World, body: &[u8], cuts: &[usize]) -> (Option<String>, Vec<u8>) {
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

#[test]
fn a_model_beyond_the_peek_is_rewritten_while_the_body_streams() {
    let world = World::new(1, &settings(1024));
    let body = with_model_last(5000);
    let (content_length, sent) = sent(&world, &body, &[1500, 3000, body.len() - 8, body.len() - 3]);
    assert_eq!(content_length, Some(sent.len().to_string()), "whatever was unknown when the headers left");
    let value: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!(value["model"], "medium");
}

#[test]
fn a_model_before_the_end_of_the_peek_keeps_the_length_exact() {
    let world = World::new(1, &settings(1024));
    let body = chat(5000, 10);
    let (content_length, sent) = sent(&world, body.as_bytes(), &[1500, 3000]);
    assert_eq!(content_length, Some(sent.len().to_string()));
    assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap()["model"], "medium");
}

#[test]
fn models_smuggled_behind_the_peek_end_the_stream() {
    let world = World::new(1, &settings(1024));
    let smuggled = format!("],{}\"n\":1}}", r#""model":"large","model":1,"#.repeat(9));
    let body = chat(3000, 10).replacen("]}", &smuggled, 1);
    let mut turn = world.request(0, "other", &body[..0]);
    assert_eq!(turn.refused.take().map(|reply| reply.status), Some(400), "an empty body is none");
    turn.end();
    let mut stream = world.stream(0);
    let length = body.len().to_string();
    let headers = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("x-session-id", "s"),
        ("content-length", &length),
    ];
    stream.request_headers(&headers, false).unwrap();
    stream.request_body(&body[..2000], false).unwrap();
    assert!(!stream.is_reset());
    stream.request_body(&body[2000..], true).unwrap();
    assert!(stream.is_reset());
    stream.finish().unwrap();
    assert_eq!(world.outstanding(), 0);
}

#[test]
fn a_large_body_streams_through_a_small_peek() {
    let world = World::new(1, &settings(1024));
    let body = chat(200_000, 10);
    let cuts: Vec<usize> = (1..100).map(|k| k * 2000).collect();
    let (content_length, sent) = sent(&world, body.as_bytes(), &cuts);
    assert_eq!(content_length, Some(sent.len().to_string()));
    let value: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!(
        (&value["model"], &value["messages"]),
        (&json!("medium"), &serde_json::from_str::<Value>(&body).unwrap()["messages"])
    );
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
        let whole = sent(&World::new(1, &settings(4096)), &body, &[]);
        prop_assert_eq!(&whole.0, &Some(whole.1.len().to_string()));
        prop_assert_eq!(&sent(&World::new(1, &settings(4096)), &body, &cuts), &whole);
        // A peek that ends within it: the body must be the same, with or without its length.
        let (content_length, body) = sent(&World::new(1, &settings(1024)), &body, &cuts);
        prop_assert_eq!(content_length, Some(body.len().to_string()));
        prop_assert_eq!(body.trim_ascii_end(), &whole.1[..]);
    }

    #[test]
    fn any_cut_of_an_answer_is_charged_alike(
        mut cuts in proptest::collection::vec(1usize..150, 0..8), stream in any::<bool>(),
    ) {
        let text = if stream {
            "data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}]}\r\n\r\ndata: {\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":20}}\r\n\r\ndata: [DONE]\r\n\r\n".to_owned()
        } else {
            crate::support::json_answer(90, 20)
        };
        cuts.retain(|cut| *cut < text.len());
        cuts.sort_unstable();
        let world = World::new(1, &settings(4096));
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
