//! How a request begins: its system prompt and its first message, which tell a conversation from others of its session
//! ([`crate::request::conversation`]).
//!
//! What stands before the first message counts with it. A system prompt behind it (Anthropic's clients write `messages`
//! first) is kept apart, since a long body is decided on before it comes. Of each text the first 4 KiB count;
//! what follows would cost time and tell no more.

use crate::request::conversation::{Digest, Opening};

/// Bytes of the system prompt, and of each message, that are hashed.
const MAX_TEXT_BYTES: usize = 4096;

/// Hashes how a body begins.
#[derive(Clone, Debug, Default)]
pub struct OpeningReader {
    /// Everything up to the end of the first message.
    first: Digest,
    message_bytes: usize,
    /// The message being read is not the system's.
    is_of_client: bool,
    is_first_read: bool,
    /// The system prompt behind it.
    system: Digest,
    system_bytes: usize,
    is_system_read: bool,
}

impl OpeningReader {
    /// A piece of the system prompt.
    pub fn feed_system(&mut self, piece: &[u8]) {
        let digest = if self.is_first_read { &mut self.system } else { &mut self.first };
        feed(digest, &mut self.system_bytes, piece);
    }

    /// The system prompt has ended.
    pub fn end_system(&mut self) {
        self.is_system_read |= self.is_first_read;
    }

    /// A piece of a message's text.
    pub fn feed_message(&mut self, piece: &[u8]) {
        if !self.is_first_read {
            feed(&mut self.first, &mut self.message_bytes, piece);
        }
    }

    /// The role of the message being read is known.
    pub fn role(&mut self, of_system: bool) {
        self.is_of_client = !of_system;
    }

    /// A message has ended; `of_system`: its role is the system's, so that the first message is still to come.
    pub fn end_message(&mut self, of_system: bool) {
        self.is_first_read |= !of_system;
        (self.message_bytes, self.is_of_client) = (0, false);
    }

    /// How the body begins. Whether it was read to its end says whether a system prompt may still come.
    #[must_use]
    pub fn opening(&self, is_complete: bool) -> Opening {
        // What follows in a long message changes nothing, so that it need not be read to its end.
        let is_known = self.is_first_read || (self.is_of_client && self.message_bytes >= MAX_TEXT_BYTES);
        Opening {
            first: is_known.then(|| self.first.value()),
            system: (self.is_first_read && (is_complete || self.is_system_read)).then(|| self.system.short()),
        }
    }
}

fn feed(digest: &mut Digest, bytes: &mut usize, piece: &[u8]) {
    let room = MAX_TEXT_BYTES.saturating_sub(*bytes).min(piece.len());
    digest.feed(piece.get(..room).unwrap_or_default());
    *bytes = bytes.saturating_add(room);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::members::Members;
    use crate::body::rewrite::RequestBody;
    use crate::config::{MembersConfig, StoredState};
    use crate::request::api::Api;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn opening(body: &Value) -> Opening {
        of_text(&body.to_string())
    }

    fn of_text(text: &str) -> Opening {
        let mut body = RequestBody::new(Api::OpenAiChat);
        body.scan(text.as_bytes());
        body.facts().session_ids.opening
    }

    #[test]
    fn a_conversation_begins_alike_however_long_it_grows() {
        let first = json!({"role": "user", "content": [{"type": "text", "text": "hello"}]});
        let system = json!([{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]);
        let short = opening(&json!({"system": system, "messages": [first]}));
        let answer = json!({"role": "assistant", "content": "hi"});
        let moved = json!([{"type": "text", "text": "be brief"}]);
        let long = opening(&json!({"system": moved, "messages": [first, answer, first]}));
        assert_eq!(short, long);
        assert!(short.first.is_some() && short.system.is_some());
        let other = opening(&json!({"system": "make a title", "messages": [first]}));
        assert_ne!(short, other);
    }

    #[test]
    fn every_api_has_a_system_prompt_and_a_first_message() {
        let of = |system: &str, first: &str| {
            [
                json!({"messages": [{"role": "system", "content": system}, {"role": "user", "content": first}]}),
                json!({"messages": [{"content": system, "role": "developer"}, {"content": first, "role": "user"}]}),
                json!({"instructions": system, "input": first}),
                json!({"input": [{"role": "developer", "content": [{"type": "input_text", "text": system}]},
                    {"role": "user", "content": [{"type": "input_text", "text": first}]}]}),
                json!({"system": system, "messages": [{"role": "user", "content": first}]}),
                json!({"systemInstruction": {"parts": [{"text": system}]}, "contents": [{"parts": [{"text": first}]}]}),
                json!({"system": [{"text": system}], "messages": [{"role": "user", "content": [{"text": first}]}]}),
            ]
        };
        for (a, (b, c)) in
            of("be brief", "hello").iter().zip(of("be brief", "bye").iter().zip(&of("title", "hello")))
        {
            assert!(opening(a).first.is_some(), "{a}");
            assert_ne!(opening(a), opening(b), "{a}");
            assert_ne!(opening(a), opening(c), "{a}");
        }
    }

    #[test]
    fn a_system_prompt_that_has_not_come_is_not_known() {
        let start = r#"{"messages":[{"role":"user","content":"hello"}],"#;
        let cut = of_text(start);
        assert_eq!((cut.first.is_some(), cut.system), (true, None));
        let whole = of_text(&format!(r#"{start}"system":"be brief"}}"#));
        let none = of_text(&format!(r#"{start}"n":1}}"#));
        assert_eq!((whole.first, none.first), (cut.first, cut.first));
        assert!(whole.system.is_some() && none.system.is_some() && whole.system != none.system);
        assert_eq!(of_text(r#"{"messages":[{"role":"user","content":"hel"#).first, None);
    }

    #[test]
    fn a_long_first_message_is_known_before_it_ends() {
        let start = format!(r#"{{"messages":[{{"role":"user","content":"{}"#, "hello ".repeat(1000));
        let cut = of_text(&start);
        assert!(cut.first.is_some());
        assert_eq!(of_text(&format!(r#"{start} more"}}]}}"#)).first, cut.first);
    }

    #[test]
    fn a_request_that_continues_a_stored_history_does_not_show_how_it_began() {
        let stored_state = StoredState::Allow;
        let members = Arc::new(Members::new(&MembersConfig { stored_state, ..MembersConfig::default() }));
        for body in [
            json!({"previous_response_id": "resp_1", "input": "more"}),
            json!({"input": "more", "conversation": "conv_1"}),
        ] {
            let mut scanned = RequestBody::with_members(Api::OpenAiResponses, members.clone());
            scanned.scan(body.to_string().as_bytes());
            assert_eq!(scanned.facts().session_ids.opening, Opening::default(), "{body}");
        }
    }

    #[test]
    fn how_a_body_begins_does_not_depend_on_how_it_was_cut() {
        let text = r#"{"system":[{"text":"be\u0020brief"}],"messages":[{"role":"user","content":[{"text":"h\u00e9llo"},{"text":"x"}]}],"system":"y"}"#;
        for cut in 0..text.len() {
            let mut body = RequestBody::new(Api::AnthropicMessages);
            let (start, rest) = text.as_bytes().split_at(cut);
            body.scan(start);
            body.scan(rest);
            assert_eq!(body.facts().session_ids.opening, of_text(text), "{cut}");
        }
    }
}
