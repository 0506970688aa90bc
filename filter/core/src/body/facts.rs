//! What a request's body says, as far as the filter needs to know it.
//!
//! One visitor serves all provider APIs, because their members do not clash. A client that mixes them can only make its
//! turn harder to move or more expensive. Of duplicate members the last one counts, of limits and numbers of answers the
//! largest.
//!
//! A limit is the client's own only where the API's reference has it and where it is a plain count: what else a server may
//! obey (`0`, `-1`, `"5"`, `1e3`, another name) is treated as no limit, and replaced by one on the way to the server.

use std::sync::Arc;

use crate::body::input::ReadInput;
use crate::body::members::{Members, is_answers, is_limit_of, strip_additional};
use crate::body::messages::Messages;
use crate::body::text::TextFeatures;
use crate::body::tools::Tools;
use crate::body::wants::Wants;
use crate::request::api::Api;
use crate::request::conversation::Opening;
use crate::request::identity::BodySessionIds;
use crate::request::session_id::MAX_RAW_ID_BYTES;
use crate::wire::json::{Kind, Visitor};
use crate::wire::key::Key;
use crate::wire::slot::Slot;

/// Longest model name that is kept.
const MAX_MODEL_BYTES: usize = 256;
/// Longest number or word that is kept.
const MAX_WORD_BYTES: usize = 40;
/// Largest count that every server reads as the same number.
const MAX_COUNT: u64 = i32::MAX as u64;

/// Something that a request may not ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// A member, by its name in the list of refused ones.
    Member(String),
    /// A tool that the server runs, by its type.
    Tool(String),
    /// A value of `stream` that is neither `true`, `false` nor `null`: servers disagree on what it means.
    Stream,
}

/// What the body says, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyFacts {
    /// How far the body was read. Where it is not complete, everything below may still change, and `open_tool_loop`
    /// refers to the last message that was begun.
    pub read: ReadInput,
    /// The model the client asked for.
    pub requested_model: Option<String>,
    /// The client's own limit on output tokens, over all answers it asked for.
    pub max_output_tokens: Option<u64>,
    /// Answers asked for at once (`n`, `candidateCount`): at least 1. Each may be as long as the limit.
    pub answers: u64,
    /// The client asked for a stream of events.
    pub stream: bool,
    /// The first thing that the request asks for although it may not.
    pub forbidden: Option<Forbidden>,
    /// The last message is the result of a tool: the model that called it must go on.
    pub open_tool_loop: bool,
    /// The history is kept by the provider under an id (`previous_response_id`), so only it can go on.
    pub previous_response_id: bool,
    /// The provider keeps the answer, so that it can be had without this request's stream: the request says `store` or
    /// `background`. OpenAI responses are kept unless `store` is `false`, and as part of a `conversation`. Any value but
    /// `false` and `null` is a yes, and one yes of several counts.
    pub detached: bool,
    /// The history holds state of a provider, such as thinking that its model signed or encrypted; other models refuse it.
    pub provider_state: bool,
    /// The history refers to files that a provider keeps.
    pub kept_files: bool,
    /// What it asks of its model's abilities.
    pub wants: Wants,
    /// Messages, or input items, or contents; a plain text as input is one.
    pub messages: u64,
    /// Members that may name the session.
    pub session_ids: BodySessionIds,
    /// Text features of the last user message.
    pub text: TextFeatures,
}

impl BodyFacts {
    /// Adds what the request's path says: some APIs name the model there, or ask for a stream.
    #[must_use]
    pub fn of_path(mut self, model: Option<&str>, streams: bool) -> BodyFacts {
        self.requested_model = model.map(str::to_owned).or(self.requested_model);
        self.stream |= streams;
        self
    }
}

/// Collects the facts.
#[derive(Clone, Debug)]
pub struct FactsReader {
    api: Api,
    members: Arc<Members>,
    model: Slot,
    /// The limit, or the number of answers, being read.
    count: Slot,
    limit: Option<u64>,
    answers: u64,
    thinking_tokens: Slot,
    /// The value of `stream`, or of a refused member, being read.
    literal: Slot,
    stream: Option<bool>,
    forbidden: Option<Forbidden>,
    word: Slot,
    tools: Tools,
    switch: Slot,
    previous_response_id: bool,
    is_detached: bool,
    is_kept: bool,
    is_not_stored: bool,
    is_in_conversation: bool,
    metadata_session_id: Slot,
    conversation: Slot,
    prompt_cache_key: Slot,
    metadata_user_id: Slot,
    user: Slot,
    messages: Messages,
}

