//! Token usage as providers report it, in one convention.
//!
//! Counts are inclusive, as in OpenAI's `usage` object and Envoy's `TokenUsage`: the input contains the cached and
//! the written part, the output contains reasoning tokens. Providers repeat, split and restate their usage over several
//! events of a stream: a [`tally::Tally`] makes one of it, by the rule that its module states, and the provider's
//! [`Convention`] turns the tally into a [`crate::usage::Usage`].
//!
//! Usage is read where the API has it and nowhere else. Texts are never looked into, so what a model writes or quotes is
//! no usage, whatever it looks like.

pub mod anthropic;
pub mod bedrock;
pub mod gemini;
pub mod openai;
pub mod tally;

use crate::request::api::Api;
use tally::Convention;

/// The convention of an API.
#[must_use]
pub fn convention(api: Api) -> Convention {
    match api {
        Api::OpenAiChat => openai::CHAT,
        Api::OpenAiResponses => openai::RESPONSES,
        Api::AnthropicMessages => anthropic::MESSAGES,
        Api::GeminiGenerate => gemini::GENERATE,
        Api::BedrockConverse => bedrock::CONVERSE,
    }
}
