//! The member names that the filter knows, as one list.
//!
//! A scanner compares each key of a body once, here, and works with small numbers from then on; a path is then a
//! slice of them, and the meaning of a place can be written as a pattern.

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $($text:literal)|+,)+) => {
        /// A step of a path: a member by its name, or an element of an array.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Key {
            /// An element of an array.
            Item,
            /// Any other member.
            Other,
            /// A member that is `model` but for upper and lower case.
            ModelLike,
            /// A member that is a name of an output limit but for upper and lower case.
            LimitLike,
            $(
                #[doc = concat!($("`", $text, "` "),+)]
                $name,
            )+
        }

        impl Key {
            /// The key of a name.
            #[must_use]
            pub fn of(name: &[u8]) -> Key {
                const NAMES: &[(&str, Key)] = &[$($(($text, Key::$name)),+),+];
                let found = NAMES.iter().find(|(text, _)| text.as_bytes() == name);
                found.map_or_else(|| Key::of_look_alike(name), |(_, key)| *key)
            }
        }
    };
}

keys! {
    AdditionalModelRequestFields = "additionalModelRequestFields",
    Background = "background",
    BudgetTokens = "budget_tokens",
    CacheCreationInputTokens = "cache_creation_input_tokens",
    CachedContentTokenCount = "cachedContentTokenCount",
    CachedTokens = "cached_tokens",
    CacheReadInputTokens = "cache_read_input_tokens",
    CacheReadInputTokensCamel = "cacheReadInputTokens",
    CacheWriteInputTokensCamel = "cacheWriteInputTokens",
    CandidateCount = "candidateCount" | "candidate_count",
    Candidates = "candidates",
    CandidatesTokenCount = "candidatesTokenCount",
    Choices = "choices",
    CompletionTokens = "completion_tokens",
    CompletionTokensDetails = "completion_tokens_details",
    Content = "content",
    Contents = "contents",
    Conversation = "conversation",
    Delta = "delta",
    EncryptedContent = "encrypted_content",
    FileData = "fileData" | "file_data",
    FinishReason = "finish_reason" | "finishReason",
    Format = "format",
    Functions = "functions",
    FunctionResponse = "functionResponse" | "function_response",
    GenerationConfig = "generationConfig" | "generation_config",
    Id = "id",
    Image = "image",
    ImageUrl = "image_url",
    IncludeUsage = "include_usage",
    InferenceConfig = "inferenceConfig",
    InlineData = "inlineData" | "inline_data",
    Input = "input",
    InputTokens = "input_tokens",
    InputTokensCamel = "inputTokens",
    InputTokensDetails = "input_tokens_details",
    MaxCompletionTokens = "max_completion_tokens",
    MaxOutputTokens = "max_output_tokens",
    MaxOutputTokensCamel = "maxOutputTokens",
    MaxTokens = "max_tokens",
    MaxTokensCamel = "maxTokens",
    Message = "message",
    Messages = "messages",
    Metadata = "metadata",
    Model = "model",
    N = "n",
    Output = "output",
    OutputConfig = "output_config",
    OutputFormat = "output_format",
    OutputTokens = "output_tokens",
    OutputTokensCamel = "outputTokens",
    OutputTokensDetails = "output_tokens_details",
    Parts = "parts",
    PreviousResponseId = "previous_response_id",
    PromptCacheKey = "prompt_cache_key",
    PromptTokenCount = "promptTokenCount",
    PromptTokens = "prompt_tokens",
    PromptTokensDetails = "prompt_tokens_details",
    ReasoningContent = "reasoningContent",
    ReasoningText = "reasoningText",
    ReasoningTokens = "reasoning_tokens",
    RedactedContent = "redactedContent",
    Response = "response",
    ResponseFormat = "response_format",
    ResponseMimeType = "responseMimeType" | "response_mime_type",
    Role = "role",
    SessionId = "session_id",
    Signature = "signature",
    Status = "status",
    StopReason = "stop_reason" | "stopReason",
    Store = "store",
    Stream = "stream",
    StreamOptions = "stream_options",
    Text = "text",
    Thinking = "thinking",
    ThoughtsTokenCount = "thoughtsTokenCount",
    ThoughtSignature = "thoughtSignature" | "thought_signature",
    ToolConfig = "toolConfig",
    ToolResult = "toolResult",
    Tools = "tools",
    ToolUsePromptTokenCount = "toolUsePromptTokenCount",
    TotalTokenCount = "totalTokenCount",
    TotalTokens = "total_tokens",
    Type = "type",
    Usage = "usage",
    UsageMetadata = "usageMetadata",
    User = "user",
    UserId = "user_id",
}

/// Longest of the names above, and of their look-alikes, in bytes.
pub const MAX_NAME_BYTES: usize = 48;

impl Key {
    /// Go's `encoding/json` matches names by Unicode simple folding, so `Model` or `max_toKens` with a Kelvin sign
    /// reach some servers as the member that they resemble. They are rewritten like it, but do not count as present.
    fn of_look_alike(name: &[u8]) -> Key {
        let Some(name) = std::str::from_utf8(name).ok() else {
            return Key::Other;
        };
        let resembles = |known: &str| {
            let fold = |letter: char| match letter {
                '\u{212A}' => 'k',
                '\u{17F}' => 's',
                other => other.to_ascii_lowercase(),
            };
            name.chars().map(fold).eq(known.chars().map(fold))
        };
        let limits =
            ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens"];
        match name.chars().next() {
            Some('m' | 'M') if resembles("model") => Key::ModelLike,
            Some('m' | 'M') if limits.into_iter().any(resembles) => Key::LimitLike,
            _ => Key::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_by_every_letter() {
        assert_eq!(Key::of(b"model"), Key::Model);
        assert_eq!(Key::of(b"models"), Key::Other);
        assert_eq!(Key::of(b"thought_signature"), Key::ThoughtSignature);
        assert_eq!(Key::of(b"\xff"), Key::Other);
    }

    #[test]
    fn look_alikes_are_recognised() {
        assert_eq!(Key::of(b"MODEL"), Key::ModelLike);
        assert_eq!(Key::of("max_to\u{212A}en\u{17F}".as_bytes()), Key::LimitLike);
        assert_eq!(Key::of(b"MaxTokens"), Key::LimitLike);
        assert_eq!(Key::of(b"Messages"), Key::Other);
    }
}
