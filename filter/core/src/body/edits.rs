//! What is done to each marked place of a body, so that the request is the one that was decided on and paid for.
//!
//! | place | change |
//! |---|---|
//! | `model`, every duplicate | the chosen model's name; added where it is missing |
//! | output limit, every duplicate and every name that a server may obey | lowered to the turn's limit; added where it is missing |
//! | `n`, `candidateCount` and the like | lowered to what was known at the decision: each answer may be as long as the limit |
//! | `stream` | `false` where it is not a boolean |
//! | `store` | `false`, so that no answer can be fetched behind the filter's back; added where an API stores by default |
//! | `metadata` of a chat | `null`: it is refused where nothing is stored |
//! | `service_tier` | the standard tier, which the prices are for |
//! | `stream_options.include_usage` | `true` where an OpenAI chat request streams, so that its usage can be read |

use crate::body::marks::{Mark, Marks, Target};
use crate::config::{LimitMember, ModelConfig};
use crate::request::api::Api;

const STORE: &str = "\"store\":false";
const STREAM_OPTIONS: &str = "\"stream_options\":{\"include_usage\":true}";

/// What the server of the chosen model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedBy<'a> {
    /// The model's name.
    pub name: &'a str,
    /// The member that limits an OpenAI chat answer, where the client has not limited it.
    pub limit_member: LimitMember,
    /// The largest output limit of one answer.
    pub max_output_tokens: Option<u64>,
    /// A stream can be asked for its usage.
    pub stream_usage: bool,
}

impl<'a> ServedBy<'a> {
    /// A model about whose server nothing else is known.
    #[must_use]
    pub fn named(name: &'a str) -> ServedBy<'a> {
        ServedBy { name, limit_member: LimitMember::default(), max_output_tokens: None, stream_usage: true }
    }
}

impl<'a> From<&'a ModelConfig> for ServedBy<'a> {
    fn from(model: &'a ModelConfig) -> ServedBy<'a> {
        ServedBy {
            name: &model.name,
            limit_member: model.limit_member,
            max_output_tokens: model.max_output_tokens,
            stream_usage: model.stream_usage,
        }
    }
}

/// The changes to a body. `None` leaves a member as the client sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The model's name.
    pub model: Option<String>,
    /// The greatest output limit of each answer.
    pub max_output_tokens: Option<u64>,
    /// The limit is added where it is missing; otherwise only larger ones are lowered to it.
    pub adds_limit: bool,
    /// The member that limits an OpenAI chat answer, where it is missing.
    pub limit_member: LimitMember,
    /// The greatest number of answers.
    pub max_answers: Option<u64>,
    /// Ask for usage in streams that would not carry it.
    pub include_usage: bool,
}

/// The changes as texts, for one body.
#[derive(Clone, Debug)]
pub struct Edits {
    api: Api,
    changes: Changes,
    quoted_model: String,
}

/// What is done to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Nothing.
    Keep,
    /// It is replaced; a closing brace gets something before it.
    Put(String),
}

impl Edits {
    /// The edits that make these changes.
    #[must_use]
    pub fn new(api: Api, changes: Changes) -> Edits {
        let quoted_model = serde_json::Value::from(changes.model.as_deref().unwrap_or_default()).to_string();
        let include_usage = changes.include_usage && api == Api::OpenAiChat;
        Edits { api, changes: Changes { include_usage, ..changes }, quoted_model }
    }

    /// An unfinished value at this place is held back until its end, and then decided on.
    #[must_use]
    pub fn concern(&self, target: Target) -> bool {
        match target {
            Target::Model => self.changes.model.is_some(),
            Target::Limit => self.changes.max_output_tokens.is_some(),
            Target::NoConfig | Target::EndOfConfig => self.added_limit().is_some(),
            Target::Answers => self.changes.max_answers.is_some(),
            Target::IncludeUsage | Target::NoStreamOptions | Target::EndOfStreamOptions => {
                self.changes.include_usage
            }
            Target::Stream | Target::Fixed(_) | Target::EndOfBody => true,
        }
    }

    /// Bytes by which an honest client's body can still grow: one change, or addition, of each member that has not
    /// been read to its end.
    #[must_use]
    pub fn most_growth(&self, marks: &Marks, stream: Option<bool>) -> u64 {
        if marks.end_of_body.is_some() {
            return 0;
        }
        let is_open = |target| marks.found().iter().any(|mark| mark.target == target && mark.end.is_none());
        let mut bytes = 0usize;
        if self.changes.model.is_some()
            && self.api.has_model_in_body()
            && (!marks.has_model || is_open(Target::Model))
        {
            bytes = bytes.saturating_add(self.model_member().len()).saturating_add(1);
        }
        if let Some(limit) = self.added_limit()
            && (self.lacks_limit(marks) || is_open(Target::Limit) || is_open(Target::NoConfig))
        {
            bytes = bytes.saturating_add(self.limit_member(limit).len()).saturating_add(1);
        }
        if self.changes.include_usage && stream != Some(false) && !marks.has_stream_options {
            bytes = bytes.saturating_add(STREAM_OPTIONS.len()).saturating_add(1);
        }
        if marks.lacks_store() {
            bytes = bytes.saturating_add(STORE.len()).saturating_add(1);
        }
        bytes as u64
    }

