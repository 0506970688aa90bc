//! The bytes of an answer in the form of each API, whole or as a stream.

use serde_json::{Value, json};

use super::events::{event_stream_message, server_sent};
use super::order::Order;
use super::paths::Call;
use crate::attack::marker::{Fault, Report};

/// Bytes of text for each visible token.
const WORD: &str = "word ";
/// A stream shows its text in at most this many events.
const MOST_EVENTS: u64 = 16;
/// Pause before a usage that comes after the last word.
const LATE_MS: u64 = 150;

/// A piece of a body, and the pause before it.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Milliseconds.
    pub pause_ms: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// An answer, ready to be sent.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What it calls itself.
    pub content_type: Option<&'static str>,
    /// The body.
    pub pieces: Vec<Piece>,
}

impl Answer {
    /// The answer to a paid turn.
    #[must_use]
    pub fn new(order: &Order) -> Answer {
        let stream = order.reading.stream && !order.reading.background;
        let mut pieces = if stream { stream_of(order) } else { vec![Piece::now(whole(order).to_string())] };
        if let Some(first) = pieces.first_mut() {
            first.pause_ms += order.marker.delay_ms;
        }
        let own = match (&order.call, stream) {
            (Call::Converse(..), true) => "application/vnd.amazon.eventstream",
            (Call::Generate(..), true) if !order.events => "application/json",
            (_, true) => "text/event-stream",
            (_, false) => "application/json",
        };
        let content_type = match order.marker.fault {
            Fault::NoType => None,
            Fault::OtherType if own == "application/json" => Some("text/event-stream"),
            Fault::OtherType => Some("application/json"),
            _ => Some(own),
        };
        let status = match order.marker.fault {
            Fault::Status206 => 206,
            Fault::Status500 => 500,
            _ => 200,
        };
        Answer { status, content_type, pieces }
    }
}

impl Piece {
    fn now(bytes: impl Into<Vec<u8>>) -> Piece {
        Piece { pause_ms: 0, bytes: bytes.into() }
    }
}

fn text(order: &Order, tokens: u64) -> String {
    let mut text = WORD.repeat(usize::try_from(tokens).unwrap_or(0));
    if order.marker.report == Report::InText {
        text.push_str(&json!({"usage": order.tiny_usage()}).to_string());
    }
    text
}

/// An answer that is not a stream.
fn whole(order: &Order) -> Value {
    let text = text(order, order.visible());
    if order.reading.background {
        return json!({"id": "resp_1", "object": "response", "status": "queued", "output": [], "usage": null});
    }
    let mut answer = match &order.call {
        Call::Responses => json!({
            "id": "resp_1", "object": "response", "status": "completed", "model": order.model,
            "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}],
        }),
        Call::Messages => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": order.model,
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
        }),
        Call::Generate(..) => json!({
            "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}],
        }),
        Call::Converse(..) => json!({
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}}, "stopReason": "end_turn",
        }),
        Call::Operator => json!({"object": "list", "data": [{"answer": "of another client"}]}),
        _ => json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": order.model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        }),
    };
    let member = if matches!(order.call, Call::Generate(..)) { "usageMetadata" } else { "usage" };
    if let Some(usage) = order.usage().filter(|_| order.call != Call::Operator) {
        answer[member] = usage;
    }
    answer
}

/// The pieces of a stream.
fn stream_of(order: &Order) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = beginning(order).into_iter().map(Piece::now).collect();
    let count = order.visible().clamp(1, MOST_EVENTS);
    let pause_ms = order.marker.spread_ms / count;
    for k in 0..count {
        let tokens = order.visible() / count + u64::from(k < order.visible() % count);
        pieces.push(Piece { pause_ms, bytes: words(order, &text(order, tokens)) });
    }
    let usage = order.usage();
    let mut usages: Vec<Value> = usage.into_iter().collect();
    if order.marker.report == Report::Repeated {
        usages.push(order.tiny_usage());
    }
    let end = |usage: Option<&Value>| end(order, usage);
    if order.marker.report == Report::Late {
        pieces.extend(end(None).into_iter().map(Piece::now));
        let late = end(usages.first()).into_iter().map(|bytes| Piece { pause_ms: LATE_MS, bytes });
        pieces.extend(late);
    } else if usages.is_empty() {
        pieces.extend(end(None).into_iter().map(Piece::now));
    } else {
        pieces.extend(usages.iter().flat_map(|usage| end(Some(usage))).map(Piece::now));
    }
    if matches!(order.call, Call::Generate(..)) && !order.events {
        pieces.push(Piece::now("]"));
    }
    pieces
}

