//! Which models can take a request at all, by what the configuration says of them.
//!
//! A model must take the API that was called, and what the request asks for: parts that are not text, tools, a kind of
//! thinking, an effort, a form of the answer, the usage of a stream. Its largest output limit must be above the budget of
//! thinking, since the limit is lowered to it.

use std::fmt::{self, Display};

use crate::MAX_MODELS;
use crate::body::wants::Wants;
use crate::config::{ApiName, Effort, LimitMember, ModelConfig, Structure, Thinking};
use crate::decide::locks::Permitted;

/// What a model does not take, in the order in which it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// The API.
    Api(ApiName),
    /// Images in messages.
    Images,
    /// Documents in messages.
    Files,
    /// Sound in messages.
    Audio,
    /// Films in messages.
    Video,
    /// Tools.
    Tools,
    /// The form of the answer.
    Structure(Structure),
    /// The usage of a stream.
    StreamOptions,
    /// The newer limit of a chat.
    MaxCompletionTokens,
    /// The kind of thinking.
    Thinking(Thinking),
    /// The effort.
    Effort(Effort),
    /// So large a budget of thinking.
    ThinkingTokens(u64),
}

impl Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::Api(api) => write!(f, "requests of the API `{api}`"),
            Lack::Images => write!(f, "images"),
            Lack::Files => write!(f, "documents"),
            Lack::Audio => write!(f, "audio"),
            Lack::Video => write!(f, "video"),
            Lack::Tools => write!(f, "`tools`"),
            Lack::Structure(form) => write!(f, "an output format of type `{form}`"),
            Lack::StreamOptions => write!(f, "`stream_options`"),
            Lack::MaxCompletionTokens => write!(f, "`max_completion_tokens`"),
            Lack::Thinking(kind) => write!(f, "`thinking` of type `{kind}`"),
            Lack::Effort(effort) => write!(f, "the effort `{effort}`"),
            Lack::ThinkingTokens(tokens) => write!(f, "a thinking budget of {tokens} tokens"),
        }
    }
}

/// The first thing of a request that a model does not take.
#[must_use]
pub fn lack(model: &ModelConfig, api: Option<ApiName>, wants: &Wants) -> Option<Lack> {
    let accepts = &model.accepts;
    let has_room = |tokens: &u64| model.max_output_tokens.is_none_or(|most| *tokens < most);
    let parts = [
        (wants.images, accepts.images, Lack::Images),
        (wants.files, accepts.files, Lack::Files),
        (wants.audio, accepts.audio, Lack::Audio),
        (wants.video, accepts.video, Lack::Video),
        (wants.tools, accepts.tools, Lack::Tools),
    ];
    let structure = || wants.structure.filter(|form| !accepts.structured_output.contains(form));
    let thinking = || wants.thinking.filter(|kind| !accepts.thinking.contains(kind));
    let effort = || wants.effort.filter(|effort| !accepts.effort.contains(effort));
    let budget = || wants.thinking_tokens.filter(|tokens| !has_room(tokens));
    let refuses_limit = wants.max_completion_tokens && model.limit_member == LimitMember::MaxTokensOnly;
    let lacks_api = api.filter(|api| !model.apis.contains(api)).map(Lack::Api);
    lacks_api
        .or_else(|| {
            parts.into_iter().find(|(wanted, accepted, _)| *wanted && !accepted).map(|(.., lack)| lack)
        })
        .or_else(|| structure().map(Lack::Structure))
        .or_else(|| (wants.stream_options && !model.stream_usage).then_some(Lack::StreamOptions))
        .or_else(|| refuses_limit.then_some(Lack::MaxCompletionTokens))
        .or_else(|| thinking().map(Lack::Thinking))
        .or_else(|| effort().map(Lack::Effort))
        .or_else(|| budget().map(Lack::ThinkingTokens))
}

/// The models that a turn may go to, money and context aside: the conversation permits them, and they can take the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// What the conversation permits.
    pub permitted: Permitted,
    lacks: [Option<Lack>; MAX_MODELS],
}

impl Candidates {
    /// All models.
    #[must_use]
    pub fn all() -> Candidates {
        Permitted::all().into()
    }

    /// Those of the permitted models that can take a request.
    #[must_use]
    pub fn new(
        permitted: Permitted,
        models: &[ModelConfig],
        api: Option<ApiName>,
        wants: &Wants,
    ) -> Candidates {
        let mut candidates = Candidates::from(permitted);
        for (lacks, model) in candidates.lacks.iter_mut().zip(models) {
            *lacks = lack(model, api, wants);
        }
        candidates
    }

