//! What the members of a request mean to the servers that may read them.
//!
//! Servers disagree on names: Go's `encoding/json` matches them without regard to case (by Unicode simple folding, so that a
//! Kelvin sign is a `k`), protocol buffers take two spellings, and each server has limits of its own, which it obeys before
//! those of the API. So a name is compared folded: lower case, without `_` and `-`.
//!
//! | name | treated as |
//! |---|---|
//! | one of [`lists::LIMITS`] | an output limit: lowered to what the turn may cost, whatever stands in it |
//! | one of [`lists::ANSWERS`] | a number of answers: never more than was decided on |
//! | one of [`lists::REFUSED`] | not allowed: 400, or the request is reset where it comes behind the decision |
//! | like one of [`lists::EXACT`] | not allowed |
//! | like any other name that is known | the member that it resembles ([`look_alike`]) |
//!
//! Sources: `filter/docs/api-facts.md`, sections 1 and 2. Limits and refused members are looked for in settings only: not in
//! what is of free form (messages, tools, schemas, metadata), nor in objects below the second level. Look-alikes are also
//! looked for in the parts of messages and in the items of tool lists, which decide on what is billed.

pub mod lists;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::body::members::lists::{ANSWERS, EXACT, LIMITS, REFUSED, STORED};
use crate::config::{MembersConfig, StoredState};
use crate::pattern::covers;
use crate::request::api::Api;
use crate::wire::key::{Key, MAX_NAME_BYTES, NAMES};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Model,
    Stream,
    Limit,
    Answers,
    Refused(u16),
    /// Refused where it only resembles the name.
    Exact(u16),
}

/// The names that mean something, under one configuration.
#[derive(Clone, Debug)]
pub struct Members {
    exact: HashMap<Vec<u8>, Meaning>,
    /// Beginnings of names.
    prefixes: Vec<(Vec<u8>, Meaning)>,
    refused: Vec<String>,
    allow_tools: Vec<String>,
    /// Requests may refer to state that the provider keeps.
    pub allows_stored_state: bool,
}

impl Default for Members {
    fn default() -> Members {
        Members::new(&MembersConfig::default())
    }
}

impl Members {
    /// The names under a configuration.
    #[must_use]
    pub fn new(config: &MembersConfig) -> Members {
        let allows_stored_state = config.stored_state == StoredState::Allow;
        let mut members = Members {
            exact: HashMap::new(),
            prefixes: Vec::new(),
            refused: Vec::new(),
            allow_tools: config.allow_tools.clone(),
            allows_stored_state,
        };
        let is_allowed =
            |name: &str| config.allow.iter().any(|allowed| fold(allowed).as_bytes() == fold(name).as_bytes());
        let built_in = REFUSED.iter().flat_map(|(_, names)| names.iter().copied());
        let stored = STORED.iter().copied().filter(|_| !allows_stored_state);
        for name in built_in.chain(stored).filter(|name| !is_allowed(name)) {
            members.refuse(name, Meaning::Refused);
        }
        EXACT.iter().for_each(|name| members.refuse(name, Meaning::Exact));
        config.refuse.iter().for_each(|name| members.refuse(name, Meaning::Refused));
        config.limits.iter().for_each(|name| members.add(name, Meaning::Limit));
        LIMITS.iter().for_each(|name| members.add(name, Meaning::Limit));
        ANSWERS.iter().for_each(|name| members.add(name, Meaning::Answers));
        members.add("model", Meaning::Model);
        members.add("stream", Meaning::Stream);
        members
    }

    /// The names without any setting.
    #[must_use]
    pub fn built_in() -> Arc<Members> {
        static MEMBERS: OnceLock<Arc<Members>> = OnceLock::new();
        MEMBERS.get_or_init(Arc::default).clone()
    }

    fn refuse(&mut self, name: &str, meaning: fn(u16) -> Meaning) {
        if let Ok(number) = u16::try_from(self.refused.len()) {
            self.refused.push(name.to_owned());
            self.add(name, meaning(number));
        }
    }

