//! Which provider API a request path belongs to, and the model's name where that API has it in the path.
//!
//! | API | path | model |
//! |---|---|---|
//! | OpenAI chat completions | `…/chat/completions` | body; Azure: also `/deployments/{model}/` |
//! | OpenAI responses | `…/responses` | body; Azure: also `/deployments/{model}/` |
//! | Anthropic messages | `…/messages` | body |
//! | Gemini, Vertex AI | `…/models/{model}:generateContent`, `:streamGenerateContent` | path |
//! | Bedrock Converse | `/model/{model}/converse`, `/converse-stream` | path |
//!
//! Only the end of a path is looked at, so a gateway may add a prefix of its own. A path that an operator has
//! configured and this table does not know is read as OpenAI chat completions.

use std::ops::Range;

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
        } else if ends("/responses") {
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

/// The model that a path (without its query) names, percent-decoded; `None` where it names none.
#[must_use]
pub fn model_of_path(path: &str) -> Option<String> {
    let name = path.get(model_span(path)?)?;
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

/// The path (with its query, if it has one) for another model; `None` where the path names none.
///
/// The name is percent-encoded (RFC 3986, section 2.3), so that a `/` or `?` in it stays part of the name.
#[must_use]
pub fn path_with_model(path_and_query: &str, model: &str) -> Option<String> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let span = model_span(path)?;
    let mut new = path_and_query.get(..span.start)?.to_owned();
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            new.push(char::from(byte));
        } else {
            new.push_str(&format!("%{byte:02X}"));
        }
    }
    new.push_str(path_and_query.get(span.end..)?);
    Some(new)
}

/// The range of the model's name in the path.
fn model_span(path: &str) -> Option<Range<usize>> {
    let (before, model) = match Api::of_path(path)? {
        Api::GeminiGenerate => {
            let (before, method) = path.rsplit_once("/models/")?;
            (before.len().checked_add("/models/".len())?, method.rsplit_once(':')?.0)
        }
        Api::BedrockConverse => {
            let path = path.rsplit_once('/')?.0;
            let (before, model) = path.rsplit_once("/model/")?;
            (before.len().checked_add("/model/".len())?, model)
        }
        _ => {
            let (before, rest) = path.split_once("/deployments/")?;
            let model = rest.split_once('/')?.0;
            // The path after the model must still be the API's: the name does not overlap it.
            Api::of_path(rest.get(model.len()..)?)?;
            (before.len().checked_add("/deployments/".len())?, model)
        }
    };
    let end = before.checked_add(model.len())?;
    (!model.is_empty() && !model.contains('/')).then_some(before..end)
}

/// Whether a configured path covers a request's path (without its query). `{model}` in the configured path matches
/// any one segment, or the part of one before the method: `/v1beta/models/{model}:generateContent`.
#[must_use]
pub fn path_matches(configured: &str, path: &str) -> bool {
    let Some((before, after)) = configured.split_once("{model}") else {
        return configured == path;
    };
    let model = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    model.is_some_and(|model| !model.is_empty() && !model.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_of_a_path_determines_its_api() {
        let cases = [
            ("/v1/chat/completions", Some(Api::OpenAiChat)),
            ("/openai/deployments/gpt/chat/completions", Some(Api::OpenAiChat)),
            ("/v1/responses", Some(Api::OpenAiResponses)),
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

    #[test]
    fn the_model_of_a_path_is_read_and_replaced() {
        let cases = [
            (
                "/v1beta/models/auto:generateContent?key=1",
                "auto",
                "/v1beta/models/x%2Fy:generateContent?key=1",
            ),
            (
                "/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent?alt=sse",
                "g",
                "/v1/projects/p/locations/l/publishers/google/models/x%2Fy:streamGenerateContent?alt=sse",
            ),
            ("/model/a.b-v1%3A0/converse", "a.b-v1:0", "/model/x%2Fy/converse"),
            (
                "/openai/deployments/gpt/chat/completions?api-version=1",
                "gpt",
                "/openai/deployments/x%2Fy/chat/completions?api-version=1",
            ),
        ];
        for (path, model, replaced) in cases {
            assert_eq!(model_of_path(path.split('?').next().unwrap()).as_deref(), Some(model), "{path}");
            assert_eq!(path_with_model(path, "x/y").as_deref(), Some(replaced));
        }
        assert_eq!(path_with_model("/v1/chat/completions", "x"), None);
        // The name would take a part of the API's path with it.
        assert_eq!(path_with_model("/deployments/chat/completions", "x"), None);
        assert_eq!(path_with_model("/v1beta/models/:generateContent", "x"), None);
    }

    #[test]
    fn a_configured_path_may_leave_the_model_open() {
        let gemini = "/v1beta/models/{model}:generateContent";
        assert!(path_matches(gemini, "/v1beta/models/auto:generateContent"));
        assert!(!path_matches(gemini, "/v1beta/models/:generateContent"));
        assert!(!path_matches(gemini, "/v1beta/models/a/b:generateContent"));
        assert!(path_matches("/v1/responses", "/v1/responses"));
        assert!(!path_matches("/v1/responses", "/v1/responses/resp_1"));
    }

    proptest! {
        #[test]
        fn a_model_put_into_a_path_is_the_model_read_from_it(model in "[ -~é]{1,20}", path in 0usize..3) {
            let paths = ["/v1beta/models/a:generateContent", "/model/a/converse", "/x/deployments/a/responses"];
            let new = path_with_model(paths[path], &model).unwrap();
            prop_assert_eq!(model_of_path(&new), Some(model));
        }

        #[test]
        fn any_path_is_accepted_without_a_panic(path in "[a-z/:%?{}é]{0,30}|(/models?/|[a-z%0-9]|:|/converse|generateContent){0,6}") {
            let _ = (model_of_path(&path), path_with_model(&path, "m/é"), path_matches(&path, &path));
        }
    }
}