impl FactsReader {
    /// A reader of bodies for `api`.
    #[must_use]
    pub fn new(api: Api, members: Arc<Members>) -> FactsReader {
        let id = || Slot::new(Kind::String, MAX_RAW_ID_BYTES);
        let scalar = || Slot::new(Kind::Scalar, MAX_WORD_BYTES);
        FactsReader {
            api,
            members,
            model: Slot::new(Kind::String, MAX_MODEL_BYTES),
            count: scalar(),
            limit: None,
            answers: 1,
            thinking_tokens: scalar(),
            literal: scalar(),
            stream: None,
            forbidden: None,
            word: Slot::new(Kind::String, MAX_WORD_BYTES),
            tools: Tools::default(),
            switch: scalar(),
            previous_response_id: false,
            is_detached: false,
            is_kept: false,
            is_not_stored: false,
            is_in_conversation: false,
            metadata_session_id: id(),
            conversation: id(),
            prompt_cache_key: id(),
            metadata_user_id: id(),
            user: id(),
            messages: Messages::default(),
        }
    }

    /// The facts so far, of as much of the body as was `read`.
    #[must_use]
    pub fn facts(&self, read: ReadInput, wants: Wants) -> BodyFacts {
        let id = |slot: &Slot| slot.get().filter(|id| !id.is_empty()).map(<[u8]>::to_vec);
        BodyFacts {
            read,
            requested_model: self
                .model
                .get()
                .and_then(|name| Some(std::str::from_utf8(name).ok()?.to_owned())),
            max_output_tokens: self.max_output_tokens(),
            answers: self.answers,
            stream: self.stream == Some(true),
            forbidden: self.forbidden(),
            open_tool_loop: self.messages.ends_with_tool_result(),
            previous_response_id: self.previous_response_id,
            detached: self.is_detached || self.is_kept(),
            provider_state: self.messages.provider_state,
            kept_files: self.messages.kept_files,
            wants: Wants { tools: self.tools.any, thinking_tokens: self.thinking_tokens.number(), ..wants },
            messages: self.messages.count,
            session_ids: BodySessionIds {
                opening: match self.previous_response_id || self.is_in_conversation {
                    true => Opening::default(),
                    false => self.messages.opening.opening(read.complete),
                },
                metadata_session_id: id(&self.metadata_session_id),
                conversation: id(&self.conversation),
                prompt_cache_key: id(&self.prompt_cache_key),
                metadata_user_id: id(&self.metadata_user_id),
                user: id(&self.user),
            },
            text: self.messages.last_user_text(),
        }
    }

    /// The client's own limit on output tokens, over all answers.
    #[must_use]
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_mul(self.answers))
    }

    /// Answers asked for at once, at least 1.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// The provider will keep the answer. `store` is sent as `false` unless stored state is allowed.
    fn is_kept(&self) -> bool {
        let by_default = self.api == Api::OpenAiResponses && (self.is_in_conversation || !self.is_not_stored);
        self.members.allows_stored_state && (self.is_kept || by_default)
    }

    /// The member `stream`, if it was read: `true` where any of several is.
    #[must_use]
    pub fn stream(&self) -> Option<bool> {
        self.stream
    }

    /// Tools are offered to the model.
    #[must_use]
    pub fn has_tools(&self) -> bool {
        self.tools.any
    }

    /// The first thing that the request asks for although it may not.
    #[must_use]
    pub fn forbidden(&self) -> Option<Forbidden> {
        self.forbidden.clone().or_else(|| self.tools.refused.clone().map(Forbidden::Tool))
    }

    fn forbid(&mut self, what: Forbidden) {
        self.forbidden.get_or_insert(what);
    }

    fn forbid_member(&mut self, number: u16) {
        let name = self.members.refused_name(number).unwrap_or_default().to_owned();
        self.forbid(Forbidden::Member(name));
    }

    fn end_count(&mut self, path: &[Key]) {
        self.count.end();
        let count = self.count.number().filter(|count| (1..=MAX_COUNT).contains(count));
        if is_answers(path) {
            self.answers = self.answers.max(count.unwrap_or(1));
        } else {
            self.limit = self.limit.max(count);
        }
    }

    fn end_literal(&mut self, path: &[Key], kind: Kind, is_empty: bool) {
        self.literal.end();
        match (path, self.literal.get()) {
            ([Key::Stream | Key::StreamLike], Some(b"true")) => self.stream = Some(true),
            ([Key::Stream | Key::StreamLike], Some(b"false" | b"null")) => {
                self.stream = self.stream.or(Some(false));
            }
            ([Key::Stream | Key::StreamLike], _) => self.forbid(Forbidden::Stream),
            ([.., Key::Refused(number)], _) if self.members.is_always_refused(*number) => {
                self.forbid_member(*number);
            }
            // These ask for nothing.
            ([.., Key::Refused(_)], Some(b"false" | b"null")) => {}
            ([.., Key::Refused(_)], _) if kind == Kind::Array && is_empty => {}
            ([.., Key::Refused(number)], _) => self.forbid_member(*number),
            _ => {}
        }
    }

    fn slot(&mut self, path: &[Key]) -> Option<&mut Slot> {
        let slot = match path {
            [Key::Model] => &mut self.model,
            _ if is_counted(self.api, path) => &mut self.count,
            _ if is_literal(path) => &mut self.literal,
            [Key::Thinking, Key::BudgetTokens]
            | [Key::AdditionalModelRequestFields, Key::Thinking, Key::BudgetTokens] => {
                &mut self.thinking_tokens
            }
            [Key::Metadata, Key::SessionId] => &mut self.metadata_session_id,
            [Key::Conversation] | [Key::Conversation, Key::Id] => &mut self.conversation,
            [Key::PromptCacheKey] => &mut self.prompt_cache_key,
            [Key::Metadata, Key::UserId] => &mut self.metadata_user_id,
            [Key::User] => &mut self.user,
            [Key::PreviousResponseId] => &mut self.word,
            [Key::Store | Key::Background] => &mut self.switch,
            _ => return None,
        };
        Some(slot)
    }
}

