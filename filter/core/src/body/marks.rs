//! The places of a request's body that the filter may have to change.
//!
//! Found while the body is scanned, kept until the piece that contains them is sent. [`crate::body::edits`] decides how
//! they change.

use crate::body::members::{is_answers, is_limit, is_limit_of};
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
    /// The value of `n`, `candidateCount` and the like.
    Answers,
    /// The value of `stream`.
    Stream,
    /// The value of a member that is always the same: `store`, or the service tier.
    Fixed(&'static str),
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
    /// A limit of the API was begun, or the object that should hold one was read.
    pub has_limit: bool,
    /// `max_tokens` was begun.
    pub has_max_tokens: bool,
    /// `store` was begun.
    pub has_store: bool,
    /// `stream_options` was read.
    pub has_stream_options: bool,
    /// Offset after the body's object, once that was read.
    pub end_of_body: Option<u64>,
    allows_stored_state: bool,
    /// `store` is added where it is missing.
    adds_store: bool,
    in_object: bool,
    /// Length of the path to the place being read: what is inside of it changes with it.
    open: Option<usize>,
    text: Slot,
}

/// The service tier that the price table is for (API references, `service_tier`).
fn standard_tier(api: Api) -> &'static str {
    match api {
        Api::OpenAiChat | Api::OpenAiResponses => "\"default\"",
        Api::AnthropicMessages => "\"standard_only\"",
        Api::GeminiGenerate => "\"standard\"",
        Api::BedrockConverse => "{\"type\":\"default\"}",
    }
}

impl Marks {
    /// Places of a body for `api`. `allows_stored_state`: the client may ask the provider to keep its answers.
    #[must_use]
    pub fn new(api: Api, allows_stored_state: bool) -> Marks {
        Marks {
            api,
            allows_stored_state,
            adds_store: api == Api::OpenAiResponses && !allows_stored_state,
            marks: Vec::new(),
            overflowed: false,
            has_model: false,
            has_limit: false,
            has_max_tokens: false,
            has_store: false,
            has_stream_options: false,
            end_of_body: None,
            in_object: false,
            open: None,
            text: Slot::new(Kind::Scalar, MAX_TEXT_BYTES),
        }
    }

    /// The answer would be kept by the provider if the request did not say otherwise (OpenAI responses, `store`).
    #[must_use]
    pub fn lacks_store(&self) -> bool {
        self.adds_store && !self.has_store
    }

    /// The call's body has no `store`, and its answer is not kept.
    pub fn add_nothing(&mut self) {
        self.adds_store = false;
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
            (_, path) if is_limit(path) => Target::Limit,
            (_, path) if is_answers(path) => Target::Answers,
            (_, [Key::Stream | Key::StreamLike]) => Target::Stream,
            (Api::OpenAiChat | Api::OpenAiResponses, [Key::Store]) if !self.allows_stored_state => {
                Target::Fixed("false")
            }
            // Chat completions refuse it where nothing is stored.
            (Api::OpenAiChat, [Key::Metadata]) if !self.allows_stored_state => Target::Fixed("null"),
            (_, [Key::ServiceTier]) => Target::Fixed(standard_tier(self.api)),
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
        if self.open.is_some() {
            return false;
        }
        if kind == Kind::Object
            && matches!(self.object_end_at(path), Some(target) if target != Target::EndOfBody)
        {
            self.in_object = false;
        }
        let Some(target) = self.value_at(path, kind) else { return false };
        let is_limit = is_limit_of(self.api, path);
        match target {
            Target::Model => self.has_model |= path.last() == Some(&Key::Model),
            Target::Limit => {
                self.has_limit |= is_limit;
                self.in_object |= is_limit;
                self.has_max_tokens |= path == [Key::MaxTokens];
            }
            Target::Fixed(_) => self.has_store |= path == [Key::Store],
            Target::IncludeUsage => self.in_object = true,
            _ => {}
        }
        self.add(Mark { target, start: offset, end: None, text: None, is_empty: false });
        self.open = Some(path.len());
        self.text.begin(kind)
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        if self.open == Some(path.len()) {
            self.text.push(piece);
        }
    }

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool) {
        if self.open == Some(path.len()) {
            self.open = None;
            self.text.end();
            let text = self.text.get().map(<[u8]>::to_vec);
            if let Some(mark) = self.marks.last_mut().filter(|mark| mark.end.is_none()) {
                (mark.end, mark.text) = (Some(end), text);
            }
        }
        let Some(target) = self.object_end_at(path) else { return };
        match target {
            Target::EndOfBody => self.end_of_body = Some(end),
            Target::EndOfStreamOptions => self.has_stream_options = true,
            _ => self.has_limit = true,
        }
        if kind == Kind::Object && (target == Target::EndOfBody || !self.in_object) {
            let brace = end.saturating_sub(1);
            self.add(Mark { target, start: brace, end: Some(brace), text: None, is_empty });
        }
    }
}