    /// Whether model `k` is one of them.
    #[must_use]
    pub fn allows(&self, k: usize) -> bool {
        self.permitted.allows(k) && self.lacks.get(k).is_some_and(Option::is_none)
    }

    /// Whether any of the first `models` is.
    #[must_use]
    pub fn any(&self, models: usize) -> bool {
        (0..models).any(|k| self.allows(k))
    }

    /// What is lacking where no model is left: of all that the permitted models lack, what was looked for last, since the
    /// model that lacks it takes everything before.
    #[must_use]
    pub fn lack(&self) -> Option<Lack> {
        let permitted = self.lacks.iter().enumerate().filter(|(k, _)| self.permitted.allows(*k));
        permitted.filter_map(|(_, lack)| *lack).max()
    }
}

impl From<Permitted> for Candidates {
    fn from(permitted: Permitted) -> Candidates {
        Candidates { permitted, lacks: [None; MAX_MODELS] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, tests::example};
    use serde_json::{Value, json};

    fn models(first: &Value) -> Vec<ModelConfig> {
        let mut value = example();
        let members = first.as_object().unwrap().clone();
        value["models"][0].as_object_mut().unwrap().extend(members);
        Config::from_json(value.to_string().as_bytes()).unwrap().models
    }

    fn lack_of(first: &Value, wants: Wants) -> Option<Lack> {
        lack(&models(first)[0], Some(ApiName::OpenAiChat), &wants)
    }

    #[test]
    fn a_model_takes_everything_that_its_profile_does_not_exclude() {
        let wants = Wants {
            images: true,
            files: true,
            audio: true,
            video: true,
            tools: true,
            thinking: Some(Thinking::Adaptive),
            thinking_tokens: Some(1_000_000),
            effort: Some(Effort::Max),
            structure: Some(Structure::JsonSchema),
            stream_options: true,
            max_completion_tokens: true,
        };
        assert_eq!(lack_of(&json!({}), wants), None);
    }

    #[test]
    fn each_part_of_a_profile_excludes_what_it_names() {
        let none = Wants::default();
        let cases = [
            (json!({"apis": ["anthropic_messages"]}), none, Lack::Api(ApiName::OpenAiChat)),
            (json!({"accepts": {"images": false}}), Wants { images: true, ..none }, Lack::Images),
            (json!({"accepts": {"files": false}}), Wants { files: true, ..none }, Lack::Files),
            (json!({"accepts": {"audio": false}}), Wants { audio: true, ..none }, Lack::Audio),
            (json!({"accepts": {"video": false}}), Wants { video: true, ..none }, Lack::Video),
            (json!({"accepts": {"tools": false}}), Wants { tools: true, ..none }, Lack::Tools),
            (json!({"stream_usage": false}), Wants { stream_options: true, ..none }, Lack::StreamOptions),
            (
                json!({"limit_member": "max_tokens_only"}),
                Wants { max_completion_tokens: true, ..none },
                Lack::MaxCompletionTokens,
            ),
            (
                json!({"accepts": {"structured_output": ["json_object"]}}),
                Wants { structure: Some(Structure::JsonSchema), ..none },
                Lack::Structure(Structure::JsonSchema),
            ),
            (
                json!({"accepts": {"thinking": ["disabled", "enabled"]}}),
                Wants { thinking: Some(Thinking::Adaptive), ..none },
                Lack::Thinking(Thinking::Adaptive),
            ),
            (
                json!({"accepts": {"effort": []}}),
                Wants { effort: Some(Effort::Low), ..none },
                Lack::Effort(Effort::Low),
            ),
            (
                json!({"max_output_tokens": 8192}),
                Wants { thinking_tokens: Some(8192), ..none },
                Lack::ThinkingTokens(8192),
            ),
        ];
        for (profile, wants, expected) in cases {
            assert_eq!(lack_of(&profile, wants), Some(expected), "{profile}");
            if !matches!(expected, Lack::Api(_)) {
                assert_eq!(lack_of(&profile, none), None, "{profile}");
            }
        }
    }

    #[test]
    fn the_lack_that_is_told_is_that_of_the_model_that_takes_most() {
        let models = models(&json!({"accepts": {"effort": ["low"]}}));
        let mut models = [models[0].clone(), models[1].clone()];
        models[1].apis = vec![ApiName::GeminiGenerate];
        let wants = Wants { effort: Some(Effort::High), ..Wants::default() };
        let candidates = |api| Candidates::new(Permitted::all(), &models, Some(api), &wants);
        let found = candidates(ApiName::AnthropicMessages);
        assert!(!found.any(2));
        assert_eq!(found.lack(), Some(Lack::Effort(Effort::High)));
        assert!(candidates(ApiName::GeminiGenerate).allows(1));
    }
}