/// Whether a value is a limit of the API, or a number of answers.
fn is_counted(api: Api, path: &[Key]) -> bool {
    is_limit_of(api, path) || is_answers(path)
}

/// Whether a value is inside of a list of tools.
fn is_of_tools(path: &[Key]) -> bool {
    matches!(strip_additional(path), [Key::Tools | Key::Functions | Key::ToolConfig, _, ..])
}

/// Whether a value is text of the system prompt.
fn is_of_system(path: &[Key]) -> bool {
    matches!(
        path,
        [Key::System] | [Key::System, Key::Item, Key::Text] | [Key::System, Key::Parts, Key::Item, Key::Text]
    )
}

/// Whether a value is judged by its literal: `stream`, or a member that is refused unless it says nothing.
fn is_literal(path: &[Key]) -> bool {
    matches!(path, [Key::Stream | Key::StreamLike] | [.., Key::Refused(_)])
}

impl Visitor for FactsReader {
    fn begin(&mut self, path: &[Key], kind: Kind, offset: u64) -> bool {
        match path {
            _ if is_of_tools(path) => return self.tools.begin(self.api, path, kind),
            [Key::Messages | Key::Input | Key::Contents, ..] => {
                return self.messages.begin(path, kind, offset);
            }
            [Key::System, ..] => return kind == Kind::String && is_of_system(path),
            _ => {}
        }
        self.slot(path).is_some_and(|slot| slot.begin(kind))
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        match path {
            [Key::Messages | Key::Input | Key::Contents, ..] => self.messages.text(path, piece),
            [Key::System, ..] => self.messages.opening.feed_system(piece),
            _ if is_of_tools(path) => self.tools.text(path, piece),
            _ => {
                if let Some(slot) = self.slot(path) {
                    slot.push(piece);
                }
            }
        }
    }

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool) {
        match path {
            [] => return,
            [Key::System] => return self.messages.opening.end_system(),
            [Key::System, ..] => return,
            [Key::Messages | Key::Input | Key::Contents, ..] => {
                return self.messages.end(path, kind, end, is_empty);
            }
            _ if is_of_tools(path) => return self.tools.end(path, kind, &self.members),
            _ if is_counted(self.api, path) => return self.end_count(path),
            _ if is_literal(path) => return self.end_literal(path, kind, is_empty),
            _ => {}
        }
        if let Some(slot) = self.slot(path) {
            slot.end();
        }
        match (path, self.switch.get()) {
            ([Key::Store], Some(b"false")) => self.is_not_stored = true,
            ([Key::Store], value) => self.is_kept |= value != Some(b"null"),
            ([Key::Background], value) => {
                self.is_detached |= !matches!(value, Some(b"false" | b"null"));
            }
            ([Key::Conversation], _) => self.is_in_conversation |= kind != Kind::Scalar,
            _ => {}
        }
        if path == [Key::PreviousResponseId] && kind == Kind::String {
            self.previous_response_id = self.word.get() != Some(b"");
        }
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