    fn add(&mut self, name: &str, meaning: Meaning) {
        match name.strip_suffix('*') {
            // A prefix of `_` would fold to nothing.
            Some("_") => self.prefixes.push((b"_".to_vec(), meaning)),
            Some(prefix) => self.prefixes.push((fold(prefix).as_bytes().to_vec(), meaning)),
            None => {
                self.exact.insert(fold(name).as_bytes().to_vec(), meaning);
            }
        }
    }

    /// What a member means; `holder` is the path to the object that holds it.
    #[must_use]
    pub fn key(&self, holder: &[Key], name: &[u8]) -> Key {
        let known = Key::of(name);
        let deepest = if holder.first() == Some(&Key::AdditionalModelRequestFields) { 2 } else { 1 };
        if holder.len() > deepest || holder.first().is_some_and(|first| !is_looked_into(*first)) {
            return known;
        }
        match self.meaning(name) {
            Some(Meaning::Refused(number)) => Key::Refused(number),
            _ if known != Key::Other => known,
            Some(Meaning::Exact(number)) => Key::Refused(number),
            Some(Meaning::Model) if holder.is_empty() => Key::ModelLike,
            Some(Meaning::Stream) if holder.is_empty() => Key::StreamLike,
            Some(Meaning::Limit) => Key::LimitLike,
            Some(Meaning::Answers) => Key::AnswersLike,
            _ => known,
        }
    }

    fn meaning(&self, name: &[u8]) -> Option<Meaning> {
        let text = std::str::from_utf8(name).ok()?;
        let folded = fold(text);
        if let Some(meaning) = self.exact.get(folded.as_bytes()) {
            return Some(*meaning);
        }
        let begins = |prefix: &[u8]| {
            if prefix == b"_" { name.starts_with(prefix) } else { folded.as_bytes().starts_with(prefix) }
        };
        self.prefixes.iter().find(|(prefix, _)| begins(prefix)).map(|(_, meaning)| *meaning)
    }

    /// Whether a refused member is one whatever stands in it.
    #[must_use]
    pub fn is_always_refused(&self, number: u16) -> bool {
        self.refused_name(number).is_some_and(|name| EXACT.contains(&name))
    }

    /// The name of a refused member, as the list has it.
    #[must_use]
    pub fn refused_name(&self, number: u16) -> Option<&str> {
        self.refused.get(usize::from(number)).map(String::as_str)
    }

    /// Whether the configuration allows a type of tool that servers run themselves.
    #[must_use]
    pub fn allows_tool(&self, kind: &str) -> bool {
        self.allow_tools.iter().any(|allowed| covers(allowed, kind.as_bytes()))
    }
}

/// Whether the value at a path is one that some server may obey as an output limit.
#[must_use]
pub fn is_limit(path: &[Key]) -> bool {
    let named = |key: &Key| {
        matches!(
            key,
            Key::MaxTokens
                | Key::MaxTokensCamel
                | Key::MaxCompletionTokens
                | Key::MaxOutputTokens
                | Key::MaxOutputTokensCamel
                | Key::LimitLike
        )
    };
    is_setting(path) && path.last().is_some_and(named)
}

/// Whether the value at a path is one that some server may take for the number of answers.
#[must_use]
pub fn is_answers(path: &[Key]) -> bool {
    is_setting(path) && matches!(path.last(), Some(Key::N | Key::CandidateCount | Key::AnswersLike))
}

/// Whether a path leads to a member whose meaning a server could look up: at the top, or in an object of settings.
fn is_setting(path: &[Key]) -> bool {
    let is_holder = |key: &Key| {
        let own = !is_limit(std::slice::from_ref(key)) && !is_answers(std::slice::from_ref(key));
        own && is_looked_into(*key)
            && !matches!(key, Key::Item | Key::Model | Key::Stream | Key::StreamOptions)
    };
    match path {
        [_] => true,
        [holder, _] => is_holder(holder),
        [Key::AdditionalModelRequestFields, holder, _] => is_holder(holder),
        _ => false,
    }
}

