//! Which provider API a configured path belongs to.
//!
//! | API | path | model |
//! |---|---|---|
//! | OpenAI chat completions | `…/chat/completions` | body; Azure: also `/deployments/{model}/` |
//! | OpenAI responses | `…/responses`, `…/responses/compact` | body; Azure: also `/deployments/{model}/` |
//! | Anthropic messages | `…/messages` | body |
//! | Gemini, Vertex AI | `…/models/{model}:generateContent`, `:streamGenerateContent` | path |
//! | Bedrock Converse | `/model/{model}/converse`, `/converse-stream` | path |
//!
//! Only the end of a path is looked at, so a gateway may add a prefix of its own. A path that an operator has
//! configured and this table does not know is read as OpenAI chat completions.

use crate::config::ApiName;

/// A provider API: how a request is laid out, and where an answer reports its usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// OpenAI chat completions, and the many servers that imitate it.
    #[default]
    OpenAiChat,
    /// OpenAI responses.
    OpenAiResponses,
    /// Anthropic messages.
    AnthropicMessages,
    /// Gemini and Vertex AI `generateContent`.
    GeminiGenerate,
    /// Amazon Bedrock `Converse` and `ConverseStream`.
    BedrockConverse,
}

impl Api {
    /// The API of a path without its query; `None` when the table does not have it.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Api> {
        let ends = |suffix: &str| path.ends_with(suffix);
        if ends("/chat/completions") {
            Some(Api::OpenAiChat)
        } else if ends("/responses") || Api::compacts(path) {
            Some(Api::OpenAiResponses)
        } else if ends("/messages") {
            Some(Api::AnthropicMessages)
        } else if ends(":generateContent") || ends(":streamGenerateContent") {
            Some(Api::GeminiGenerate)
        } else if ends("/converse") || ends("/converse-stream") {
            Some(Api::BedrockConverse)
        } else {
            None
        }
    }

    /// Its name in configurations.
    #[must_use]
    pub fn name(self) -> ApiName {
        match self {
            Api::OpenAiChat => ApiName::OpenAiChat,
            Api::OpenAiResponses => ApiName::OpenAiResponses,
            Api::AnthropicMessages => ApiName::AnthropicMessages,
            Api::GeminiGenerate => ApiName::GeminiGenerate,
            Api::BedrockConverse => ApiName::BedrockConverse,
        }
    }

    /// The API that a path which is not served resembles most: a refusal has its shape.
    #[must_use]
    pub fn resembling(path: &[u8]) -> Api {
        let has = |part: &[u8]| memchr::memmem::find(path, part).is_some();
        if has(b"/messages") {
            Api::AnthropicMessages
        } else if path.starts_with(b"/model/") {
            Api::BedrockConverse
        } else if has(b"/v1beta") || has(b"/v1alpha") || (has(b"/models/") && has(b":")) {
            Api::GeminiGenerate
        } else {
            Api::OpenAiChat
        }
    }

    /// Whether a call makes a shorter history of a long one (`/responses/compact`). Its body has no output limit, no
    /// `stream` and no `store`, and is refused with one.
    #[must_use]
    pub fn compacts(path: &str) -> bool {
        path.ends_with("/responses/compact")
    }

    /// The body has a `model` member.
    #[must_use]
    pub fn has_model_in_body(self) -> bool {
        !matches!(self, Api::GeminiGenerate | Api::BedrockConverse)
    }

    /// Whether a request can make the provider keep its answer (`store`, `background`, a conversation).
    #[must_use]
    pub fn can_keep_answers(self) -> bool {
        matches!(self, Api::OpenAiChat | Api::OpenAiResponses)
    }

    /// Whether the path itself asks for a stream; otherwise the body's `stream` decides.
    #[must_use]
    pub fn path_streams(path: &str) -> bool {
        path.ends_with(":streamGenerateContent") || path.ends_with("/converse-stream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_determines_its_api() {
        let cases = [
            ("/v1/chat/completions", Some(Api::OpenAiChat)),
            ("/openai/deployments/gpt/chat/completions", Some(Api::OpenAiChat)),
            ("/v1/responses", Some(Api::OpenAiResponses)),
            ("/v1/responses/compact", Some(Api::OpenAiResponses)),
            ("/anthropic/v1/messages", Some(Api::AnthropicMessages)),
            ("/v1beta/models/gemini-2.5-pro:generateContent", Some(Api::GeminiGenerate)),
            ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", Some(Api::GeminiGenerate)),
            ("/model/a.b-v1%3A0/converse-stream", Some(Api::BedrockConverse)),
            ("/v1/messages/count_tokens", None),
            ("/v1/models", None),
            ("", None),
        ];
        for (path, api) in cases {
            assert_eq!(Api::of_path(path), api, "{path}");
        }
    }
}
