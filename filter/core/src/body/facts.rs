//! What a request's body says, as far as the filter needs to know it.
//!
//! One visitor serves all provider APIs, because their members do not clash. A client that mixes them can only make its
//! turn harder to move or more expensive. Of duplicate members the last one counts.

use crate::body::messages::Messages;
use crate::body::text::TextFeatures;
use crate::request::api::{self, Api};
use crate::request::identity::BodySessionIds;
use crate::request::session_id::MAX_RAW_ID_BYTES;
use crate::wire::json::{Kind, Visitor};
use crate::wire::key::Key;
use crate::wire::slot::Slot;

/// Longest model name that is kept.
const MAX_MODEL_BYTES: usize = 256;
/// Longest number or word that is kept.
const MAX_WORD_BYTES: usize = 40;

/// What the body says, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyFacts {
    /// The whole body was read. Where it was not, everything below may still change, and `open_tool_loop` refers to
    /// the last message that was begun.
    pub complete: bool,
    /// The model the client asked for.
    pub requested_model: Option<String>,
    /// The client's own limit on output tokens, over all answers it asked for.
    pub max_output_tokens: Option<u64>,
    /// Answers asked for at once (`n`, `candidateCount`): at least 1. Each may be as long as the limit.
    pub answers: u64,
    /// Tokens that the model may think before it answers, part of the output (`thinking.budget_tokens`); a provider
    /// refuses an output limit that is not above it.
    pub thinking_tokens: Option<u64>,
    /// The client asked for a stream of events.
    pub stream: bool,
    /// Tools are offered to the model.
    pub has_tools: bool,
    /// The last message is the result of a tool: the model that called it must go on.
    pub open_tool_loop: bool,
    /// The history is kept by the provider under an id (`previous_response_id`), so only it can go on.
    pub previous_response_id: bool,
    /// The provider keeps the answer, so that it can be had without this request's stream: the request says `store` or
    /// `background`. OpenAI responses are kept unless `store` is `false`, and as part of a `conversation`. Any value but
    /// `false` and `null` is a yes, and one yes of several counts.
    pub detached: bool,
    /// The history holds thinking that its model signed or encrypted; other models refuse it.
    pub signed_thinking: bool,
    /// A message holds an image or another file that is not text.
    pub has_images: bool,
    /// The client asks for an answer in JSON.
    pub response_format_json: bool,
    /// Messages, or input items, or contents; a plain text as input is one.
    pub messages: u64,
    /// Members that may name the session.
    pub session_ids: BodySessionIds,
    /// Text features of the last user message.
    pub text: TextFeatures,
}

impl BodyFacts {
    /// Adds what the request's path (without its query) says: some APIs name the model there.
    #[must_use]
    pub fn of_path(mut self, path: &str) -> BodyFacts {
        self.requested_model = api::model_of_path(path).or(self.requested_model);
        self.stream |= Api::path_streams(path);
        self
    }
}

/// Collects the facts.
#[derive(Clone, Debug)]
pub struct FactsReader {
    model: Slot,
    max_tokens: Slot,
    newer_max_tokens: Slot,
    answers: Slot,
    thinking_tokens: Slot,
    stream: Slot,
    word: Slot,
    switch: Slot,
    has_tools: bool,
    previous_response_id: bool,
    is_kept: bool,
    is_not_stored: bool,
    is_in_conversation: bool,
    response_format_json: bool,
    metadata_session_id: Slot,
    conversation: Slot,
    prompt_cache_key: Slot,
    metadata_user_id: Slot,
    user: Slot,
    messages: Messages,
}

impl Default for FactsReader {
    fn default() -> Self {
        let id = || Slot::new(Kind::String, MAX_RAW_ID_BYTES);
        let scalar = || Slot::new(Kind::Scalar, MAX_WORD_BYTES);
        FactsReader {
            model: Slot::new(Kind::String, MAX_MODEL_BYTES),
            max_tokens: scalar(),
            newer_max_tokens: scalar(),
            answers: scalar(),
            thinking_tokens: scalar(),
            stream: scalar(),
            word: Slot::new(Kind::String, MAX_WORD_BYTES),
            switch: scalar(),
            has_tools: false,
            previous_response_id: false,
            is_kept: false,
            is_not_stored: false,
            is_in_conversation: false,
            response_format_json: false,
            metadata_session_id: id(),
            conversation: id(),
            prompt_cache_key: id(),
            metadata_user_id: id(),
            user: id(),
            messages: Messages::default(),
        }
    }
}