    /// The limit that is added where none was read.
    fn added_limit(&self) -> Option<u64> {
        self.changes.max_output_tokens.filter(|_| self.changes.adds_limit)
    }

    /// The member by which the server limits its answer has not been read.
    fn lacks_limit(&self, marks: &Marks) -> bool {
        let by_max_tokens =
            self.api == Api::OpenAiChat && self.changes.limit_member != LimitMember::MaxCompletionTokens;
        if by_max_tokens { !marks.has_max_tokens } else { !marks.has_limit }
    }

    /// What is done to a finished place. `stream` is the member as far as it was read.
    #[must_use]
    pub fn edit(&self, mark: &Mark, marks: &Marks, stream: Option<bool>) -> Edit {
        if !self.concern(mark.target) {
            return Edit::Keep;
        }
        let text = mark.text.as_deref();
        let lowered = |limit: Option<u64>| {
            let number = text.and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
            match limit {
                // Some servers treat 0 as unlimited.
                Some(limit) if number.is_none_or(|number| number > limit || number == 0) => {
                    Edit::Put(limit.to_string())
                }
                _ => Edit::Keep,
            }
        };
        let first = |member: String| if mark.is_empty { member } else { format!(",{member}") };
        match mark.target {
            Target::Model => Edit::Put(self.quoted_model.clone()),
            Target::Limit => lowered(self.changes.max_output_tokens),
            // `null` is the default of one answer.
            Target::Answers if text == Some(b"null") => Edit::Keep,
            Target::Answers => lowered(self.changes.max_answers),
            Target::Stream if matches!(text, Some(b"true" | b"false" | b"null")) => Edit::Keep,
            Target::Stream => Edit::Put("false".to_owned()),
            Target::Fixed(value) if text == Some(value.as_bytes()) => Edit::Keep,
            Target::Fixed(value) => Edit::Put(value.to_owned()),
            Target::IncludeUsage if text == Some(b"true") => Edit::Keep,
            Target::IncludeUsage => Edit::Put("true".to_owned()),
            Target::NoConfig => Edit::Put(format!("{{{}}}", self.limit_in_config())),
            Target::EndOfConfig => Edit::Put(first(self.limit_in_config())),
            // Whether the request streams may be said later; `null` can wait for it, anything else is refused.
            Target::NoStreamOptions if stream != Some(true) && text.is_some() => Edit::Keep,
            Target::NoStreamOptions if stream != Some(true) => Edit::Put("null".to_owned()),
            Target::NoStreamOptions => Edit::Put("{\"include_usage\":true}".to_owned()),
            Target::EndOfStreamOptions => Edit::Put(first("\"include_usage\":true".to_owned())),
            Target::EndOfBody => {
                let added = self.added_members(marks, stream).join(",");
                if added.is_empty() { Edit::Keep } else { Edit::Put(first(added)) }
            }
        }
    }

    /// Whether this edit makes the upstream report usage that the client did not ask for.
    #[must_use]
    pub fn asks_for_usage(&self, mark: &Mark, marks: &Marks, stream: Option<bool>) -> bool {
        match mark.target {
            Target::IncludeUsage | Target::EndOfStreamOptions => self.edit(mark, marks, stream) != Edit::Keep,
            Target::NoStreamOptions => self.changes.include_usage && stream == Some(true),
            Target::EndOfBody => self.adds_stream_options(marks, stream),
            _ => false,
        }
    }

    fn adds_stream_options(&self, marks: &Marks, stream: Option<bool>) -> bool {
        self.changes.include_usage && stream == Some(true) && !marks.has_stream_options
    }

    fn added_members(&self, marks: &Marks, stream: Option<bool>) -> Vec<String> {
        let mut added = Vec::new();
        if self.changes.model.is_some() && self.api.has_model_in_body() && !marks.has_model {
            added.push(self.model_member());
        }
        if let Some(limit) = self.added_limit().filter(|_| self.lacks_limit(marks)) {
            added.push(self.limit_member(limit));
        }
        if self.adds_stream_options(marks, stream) {
            added.push(STREAM_OPTIONS.to_owned());
        }
        if marks.lacks_store() {
            added.push(STORE.to_owned());
        }
        added
    }

    fn model_member(&self) -> String {
        format!("\"model\":{}", self.quoted_model)
    }

    fn limit_member(&self, limit: u64) -> String {
        match self.api {
            Api::OpenAiChat => format!("\"{}\":{limit}", self.changes.limit_member.name()),
            Api::OpenAiResponses => format!("\"max_output_tokens\":{limit}"),
            Api::AnthropicMessages => format!("\"max_tokens\":{limit}"),
            Api::GeminiGenerate => format!("\"generationConfig\":{{{}}}", self.limit_in_config()),
            Api::BedrockConverse => format!("\"inferenceConfig\":{{{}}}", self.limit_in_config()),
        }
    }

    fn limit_in_config(&self) -> String {
        let name = if self.api == Api::GeminiGenerate { "maxOutputTokens" } else { "maxTokens" };
        format!("\"{name}\":{}", self.changes.max_output_tokens.unwrap_or_default())
    }
}
