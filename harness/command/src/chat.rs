//! One chat turn through a plugin, as it comes behind the edge of the shipped Envoy configuration.

use anyhow::Result;
use seqroute_harness::{LocalResponse, Plugin, Stream};

/// A turn whose request was taken in.
pub struct Turn {
    /// The stream.
    pub stream: Stream,
    /// The plugin's own answer, if it gave one.
    pub refused: Option<LocalResponse>,
}

/// Sends a whole request of a session.
pub fn request(plugin: &Plugin, session: &str, body: &str) -> Result<Turn> {
    let mut stream = plugin.stream();
    let length = body.len().to_string();
    let headers: [(&str, &str); 7] = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        (":authority", "llm"),
        ("x-seqroute-cluster", "small"),
        ("content-type", "application/json"),
        ("content-length", &length),
        ("x-session-id", session),
    ];
    let mut refused = stream.request_headers(&headers, false)?.local_response;
    if refused.is_none() {
        refused = stream.request_body(body, true)?.local_response;
    }
    Ok(Turn { stream, refused })
}

impl Turn {
    /// The model server's whole answer.
    pub fn answer(&mut self, body: &str) -> Result<()> {
        self.stream.response_headers(&[(":status", "200"), ("content-type", "application/json")], false)?;
        self.stream.response_body(body, true)?;
        Ok(())
    }
}

/// A chat completion that reports this usage.
pub fn completion(prompt_tokens: u64, completion_tokens: u64) -> String {
    format!(
        r#"{{"choices":[{{"message":{{"content":"hi"}}}}],"usage":{{"prompt_tokens":{prompt_tokens},"completion_tokens":{completion_tokens}}}}}"#
    )
}