fn beginning(order: &Order) -> Vec<Vec<u8>> {
    match &order.call {
        Call::Chat | Call::OtherTokens => vec![chunk(order, json!({"role": "assistant", "content": ""}))],
        Call::Responses => {
            vec![named("response.created", json!({"response": {"id": "resp_1", "usage": null}}))]
        }
        Call::Messages => {
            let mut message =
                json!({"id": "msg_1", "role": "assistant", "content": [], "model": order.model});
            if order.marker.report == Report::Exact {
                message["usage"] = json!({"input_tokens": order.input, "output_tokens": 1});
            }
            let block = json!({"index": 0, "content_block": {"type": "text", "text": ""}});
            vec![named("message_start", json!({"message": message})), named("content_block_start", block)]
        }
        Call::Generate(..) if !order.events => vec![b"[".to_vec()],
        Call::Converse(..) => vec![event_stream_message("messageStart", &json!({"role": "assistant"}))],
        _ => Vec::new(),
    }
}

fn words(order: &Order, text: &str) -> Vec<u8> {
    match &order.call {
        Call::Responses => named("response.output_text.delta", json!({"delta": text})),
        Call::Messages => {
            named("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": text}}))
        }
        Call::Generate(..) => {
            gemini(order, json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}))
        }
        Call::Converse(..) => event_stream_message(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 0, "delta": {"text": text}}),
        ),
        _ => chunk(order, json!({"content": text})),
    }
}

/// The events after the last word.
fn end(order: &Order, usage: Option<&Value>) -> Vec<Vec<u8>> {
    match &order.call {
        Call::Responses => {
            let response = json!({"id": "resp_1", "status": "completed", "usage": usage});
            vec![named("response.completed", json!({"response": response}))]
        }
        Call::Messages => {
            let mut delta = json!({"delta": {"stop_reason": "end_turn"}});
            if let Some(usage) = usage {
                delta["usage"] = usage.clone();
            }
            vec![named("message_delta", delta), named("message_stop", json!({}))]
        }
        Call::Generate(..) => {
            let mut last = json!({"candidates": [{"finishReason": "STOP"}]});
            if let Some(usage) = usage {
                last["usageMetadata"] = usage.clone();
            }
            vec![gemini(order, last)]
        }
        Call::Converse(..) => {
            let mut events = vec![event_stream_message("messageStop", &json!({"stopReason": "end_turn"}))];
            events.extend(usage.map(|usage| event_stream_message("metadata", &json!({"usage": usage}))));
            events
        }
        _ => {
            let usage = usage.filter(|_| order.reading.include_usage).map(|usage| {
                server_sent(None, &json!({"object": "chat.completion.chunk", "choices": [], "usage": usage}))
            });
            usage.into_iter().chain([b"data: [DONE]\n\n".to_vec()]).collect()
        }
    }
}

fn chunk(order: &Order, delta: Value) -> Vec<u8> {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
    server_sent(None, &json!({"object": "chat.completion.chunk", "model": order.model, "choices": [choice]}))
}

fn named(name: &str, mut data: Value) -> Vec<u8> {
    data["type"] = json!(name);
    server_sent(Some(name), &data)
}

fn gemini(order: &Order, data: Value) -> Vec<u8> {
    if order.events { server_sent(None, &data) } else { format!("{data},\r\n").into_bytes() }
}
