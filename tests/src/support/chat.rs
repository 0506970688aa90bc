//! Chat requests of an exact size and weight, so that their estimates and reservations are known: a body of n bytes is
//! expected to have n/4 tokens, and is reserved for as n/3 under [`super::settings::plugin`], as honest text is.

use anyhow::{Context, Result};
use seqroute_core::body::rewrite::RequestBody;
use serde::Deserialize;

/// A word that weighs one token with the space before it.
const WORD: &str = " to";

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
    /// The body: as many words as make it weigh a third of its bytes, and blanks outside of its text for the rest.
    ///
    /// # Errors
    /// When `bytes` are too few for the other fields.
    pub fn body(&self) -> Result<String> {
        let least = self.with_message(".", "");
        let room = self.bytes.checked_sub(least.len());
        let room = room.with_context(|| {
            format!("chat.bytes: found {}, expected at least {}", self.bytes, least.len())
        })?;
        let mut reader = RequestBody::default();
        reader.scan(least.as_bytes());
        let frame = usize::try_from(reader.read_input().size.text_tokens)?;
        // A full stop ends the last word, and weighs one token itself.
        let words = self.bytes.div_ceil(3).saturating_sub(frame + 1).min(room.saturating_sub(1) / WORD.len());
        let message = if words == 0 { ".".to_owned() } else { format!(".{}.", WORD.repeat(words)) };
        let blanks = room + 1 - message.len();
        Ok(self.with_message(&message, &" ".repeat(blanks)))
    }

    fn with_message(&self, content: &str, blanks: &str) -> String {
        let Chat { model, extra, last, .. } = self;
        let limit = self.max_tokens.map_or(String::new(), |limit| format!(r#""max_tokens":{limit},"#));
        let stream =
            if self.stream { r#""stream":true,"stream_options":{"include_usage":true},"# } else { "" };
        let message = format!(r#"{{"role":"user","content":"{content}"}}"#);
        format!(r#"{{"model":"{model}",{limit}{stream}{extra}"messages":[{message}]{blanks}{last}}}"#)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_has_the_size_and_the_weight_that_were_asked_for() {
        for bytes in [300, 400, 1000, 5000] {
            for stream in [false, true] {
                let body = Chat { bytes, max_tokens: Some(100), stream, ..Chat::default() }.body().unwrap();
                let mut reader = RequestBody::default();
                reader.scan(body.as_bytes());
                assert_eq!(body.len(), bytes);
                let tokens = reader.read_input().size.text_tokens;
                assert!(bytes < 400 || tokens == bytes.div_ceil(3) as u64, "{bytes} {stream}: {tokens}");
            }
        }
    }
}
