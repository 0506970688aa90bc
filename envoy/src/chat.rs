//! Chat requests of a known size, as the demo, the benchmark and the load run send them.

use reqwest::{Client, RequestBuilder};

/// Bytes of a body per prompt token that the mock server is told to report.
const BYTES_PER_TOKEN: u64 = 4;

/// A chat request of exactly `bytes` bytes, or the shortest possible one. `members` are further JSON members, each
/// followed by a comma.
#[must_use]
pub fn body(bytes: usize, members: &str) -> String {
    let frame = |content: &str| {
        format!(r#"{{"model":"auto",{members}"messages":[{{"role":"user","content":"{content}"}}]}}"#)
    };
    frame(&"x".repeat(bytes.saturating_sub(frame("").len())))
}

/// A chat request with four bytes per prompt token.
#[must_use]
pub fn body_of_tokens(prompt_tokens: u64, members: &str) -> String {
    body(usize::try_from(prompt_tokens.saturating_mul(BYTES_PER_TOKEN)).unwrap_or(usize::MAX), members)
}

/// A request to the chat completions API at `url`.
pub fn post(client: &Client, url: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    client.post(format!("{url}/v1/chat/completions")).header("content-type", "application/json").body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_of_the_wanted_length() {
        for members in ["", r#""stream":true,"#] {
            let text = body(500, members);
            assert_eq!(text.len(), 500);
            assert_eq!(body_of_tokens(125, members), text);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["stream"] == true, !members.is_empty());
        }
        assert!(serde_json::from_str::<serde_json::Value>(&body(0, "")).is_ok());
    }
}
