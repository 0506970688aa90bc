//! The places of a request's body that the filter may have to change.
//!
//! Found while the body is scanned, kept until the piece that contains them is sent. [`crate::body::edits`] decides how
//! they change.

use crate::request::api::Api;
use crate::wire::json::{Kind, Visitor};
use crate::wire::key::Key;
use crate::wire::slot::Slot;

/// Places kept at once; a piece with more of them makes the body invalid.
const MAX_MARKS: usize = 64;
/// Longest number or literal that is kept, to be sent unchanged.
const MAX_TEXT_BYTES: usize = 24;

/// The meaning of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The value of `model`.
    Model,
    /// The value of an output limit.
    Limit,
    /// The value of `n` or `candidateCount`.
    Answers,
    /// The value of `stream_options.include_usage`.
    IncludeUsage,
    /// A value other than an object, where the object that holds the limit is expected.
    NoConfig,
    /// A value other than an object, where the object that holds `include_usage` is expected.
    NoStreamOptions,
    /// The end of the object that holds the limit, without a limit in it.
    EndOfConfig,
    /// The end of `stream_options`, without `include_usage` in it.
    EndOfStreamOptions,
    /// The end of the body's object.
    EndOfBody,
}

/// A place: a value, or an object's closing brace.
#[derive(Clone, Debug)]
pub struct Mark {
    /// What it is.
    pub target: Target,
    /// Offset of its first byte.
    pub start: u64,
    /// Offset after its last byte; `None` while it is being read.
    pub end: Option<u64>,
    /// Its text where it is a short number or literal.
    pub text: Option<Vec<u8>>,
    /// The object that ends here has no member.
    pub is_empty: bool,
}

/// Finds the places.
#[derive(Clone, Debug)]
pub struct Marks {
    api: Api,
    marks: Vec<Mark>,
    /// Too many places came at once.
    pub overflowed: bool,
    /// A `model` was begun.
    pub has_model: bool,
    /// A limit was begun, or the object that should hold one was read.
    pub has_limit: bool,
    /// `stream_options` was read.
    pub has_stream_options: bool,
    /// The end of the body's object was read.
    pub is_complete: bool,
    in_object: bool,
    text: Slot,
}

impl Marks {
    /// Places of a body for `api`.
    #[must_use]
    pub fn new(api: Api) -> Marks {
        Marks {
            api,
            marks: Vec::new(),
            overflowed: false,
            has_model: false,
            has_limit: false,
            has_stream_options: false,
            is_complete: false,
            in_object: false,
            text: Slot::new(Kind::Scalar, MAX_TEXT_BYTES),
        }
    }

    /// The places found and not yet taken, in their order; only the last one can be unfinished.
    #[must_use]
    pub fn found(&self) -> &[Mark] {
        &self.marks
    }

    /// Forgets the finished places: the piece that contains them was sent.
    pub fn forget_finished(&mut self) {
        self.marks.retain(|mark| mark.end.is_none());
    }

    fn value_at(&self, path: &[Key], kind: Kind) -> Option<Target> {
        let target = match (self.api, path) {
            (
                Api::OpenAiChat | Api::OpenAiResponses | Api::AnthropicMessages,
                [Key::Model | Key::ModelLike],
            ) => Target::Model,
            (Api::OpenAiChat, [Key::MaxTokens | Key::MaxCompletionTokens])
            | (Api::OpenAiResponses, [Key::MaxOutputTokens])
            | (Api::AnthropicMessages, [Key::MaxTokens])
            | (
                Api::GeminiGenerate,
                [Key::GenerationConfig, Key::MaxOutputTokens | Key::MaxOutputTokensCamel],
            )
            | (Api::BedrockConverse, [Key::InferenceConfig, Key::MaxTokensCamel])
            | (_, [Key::LimitLike] | [Key::GenerationConfig | Key::InferenceConfig, Key::LimitLike]) => {
                Target::Limit
            }
            (Api::OpenAiChat, [Key::N])
            | (Api::GeminiGenerate, [Key::GenerationConfig, Key::CandidateCount]) => Target::Answers,
            (Api::OpenAiChat, [Key::StreamOptions, Key::IncludeUsage]) => Target::IncludeUsage,
            (Api::OpenAiChat, [Key::StreamOptions]) if kind != Kind::Object => Target::NoStreamOptions,
            (Api::GeminiGenerate, [Key::GenerationConfig])
            | (Api::BedrockConverse, [Key::InferenceConfig])
                if kind != Kind::Object =>
            {
                Target::NoConfig
            }
            _ => return None,
        };
        Some(target)
    }

    fn object_end_at(&self, path: &[Key]) -> Option<Target> {
        match (self.api, path) {
            (_, []) => Some(Target::EndOfBody),
            (Api::OpenAiChat, [Key::StreamOptions]) => Some(Target::EndOfStreamOptions),
            (Api::GeminiGenerate, [Key::GenerationConfig])
            | (Api::BedrockConverse, [Key::InferenceConfig]) => Some(Target::EndOfConfig),
            _ => None,
        }
    }

    fn add(&mut self, mark: Mark) {
        if self.marks.len() < MAX_MARKS {
            self.marks.push(mark);
        } else {
            self.overflowed = true;
        }
    }
}

impl Visitor for Marks {
    fn begin(&mut self, path: &[Key], kind: Kind, offset: u64) -> bool {
        if kind == Kind::Object
            && matches!(self.object_end_at(path), Some(target) if target != Target::EndOfBody)
        {
            self.in_object = false;
        }
        let Some(target) = self.value_at(path, kind) else { return false };
        let is_exact = !matches!(path.last(), Some(Key::ModelLike | Key::LimitLike));
        match target {
            Target::Model => self.has_model |= is_exact,
            Target::Limit => {
                self.has_limit |= is_exact;
                self.in_object |= is_exact;
            }
            Target::IncludeUsage => self.in_object = true,
            _ => {}
        }
        self.add(Mark { target, start: offset, end: None, text: None, is_empty: false });
        self.text.begin(kind)
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        if self.value_at(path, Kind::Scalar).is_some() {
            self.text.push(piece);
        }
    }

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool) {
        if self.value_at(path, kind).is_some() {
            self.text.end();
            let text = self.text.get().map(<[u8]>::to_vec);
            if let Some(mark) = self.marks.last_mut().filter(|mark| mark.end.is_none()) {
                (mark.end, mark.text) = (Some(end), text);
            }
        }
        let Some(target) = self.object_end_at(path) else { return };
        match target {
            Target::EndOfBody => self.is_complete = true,
            Target::EndOfStreamOptions => self.has_stream_options = true,
            _ => self.has_limit = true,
        }
        if kind == Kind::Object && (target == Target::EndOfBody || !self.in_object) {
            let brace = end.saturating_sub(1);
            self.add(Mark { target, start: brace, end: Some(brace), text: None, is_empty });
        }
    }
}
