//! What the messages of a request say about where it can go.
//!
//! | API | list | a tool's result |
//! |---|---|---|
//! | OpenAI chat | `messages` | role `tool` or `function` |
//! | OpenAI responses | `input` | item type `…_call_output` |
//! | Anthropic | `messages` | part type `tool_result` |
//! | Gemini | `contents` | part `functionResponse` |
//! | Bedrock | `messages` | part `toolResult` |
//!
//! **State of a provider** in a message, which no other model accepts:
//!
//! | of | where |
//! |---|---|
//! | Anthropic, Bedrock's and Vertex AI's Claude | `signature`, parts of type `redacted_thinking`; `encrypted_content`, `encrypted_index` of server tools |
//! | Bedrock | `reasoningContent` with `signature` or `redactedContent` |
//! | OpenAI and xAI, responses | `encrypted_content`, items `compaction` and `item_reference` |
//! | OpenRouter | items of `reasoning_details` |
//! | LiteLLM | items of `thinking_blocks`, `provider_specific_fields` with a signature |
//! | Gemini, Vertex AI | `thoughtSignature`; in OpenAI's form `extra_content.google.thought_signature` of a message or tool call |
//! | Copilot and gateways | `reasoning_opaque`, `reasoning_signature`, `thinking_signature` |
//!
//! Plain text of a model's reasoning (`reasoning_content` of DeepSeek, Kimi, Qwen and vLLM, `reasoning` of Groq, parts of
//! type `thinking` of Mistral) is none: other
//! models ignore it, and where a server wants it back it is in an open tool loop, which is locked by itself. Breakpoints of the
//! prompt cache are none either. Files that a provider keeps (`file_id`, `fileUri`) belong to the provider, not to one model.
//!
//! The text of the last message of the user (role `user`, or none) is hashed ([`TextHasher`]); its parts count as
//! separate lines, and a message without text, such as a tool's result, changes nothing.
//!
//! Arguments and results of tools may hold any JSON and are ignored.

use crate::body::opening::OpeningReader;
use crate::body::text::{TextFeatures, TextHasher};
use crate::wire::json::{Kind, Visitor};
use crate::wire::key::Key;
use crate::wire::slot::Slot;

/// Longest role or type that is kept.
const MAX_WORD_BYTES: usize = 40;

/// Reads the list of messages.
#[derive(Clone, Debug)]
pub struct Messages {
    /// Messages begun.
    pub count: u64,
    /// Some message carries state of a provider that only its model accepts.
    pub provider_state: bool,
    /// Some message refers to a file that a provider keeps.
    pub kept_files: bool,
    last_is_tool_result: bool,
    word: Slot,
    /// Text of the message being read, and whether its role, as far as it was read, is the user's.
    text: TextHasher,
    of_user: Option<bool>,
    of_system: bool,
    last_user_text: TextFeatures,
    /// How the body begins.
    pub opening: OpeningReader,
}

impl Default for Messages {
    fn default() -> Self {
        let word = Slot::new(Kind::String, MAX_WORD_BYTES);
        Messages {
            count: 0,
            provider_state: false,
            kept_files: false,
            last_is_tool_result: false,
            word,
            text: TextHasher::default(),
            of_user: None,
            of_system: false,
            last_user_text: TextFeatures::default(),
            opening: OpeningReader::default(),
        }
    }
}

/// What a member of a message says.
enum Meaning {
    Role,
    Type,
    ToolResult,
    Signature,
    /// An item of a list of what a model signed.
    Signed,
    KeptFile,
    Text,
    Other,
}

impl Messages {
    /// The last message is the result of a tool.
    #[must_use]
    pub fn ends_with_tool_result(&self) -> bool {
        self.last_is_tool_result
    }

    fn next_message(&mut self) {
        self.count = self.count.saturating_add(1);
        self.last_is_tool_result = false;
        self.text.reset();
        self.of_user = None;
        self.of_system = false;
    }

    /// What was counted in the last message of the user, as far as it was read.
    #[must_use]
    pub fn last_user_text(&self) -> TextFeatures {
        let open = self.of_user == Some(true) && !self.text.is_empty();
        if open { self.text.finish() } else { self.last_user_text }
    }

    fn end_message(&mut self) {
        if self.of_user.unwrap_or(true) && !self.text.is_empty() {
            self.last_user_text = self.text.finish();
        }
        self.text.reset();
        self.opening.end_message(self.of_system);
    }
}

