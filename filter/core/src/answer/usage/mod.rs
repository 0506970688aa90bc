//! Token usage as providers report it, in one convention.
//!
//! Counts are inclusive, as in OpenAI's `usage` object and Envoy's `TokenUsage`: the input contains the cached and
//! the written part, the output contains reasoning tokens. Providers repeat and split their usage over several
//! stream events, cumulative ones among them, so the largest count of each kind is used: a [`tally::Tally`]
//! keeps it, and the provider's [`Convention`] turns the tally into a [`crate::usage::Usage`].

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