/// Whether the value at a path is the output limit of an API, by the API's own reference.
#[must_use]
pub fn is_limit_of(api: Api, path: &[Key]) -> bool {
    matches!(
        (api, path),
        (Api::OpenAiChat, [Key::MaxTokens | Key::MaxCompletionTokens])
            | (Api::OpenAiResponses, [Key::MaxOutputTokens])
            | (Api::AnthropicMessages, [Key::MaxTokens])
            | (
                Api::GeminiGenerate,
                [Key::GenerationConfig, Key::MaxOutputTokens | Key::MaxOutputTokensCamel]
            )
            | (Api::BedrockConverse, [Key::InferenceConfig, Key::MaxTokensCamel])
    )
}

/// Whether the members of a top-level object are looked into: those of free form belong to the client.
fn is_looked_into(first: Key) -> bool {
    !matches!(
        first,
        Key::Messages
            | Key::Input
            | Key::Contents
            | Key::System
            | Key::Tools
            | Key::Functions
            | Key::ToolConfig
            | Key::ToolChoice
            | Key::ResponseFormat
            | Key::OutputFormat
            | Key::OutputConfig
            | Key::Text
            | Key::Metadata
    )
}

/// The known name that a name resembles in an object whose members decide on what is billed; [`Key::Other`] for none, and
/// where names are the client's own.
#[must_use]
pub fn look_alike(holder: &[Key], name: &[u8]) -> Key {
    static NAMES_FOLDED: OnceLock<Vec<(Vec<u8>, Key)>> = OnceLock::new();
    if !(holder.is_empty() || is_settings(holder) || is_tools(holder) || is_in_part(holder)) {
        return Key::Other;
    }
    let names = NAMES_FOLDED.get_or_init(|| {
        let mut names: Vec<_> =
            NAMES.iter().map(|(name, key)| (fold(name).as_bytes().to_vec(), *key)).collect();
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        names
    });
    let Ok(name) = std::str::from_utf8(name) else { return Key::Other };
    let folded = fold(name);
    let found = names.binary_search_by(|(known, _)| known.as_slice().cmp(folded.as_bytes())).ok();
    found.and_then(|index| names.get(index)).map_or(Key::Other, |(_, key)| *key)
}

fn is_settings(holder: &[Key]) -> bool {
    matches!(holder, [first] if is_looked_into(*first))
}

/// Whether a path leads to a list of tools, or into one of its items.
fn is_tools(holder: &[Key]) -> bool {
    matches!(
        strip_additional(holder),
        [Key::Tools, Key::Item]
            | [Key::Tools, Key::Item, Key::Tools, Key::Item]
            | [Key::ToolConfig]
            | [Key::ToolConfig, Key::Tools, Key::Item]
    )
}

/// A path without the member by which Bedrock takes the members of a model's own API.
#[must_use]
pub fn strip_additional(path: &[Key]) -> &[Key] {
    path.strip_prefix(&[Key::AdditionalModelRequestFields]).unwrap_or(path)
}

/// Whether the members of the object at `holder` belong to a part of a message, and not to the arguments or the schema of
/// a tool.
#[must_use]
pub fn is_in_part(holder: &[Key]) -> bool {
    let [Key::Messages | Key::Input | Key::Contents | Key::System, inner @ ..] = holder else {
        return false;
    };
    inner.iter().all(|key| {
        matches!(
            key,
            Key::Item
                | Key::Content
                | Key::Parts
                | Key::ToolResult
                | Key::FunctionResponse
                | Key::Output
                | Key::Source
                | Key::Image
                | Key::ImageUrl
                | Key::InlineData
                | Key::InputAudio
                | Key::Document
                | Key::Video
                | Key::File
        )
    })
}

/// A name in lower case, without `_` and `-`. Longer names than any that is known are cut.
fn fold(name: &str) -> Folded {
    let mut folded = Folded { bytes: [0; MAX_NAME_BYTES], length: 0 };
    for letter in name.chars() {
        match letter {
            '_' | '-' => {}
            '\u{212A}' => folded.push(b"k"),
            '\u{17F}' => folded.push(b"s"),
            other => folded.push(other.to_ascii_lowercase().encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    folded
}

/// A folded name, kept without an allocation: it is made of every name that is not known.
#[derive(Clone, Copy)]
struct Folded {
    bytes: [u8; MAX_NAME_BYTES],
    length: usize,
}

impl Folded {
    fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
            self.length = self.length.saturating_add(1);
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
