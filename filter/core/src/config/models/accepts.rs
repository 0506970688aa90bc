//! What a model can take: its APIs, and what of a request beyond text.
//!
//! The words are those of the APIs' references; `filter/docs/model-profiles.json` has the values of known models.

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// An API that requests come by.
    ApiName {
        /// OpenAI chat completions.
        OpenAiChat = "openai_chat",
        /// OpenAI responses.
        OpenAiResponses = "openai_responses",
        /// Anthropic messages.
        AnthropicMessages = "anthropic_messages",
        /// Gemini `generateContent`.
        GeminiGenerate = "gemini_generate",
        /// Bedrock Converse.
        BedrockConverse = "bedrock_converse",
    }
}

text_enum! {
    /// How a request asks its model to think (`thinking.type`; for Gemini a `thinkingBudget` of 0, above 0, and -1).
    Thinking {
        /// Not at all.
        Disabled = "disabled",
        /// With a budget of tokens.
        Enabled = "enabled",
        /// As much as the model finds right.
        Adaptive = "adaptive",
    }
}

text_enum! {
    /// How much effort a request asks for (`reasoning_effort`, `reasoning.effort`, `output_config.effort`,
    /// `thinkingLevel`).
    Effort {
        /// No reasoning.
        None = "none",
        /// The least.
        Minimal = "minimal",
        /// Little.
        Low = "low",
        /// Some.
        Medium = "medium",
        /// Much.
        High = "high",
        /// More.
        Xhigh = "xhigh",
        /// The most.
        Max = "max",
    }
}

text_enum! {
    /// The form that a request asks its answer to have.
    Structure {
        /// Some JSON object.
        JsonObject = "json_object",
        /// JSON by a schema.
        JsonSchema = "json_schema",
    }
}

impl ApiName {
    /// All of them.
    pub const ALL: [ApiName; 5] = [
        ApiName::OpenAiChat,
        ApiName::OpenAiResponses,
        ApiName::AnthropicMessages,
        ApiName::GeminiGenerate,
        ApiName::BedrockConverse,
    ];
}

impl Thinking {
    /// All of them.
    pub const ALL: [Thinking; 3] = [Thinking::Disabled, Thinking::Enabled, Thinking::Adaptive];
}

impl Effort {
    /// All of them.
    pub const ALL: [Effort; 7] = [
        Effort::None,
        Effort::Minimal,
        Effort::Low,
        Effort::Medium,
        Effort::High,
        Effort::Xhigh,
        Effort::Max,
    ];
}

impl Structure {
    /// All of them.
    pub const ALL: [Structure; 2] = [Structure::JsonObject, Structure::JsonSchema];
}

/// What a model accepts in addition to text. Whatever is not said is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accepts {
    /// Images in messages.
    pub images: bool,
    /// Documents in messages.
    pub files: bool,
    /// Sound in messages.
    pub audio: bool,
    /// Films in messages.
    pub video: bool,
    /// Tool definitions.
    pub tools: bool,
    /// Kinds of thinking that it can be asked for.
    pub thinking: Vec<Thinking>,
    /// Efforts that it can be asked for.
    pub effort: Vec<Effort>,
    /// Forms of an answer that it can be asked for.
    pub structured_output: Vec<Structure>,
}

impl Accepts {
    /// Nothing is excluded.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Accepts::default()
    }
}

impl Default for Accepts {
    fn default() -> Self {
        Accepts {
            images: true,
            files: true,
            audio: true,
            video: true,
            tools: true,
            thinking: Thinking::ALL.to_vec(),
            effort: Effort::ALL.to_vec(),
            structured_output: Structure::ALL.to_vec(),
        }
    }
}