/// The meaning of a member at `path`, which begins with the list itself.
fn meaning(path: &[Key]) -> Meaning {
    if let [_]
    | [_, Key::Item, Key::Content]
    | [_, Key::Item, Key::Content | Key::Parts, Key::Item, Key::Text] = path
    {
        return Meaning::Text;
    }
    let [_, Key::Item, containers @ .., last] = path else {
        return Meaning::Other;
    };
    if matches!((containers, last), ([.., Key::ReasoningDetails | Key::ThinkingBlocks], Key::Item)) {
        return Meaning::Signed;
    }
    // A list of signatures.
    if let ([before @ .., Key::ThoughtSignature], Key::Item) = (containers, last)
        && before.iter().all(may_hold_state)
    {
        return Meaning::Signature;
    }
    let in_content = containers.iter().all(|key| {
        matches!(key, Key::Item | Key::Content | Key::Parts | Key::ReasoningContent | Key::ReasoningText)
    });
    match last {
        Key::Role if containers.is_empty() => Meaning::Role,
        Key::Type if in_content => Meaning::Type,
        Key::ToolResult | Key::FunctionResponse if in_content => Meaning::ToolResult,
        Key::Signature
        | Key::EncryptedContent
        | Key::ThoughtSignature
        | Key::RedactedContent
        | Key::ReasoningOpaque
            if containers.iter().all(may_hold_state) =>
        {
            Meaning::Signature
        }
        Key::FileId | Key::FileUri if containers.iter().all(may_hold_file) => Meaning::KeptFile,
        _ => Meaning::Other,
    }
}

/// Whether a member leads to state of a provider, and not into the arguments of a tool.
fn may_hold_state(key: &Key) -> bool {
    matches!(
        key,
        Key::Item
            | Key::Content
            | Key::Parts
            | Key::ReasoningContent
            | Key::ReasoningText
            | Key::ReasoningDetails
            | Key::ThinkingBlocks
            | Key::ProviderSpecificFields
            | Key::ToolCalls
            | Key::Function
            | Key::ExtraContent
            | Key::Google
    )
}

fn may_hold_file(key: &Key) -> bool {
    let holder = matches!(key, Key::File | Key::FileData | Key::Source | Key::Image | Key::ImageUrl);
    holder || matches!(key, Key::Item | Key::Content | Key::Parts | Key::ToolResult)
}

impl Visitor for Messages {
    fn begin(&mut self, path: &[Key], kind: Kind, _offset: u64) -> bool {
        if matches!((path, kind), ([_, Key::Item], _) | ([_], Kind::String)) {
            self.next_message();
        }
        let is_absent = kind == Kind::Scalar;
        match meaning(path) {
            Meaning::Role | Meaning::Type => return self.word.begin(kind),
            Meaning::Signature | Meaning::KeptFile | Meaning::Text => return kind == Kind::String,
            Meaning::Signed => self.provider_state |= kind == Kind::Object,
            Meaning::ToolResult if !is_absent => self.last_is_tool_result = true,
            Meaning::ToolResult | Meaning::Other => {}
        }
        false
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        match meaning(path) {
            Meaning::Role | Meaning::Type => self.word.push(piece),
            // An empty signature does not count.
            Meaning::Signature => self.provider_state = true,
            Meaning::KeptFile => self.kept_files = true,
            Meaning::Text => {
                self.text.feed(piece);
                self.opening.feed_message(piece);
            }
            _ => {}
        }
    }

    fn end(&mut self, path: &[Key], kind: Kind, _end: u64, _is_empty: bool) {
        let meaning = meaning(path);
        if matches!(meaning, Meaning::Text) && !self.text.is_empty() {
            self.text.feed(b"\n");
        }
        if matches!((path, kind), ([_, Key::Item], _) | ([_], Kind::String)) {
            self.end_message();
        }
        if !matches!(meaning, Meaning::Role | Meaning::Type) {
            return;
        }
        self.word.end();
        let word = self.word.get().unwrap_or_default();
        if matches!(meaning, Meaning::Role) {
            self.of_user = Some(word == b"user");
            self.of_system = matches!(word, b"system" | b"developer");
            self.opening.role(self.of_system);
        }
        match meaning {
            Meaning::Role if matches!(word, b"tool" | b"function") => self.last_is_tool_result = true,
            Meaning::Type if word == b"tool_result" || word.ends_with(b"_call_output") => {
                self.last_is_tool_result = true;
            }
            Meaning::Type if matches!(word, b"redacted_thinking" | b"compaction" | b"item_reference") => {
                self.provider_state = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
