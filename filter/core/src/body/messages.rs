//! What the messages of a request say about where it can go.
//!
//! | API | list | a tool's result | signed thinking | image |
//! |---|---|---|---|---|
//! | OpenAI chat | `messages` | role `tool` or `function` | – | part `image_url` |
//! | OpenAI responses | `input` | item type `…_call_output` | `encrypted_content` | part `input_image` |
//! | Anthropic | `messages` | part type `tool_result` | `signature`, `redacted_thinking` | part `image` |
//! | Gemini | `contents` | part `functionResponse` | `thoughtSignature` | part `inlineData`, `fileData` |
//! | Bedrock | `messages` | part `toolResult` | `signature`, `redactedContent` | part `image` |
//!
//! The text of the last message of the user (role `user`, or none) is hashed ([`TextHasher`]); its parts count as
//! separate lines, and a message without text, such as a tool's result, changes nothing.
//!
//! Arguments and results of tools may hold any JSON and are ignored, except images in a result's content.

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
    /// Some message carries thinking that only its model accepts.
    pub signed_thinking: bool,
    /// Some message carries an image or a file.
    pub has_images: bool,
    last_is_tool_result: bool,
    word: Slot,
    /// Text of the message being read, and whether its role, as far as it was read, is the user's.
    text: TextHasher,
    of_user: Option<bool>,
    last_user_text: TextFeatures,
}

impl Default for Messages {
    fn default() -> Self {
        let word = Slot::new(Kind::String, MAX_WORD_BYTES);
        Messages {
            count: 0,
            signed_thinking: false,
            has_images: false,
            last_is_tool_result: false,
            word,
            text: TextHasher::default(),
            of_user: None,
            last_user_text: TextFeatures::default(),
        }
    }
}

/// What a member of a message says.
enum Meaning {
    Role,
    Type,
    ToolResult,
    Signature,
    Image,
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
    let in_content = containers.iter().all(|key| {
        matches!(key, Key::Item | Key::Content | Key::Parts | Key::ReasoningContent | Key::ReasoningText)
    });
    let in_result = containers.iter().all(|key| matches!(key, Key::Item | Key::Content | Key::ToolResult));
    match last {
        Key::Role if containers.is_empty() => Meaning::Role,
        Key::Type if in_content => Meaning::Type,
        Key::ToolResult | Key::FunctionResponse if in_content => Meaning::ToolResult,
        Key::Signature | Key::EncryptedContent | Key::ThoughtSignature | Key::RedactedContent
            if in_content =>
        {
            Meaning::Signature
        }
        Key::Image | Key::ImageUrl | Key::InlineData | Key::FileData if in_content || in_result => {
            Meaning::Image
        }
        _ => Meaning::Other,
    }
}

impl Visitor for Messages {
    fn begin(&mut self, path: &[Key], kind: Kind, _offset: u64) -> bool {
        if matches!((path, kind), ([_, Key::Item], _) | ([_], Kind::String)) {
            self.next_message();
        }
        let is_absent = kind == Kind::Scalar;
        match meaning(path) {
            Meaning::Role | Meaning::Type => return self.word.begin(kind),
            Meaning::Signature | Meaning::Text => return kind == Kind::String,
            Meaning::ToolResult if !is_absent => self.last_is_tool_result = true,
            Meaning::Image if !is_absent => self.has_images = true,
            Meaning::ToolResult | Meaning::Image | Meaning::Other => {}
        }
        false
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        match meaning(path) {
            Meaning::Role | Meaning::Type => self.word.push(piece),
            // An empty signature does not count.
            Meaning::Signature => self.signed_thinking = true,
            Meaning::Text => self.text.feed(piece),
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
        }
        match meaning {
            Meaning::Role if matches!(word, b"tool" | b"function") => self.last_is_tool_result = true,
            Meaning::Type if word == b"tool_result" || word.ends_with(b"_call_output") => {
                self.last_is_tool_result = true;
            }
            Meaning::Type if word == b"redacted_thinking" => self.signed_thinking = true,
            Meaning::Type if matches!(word, b"image" | b"image_url" | b"input_image") => {
                self.has_images = true
            }
            _ => {}
        }
    }
}
