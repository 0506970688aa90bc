//! One chat turn through a plugin, with the headers that the shipped Envoy configuration adds.

use anyhow::Result;
use seqroute_harness::{LocalResponse, Plugin, Stream};

/// A turn after its request.
pub struct Turn {
    /// The stream.
    pub stream: Stream,
    /// The plugin's local reply, if any.
    pub refused: Option<LocalResponse>,
}

/// Sends a complete request of a session.
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
    /// Sends the model server's complete answer.
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
