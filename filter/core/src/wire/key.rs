//! The member names that the filter knows, as one list.
//!
//! A scanner compares each key of a body once, here, and works with small numbers from then on; a path is then a
//! slice of them, and the meaning of a place can be written as a pattern. Names that only resemble one of these, and names
//! that a request may not have, are told by [`crate::body::members`].

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $($text:literal)|+,)+) => {
        /// A step of a path: a member by its name, or an element of an array.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Key {
            /// An element of an array.
            Item,
            /// Any other member.
            Other,
            /// A member that some server may take for `model`.
            ModelLike,
            /// A member that some server may take for an output limit.
            LimitLike,
            /// A member that some server may take for the number of answers.
            AnswersLike,
            /// A member that some server may take for `stream`.
            StreamLike,
            /// A member that a request may not have, by its number in the list of them.
            Refused(u16),
            $(
                #[doc = concat!($("`", $text, "` "),+)]
                $name,
            )+
        }

        impl Key {
            /// The key of a name.
            #[must_use]
            pub fn of(name: &[u8]) -> Key {
                let found = NAMES.iter().find(|(text, _)| text.as_bytes() == name);
                found.map_or(Key::Other, |(_, key)| *key)
            }
        }

        /// Every name that is known, with its key.
        pub const NAMES: &[(&str, Key)] = &[$($(($text, Key::$name)),+),+];
    };
}

keys! {
    AdditionalModelRequestFields = "additionalModelRequestFields",
    Audio = "audio",
    AudioUrl = "audio_url",
    Background = "background",
    BudgetTokens = "budget_tokens",
    Bytes = "bytes",
    CacheCreationInputTokens = "cache_creation_input_tokens",
    CachedContent = "cachedContent" | "cached_content",
    CachedContentTokenCount = "cachedContentTokenCount",
    CachedTokens = "cached_tokens",
    CachePoint = "cachePoint",
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
    Data = "data",
    Delta = "delta",
    Document = "document",
    EncryptedContent = "encrypted_content" | "encrypted_index" | "encrypted_stdout",
    ExtraContent = "extra_content",
    File = "file",
    FileData = "fileData" | "file_data",
    FileId = "file_id",
    FileUrl = "file_url",
    FinishReason = "finish_reason" | "finishReason",
    Format = "format",
    Function = "function",
    FunctionDeclarations = "functionDeclarations" | "function_declarations",
    FunctionResponse = "functionResponse" | "function_response",
    Functions = "functions",
    FileUri = "fileUri" | "file_uri",
    GenerationConfig = "generationConfig" | "generation_config",
    Google = "google",
    Id = "id",
    Image = "image",
    ImageUrl = "image_url",
    IncludeUsage = "include_usage",
    InferenceConfig = "inferenceConfig",
    InlineData = "inlineData" | "inline_data",
    Input = "input",
    InputAudio = "input_audio",
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
    MimeType = "mimeType" | "mime_type",
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
    Prompt = "prompt",
    PromptCacheKey = "prompt_cache_key",
    PromptTokenCount = "promptTokenCount",
    PromptTokens = "prompt_tokens",
    PromptTokensDetails = "prompt_tokens_details",
    ProviderSpecificFields = "provider_specific_fields",
    ReasoningContent = "reasoningContent" | "reasoning_content",
    ReasoningDetails = "reasoning_details",
    ReasoningOpaque = "reasoning_opaque" | "reasoning_signature" | "thinking_signature" | "reasoning_encrypted_content",
    ReasoningText = "reasoningText",
    ReasoningTokens = "reasoning_tokens",
    RedactedContent = "redactedContent",
    Response = "response",
    ResponseFormat = "response_format",
    ResponseMimeType = "responseMimeType" | "response_mime_type",
    Role = "role",
    ServiceTier = "service_tier" | "serviceTier",
    SessionId = "session_id",
    Signature = "signature",
    Source = "source",
    Status = "status",
    StopReason = "stop_reason" | "stopReason",
    Store = "store",
    Stream = "stream",
    StreamOptions = "stream_options",
    System = "system" | "systemInstruction" | "system_instruction" | "instructions",
    Text = "text",
    Thinking = "thinking",
    ThinkingBlocks = "thinking_blocks",
    ThoughtSignature = "thoughtSignature" | "thought_signature" | "thought_signatures",
    ThoughtsTokenCount = "thoughtsTokenCount",
    ToolCalls = "tool_calls",
    ToolChoice = "tool_choice",
    ToolConfig = "toolConfig",
    ToolResult = "toolResult",
    Tools = "tools",
    ToolSpec = "toolSpec",
    ToolUsePromptTokenCount = "toolUsePromptTokenCount",
    TotalTokenCount = "totalTokenCount",
    TotalTokens = "total_tokens",
    Type = "type",
    Url = "url",
    Usage = "usage",
    UsageMetadata = "usageMetadata",
    User = "user",
    UserId = "user_id",
    Video = "video",
    VideoUrl = "video_url",
}

/// Longest of the names above, and of their look-alikes, in bytes.
pub const MAX_NAME_BYTES: usize = 48;

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
}
