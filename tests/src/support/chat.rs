//! Chat requests of an exact size, so that their estimates and reservations are known.

use anyhow::{Context, Result};
use serde::Deserialize;

/// A chat request in the format of OpenAI chat completions, with one user message of padding.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chat {
    /// Bytes of the whole body.
    pub bytes: usize,
    /// Its `model`.
    pub model: String,
    /// Its `max_tokens`.
    pub max_tokens: Option<u64>,
    /// Whether it asks for a stream (with `include_usage`).
    pub stream: bool,
    /// Further members before the messages, as JSON text that ends with a comma.
    pub extra: String,
    /// Further members after the messages, as JSON text that begins with a comma.
    pub last: String,
}

impl Default for Chat {
    fn default() -> Chat {
        Chat {
            bytes: 400,
            model: "auto".to_owned(),
            max_tokens: None,
            stream: false,
            extra: String::new(),
            last: String::new(),
        }
    }
}

impl Chat {
    /// The body.
    ///
    /// # Errors
    /// When `bytes` are too few for the other fields.
    pub fn body(&self) -> Result<String> {
        let empty = self.with_message("").len();
        let padding = self.bytes.checked_sub(empty);
        let padding = padding
            .with_context(|| format!("chat.bytes: found {}, expected at least {empty}", self.bytes))?;
        Ok(self.with_message(&"x".repeat(padding)))
    }

    fn with_message(&self, content: &str) -> String {
        let Chat { model, extra, last, .. } = self;
        let limit = self.max_tokens.map_or(String::new(), |limit| format!(r#""max_tokens":{limit},"#));
        let stream =
            if self.stream { r#""stream":true,"stream_options":{"include_usage":true},"# } else { "" };
        let message = format!(r#"{{"role":"user","content":"{content}"}}"#);
        format!(r#"{{"model":"{model}",{limit}{stream}{extra}"messages":[{message}]{last}}}"#)
    }
}

/// A chat request of exactly `bytes` bytes with a limit on its output.
///
/// # Panics
/// When `bytes` are too few for the frame.
#[must_use]
pub fn chat(bytes: usize, max_tokens: u64) -> String {
    let chat = Chat { bytes, max_tokens: Some(max_tokens), ..Chat::default() };
    chat.body().expect("room for the frame")
}