impl FactsReader {
    /// The facts so far. `complete`: the whole body was read.
    #[must_use]
    pub fn facts(&self, complete: bool) -> BodyFacts {
        let id = |slot: &Slot| slot.get().filter(|id| !id.is_empty()).map(<[u8]>::to_vec);
        let answers = self.answers();
        let limit = self.newer_max_tokens.number().or(self.max_tokens.number());
        BodyFacts {
            complete,
            requested_model: self
                .model
                .get()
                .and_then(|name| Some(std::str::from_utf8(name).ok()?.to_owned())),
            max_output_tokens: limit.map(|limit| limit.saturating_mul(answers)),
            answers,
            thinking_tokens: self.thinking_tokens.number(),
            stream: self.stream() == Some(true),
            has_tools: self.has_tools,
            open_tool_loop: self.messages.ends_with_tool_result(),
            previous_response_id: self.previous_response_id,
            detached: self.is_kept,
            signed_thinking: self.messages.signed_thinking,
            has_images: self.messages.has_images,
            response_format_json: self.response_format_json,
            messages: self.messages.count,
            session_ids: BodySessionIds {
                metadata_session_id: id(&self.metadata_session_id),
                conversation: id(&self.conversation),
                prompt_cache_key: id(&self.prompt_cache_key),
                metadata_user_id: id(&self.metadata_user_id),
                user: id(&self.user),
            },
            text: self.messages.last_user_text(),
        }
    }

    /// Answers asked for at once, at least 1.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.answers.number().unwrap_or(1).max(1)
    }

    /// [`BodyFacts::detached`] of OpenAI responses, which are kept unasked.
    #[must_use]
    pub fn is_detached_by_default(&self) -> bool {
        self.is_kept || self.is_in_conversation || !self.is_not_stored
    }

    /// The member `stream`, if it was read.
    #[must_use]
    pub fn stream(&self) -> Option<bool> {
        self.stream.get().map(|text| text == b"true")
    }

    fn slot(&mut self, path: &[Key]) -> Option<&mut Slot> {
        let slot = match path {
            [Key::Model] => &mut self.model,
            [Key::MaxCompletionTokens] => &mut self.newer_max_tokens,
            [Key::MaxTokens | Key::MaxOutputTokens]
            | [Key::GenerationConfig, Key::MaxOutputTokens | Key::MaxOutputTokensCamel]
            | [Key::InferenceConfig, Key::MaxTokensCamel] => &mut self.max_tokens,
            [Key::N] | [Key::GenerationConfig, Key::CandidateCount] => &mut self.answers,
            [Key::Thinking, Key::BudgetTokens]
            | [Key::AdditionalModelRequestFields, Key::Thinking, Key::BudgetTokens] => {
                &mut self.thinking_tokens
            }
            [Key::Stream] => &mut self.stream,
            [Key::Metadata, Key::SessionId] => &mut self.metadata_session_id,
            [Key::Conversation] | [Key::Conversation, Key::Id] => &mut self.conversation,
            [Key::PromptCacheKey] => &mut self.prompt_cache_key,
            [Key::Metadata, Key::UserId] => &mut self.metadata_user_id,
            [Key::User] => &mut self.user,
            [Key::ResponseFormat | Key::OutputFormat, Key::Type]
            | [Key::Text | Key::OutputConfig, Key::Format, Key::Type]
            | [Key::GenerationConfig, Key::ResponseMimeType]
            | [Key::PreviousResponseId] => &mut self.word,
            [Key::Store | Key::Background] => &mut self.switch,
            _ => return None,
        };
        Some(slot)
    }
}

impl Visitor for FactsReader {
    fn begin(&mut self, path: &[Key], kind: Kind, offset: u64) -> bool {
        match path {
            [Key::Tools | Key::Functions, Key::Item] | [Key::ToolConfig, Key::Tools, Key::Item] => {
                self.has_tools = true;
            }
            [Key::Messages | Key::Input | Key::Contents, ..] => {
                return self.messages.begin(path, kind, offset);
            }
            _ => {}
        }
        self.slot(path).is_some_and(|slot| slot.begin(kind))
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        if let [Key::Messages | Key::Input | Key::Contents, ..] = path {
            self.messages.text(path, piece);
        } else if let Some(slot) = self.slot(path) {
            slot.push(piece);
        }
    }

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool) {
        let Some(first) = path.first() else { return };
        match first {
            Key::Messages | Key::Input | Key::Contents => {
                return self.messages.end(path, kind, end, is_empty);
            }
            _ => {}
        }
        if let Some(slot) = self.slot(path) {
            slot.end();
        }
        match (path, self.switch.get()) {
            ([Key::Store], Some(b"false")) => self.is_not_stored = true,
            ([Key::Store | Key::Background], value) => {
                self.is_kept |= !matches!(value, Some(b"false" | b"null"));
            }
            ([Key::Conversation], _) => self.is_in_conversation |= kind != Kind::Scalar,
            _ => {}
        }
        match (path, self.word.get()) {
            ([Key::PreviousResponseId], id) if kind == Kind::String => {
                self.previous_response_id = id != Some(b"");
            }
            (
                [Key::ResponseFormat | Key::OutputFormat | Key::Text | Key::OutputConfig, .., Key::Type],
                Some(b"json_object" | b"json_schema"),
            )
            | ([Key::GenerationConfig, Key::ResponseMimeType], Some(b"application/json")) => {
                self.response_format_json = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
