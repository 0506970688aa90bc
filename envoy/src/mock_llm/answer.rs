//! The content of an answer: its text and usage, encoded as JSON or as server-sent events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::directions::{Directions, Fault};

/// Shortest and longest answer without directions.
const MIN_TOKENS: u64 = 16;
const MAX_TOKENS: u64 = 400;
/// Bytes per prompt token without directions.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens that one server-sent event carries.
const TOKENS_PER_EVENT: u64 = 16;
/// One word per token, each of four bytes.
const WORDS: [&str; 4] = ["one ", "two ", "six ", "ten "];

/// Makes ids differ between answers of one process.
static ANSWERS: AtomicU64 = AtomicU64::new(1);

/// A complete answer, before it is encoded.
#[derive(Debug)]
pub struct Answer {
    id: String,
    created_s: u64,
    model: String,
    finish_reason: &'static str,
    cached_tokens: u64,
    /// Whether the request wants server-sent events.
    pub is_stream: bool,
    /// Whether the answer reports its usage.
    pub has_usage: bool,
    /// Tokens of the prompt, including cached ones.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
}

impl Answer {
    /// The answer to a request whose body, as JSON, is `request`.
    pub fn new(request: &Value, body: &[u8], directions: &Directions) -> Answer {
        let default_prompt_tokens = (body.len() as u64).div_ceil(BYTES_PER_TOKEN);
        let prompt_tokens = directions.prompt_tokens.unwrap_or(default_prompt_tokens);
        let default_tokens = MIN_TOKENS + fnv1a(body) % (MAX_TOKENS - MIN_TOKENS + 1);
        let wanted_tokens = directions.output_tokens.unwrap_or(default_tokens);
        // The newer name takes precedence, as in OpenAI's API.
        let cap = request["max_completion_tokens"].as_u64().or(request["max_tokens"].as_u64());
        let completion_tokens = wanted_tokens.min(cap.unwrap_or(u64::MAX));
        let is_stream = request["stream"] == true;
        let usage_wanted = !is_stream || request["stream_options"]["include_usage"] == true;
        Answer {
            id: format!("chatcmpl-mock{:08}", ANSWERS.fetch_add(1, Ordering::Relaxed)),
            created_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            model: request["model"].as_str().unwrap_or_default().to_owned(),
            finish_reason: if completion_tokens < wanted_tokens { "length" } else { "stop" },
            cached_tokens: directions.cached_tokens.min(prompt_tokens),
            is_stream,
            has_usage: usage_wanted && directions.fault != Some(Fault::NoUsage),
            prompt_tokens,
            completion_tokens,
        }
    }

    /// The body of an answer in one piece.
    pub fn json(&self) -> String {
        let content = words(0, self.completion_tokens);
        let message = json!({"role": "assistant", "content": content, "refusal": null});
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish_reason});
        let mut body = json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created_s,
            "model": self.model,
            "choices": [choice],
        });
        if self.has_usage {
            body["usage"] = self.usage();
        }
        body.to_string()
    }

    /// The server-sent events, each with the blank line that ends it.
    pub fn events(&self) -> Vec<String> {
        let delta = |delta: Value, finish_reason: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
            self.event(json!([choice]), Value::Null)
        };
        let mut events = vec![delta(json!({"role": "assistant", "content": ""}), Value::Null)];
        let mut sent_tokens = 0;
        while sent_tokens < self.completion_tokens {
            let end = self.completion_tokens.min(sent_tokens + TOKENS_PER_EVENT);
            events.push(delta(json!({"content": words(sent_tokens, end)}), Value::Null));
            sent_tokens = end;
        }
        events.push(delta(json!({}), json!(self.finish_reason)));
        if self.has_usage {
            events.push(self.event(json!([]), self.usage()));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    fn event(&self, choices: Value, usage: Value) -> String {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created_s,
            "model": self.model,
            "choices": choices,
        });
        // Where usage is asked for, the API sends `null` in every event but the last.
        if self.has_usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": 0},
        })
    }
}

fn words(from: u64, to: u64) -> String {
    (from..to).map(|index| WORDS[(index % WORDS.len() as u64) as usize]).collect()
}

/// The 64-bit FNV-1a hash: the same on every machine and in every release.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(request: &str, directions: &Directions) -> Answer {
        Answer::new(&serde_json::from_str(request).unwrap(), request.as_bytes(), directions)
    }

    #[test]
    fn length_is_a_function_of_the_body_and_within_bounds() {
        for index in 0..200 {
            let body = format!(r#"{{"model":"m","user":"{index}"}}"#);
            let tokens = answer(&body, &Directions::default()).completion_tokens;
            assert!((MIN_TOKENS..=MAX_TOKENS).contains(&tokens));
            assert_eq!(answer(&body, &Directions::default()).completion_tokens, tokens);
        }
    }

    #[test]
    fn a_cap_in_the_request_shortens_the_answer_and_is_named_as_the_reason() {
        let long = Directions { output_tokens: Some(100), ..Directions::default() };
        for cap in ["max_tokens", "max_completion_tokens"] {
            let capped = answer(&format!(r#"{{"model":"m","{cap}":30}}"#), &long);
            assert_eq!((capped.completion_tokens, capped.finish_reason), (30, "length"));
        }
        assert_eq!(answer(r#"{"model":"m","max_tokens":100}"#, &long).finish_reason, "stop");
    }

    #[test]
    fn cached_tokens_never_exceed_the_prompt() {
        let directions = Directions { prompt_tokens: Some(10), cached_tokens: 50, ..Directions::default() };
        assert_eq!(
            answer(r#"{"model":"m"}"#, &directions).usage()["prompt_tokens_details"]["cached_tokens"],
            10
        );
    }
}
