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
    CacheCreation = "cache_creation",
    CacheCreationInputTokens = "cache_creation_input_tokens",
    CacheCreationTokenDetails = "cache_creation_token_details",
    CacheCreationTokens = "cache_creation_tokens",
    CachedContent = "cachedContent" | "cached_content",
    CachedContentTokenCount = "cachedContentTokenCount" | "cached_content_token_count",
    CacheDetails = "cacheDetails",
    CachedTokens = "cached_tokens" | "num_cached_tokens",
    CachePoint = "cachePoint",
    CacheReadInputTokens = "cache_read_input_tokens",
    CacheReadInputTokensCamel = "cacheReadInputTokens" | "cacheReadInputTokenCount",
    CacheWriteInputTokensCamel = "cacheWriteInputTokens" | "cacheWriteInputTokenCount",
    CacheWriteTokens = "cache_write_tokens" | "prompt_cache_write_tokens",
    CandidateCount = "candidateCount" | "candidate_count",
    Candidates = "candidates",
    CandidatesTokenCount = "candidatesTokenCount" | "candidates_token_count",
    Choices = "choices",
    CitationTokens = "citation_tokens",
    CompletionTokens = "completion_tokens",
    CompletionTokensDetails = "completion_tokens_details",
    Content = "content",
    ContentBlock = "content_block",
    Contents = "contents",
    Conversation = "conversation",
    Data = "data",
    Delta = "delta",
    Document = "document",
    Effort = "effort",
    EncryptedContent = "encrypted_content" | "encrypted_index" | "encrypted_stdout",
    Ephemeral1hInputTokens = "ephemeral_1h_input_tokens" | "claude_cache_creation_1_h_tokens",
    Ephemeral5mInputTokens = "ephemeral_5m_input_tokens" | "claude_cache_creation_5_m_tokens",
    Error = "error",
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
    Iterations = "iterations",
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
    NativeFinishReason = "native_finish_reason",
    Output = "output",
    OutputConfig = "output_config",
    OutputFormat = "output_format",
    OutputItem = "item",
    OutputTokens = "output_tokens",
    OutputTokensCamel = "outputTokens",
    OutputTokensDetails = "output_tokens_details",
    Parts = "parts",
    PreviousResponseId = "previous_response_id",
    Prompt = "prompt",
    PromptCacheHitTokens = "prompt_cache_hit_tokens",
    PromptCacheKey = "prompt_cache_key",
    PromptTokenCount = "promptTokenCount" | "prompt_token_count",
    PromptTokens = "prompt_tokens",
    PromptTokensDetails = "prompt_tokens_details" | "prompt_token_details",
    ProviderSpecificFields = "provider_specific_fields",
    Reasoning = "reasoning",
    ReasoningConfig = "reasoning_config",
    ReasoningContent = "reasoningContent" | "reasoning_content",
    ReasoningDetails = "reasoning_details",
    ReasoningEffort = "reasoning_effort",
    ReasoningOpaque = "reasoning_opaque" | "reasoning_signature" | "thinking_signature" | "reasoning_encrypted_content",
    ReasoningText = "reasoningText",
    ReasoningTokens = "reasoning_tokens",
    RedactedContent = "redactedContent",
    Response = "response",
    ResponseFormat = "response_format",
    ResponseMimeType = "responseMimeType" | "response_mime_type",
    ResponseSchema = "responseSchema" | "response_schema" | "responseJsonSchema" | "response_json_schema",
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
    ThinkingBudget = "thinkingBudget" | "thinking_budget",
    ThinkingConfig = "thinkingConfig" | "thinking_config",
    ThinkingLevel = "thinkingLevel" | "thinking_level",
    ThoughtSignature = "thoughtSignature" | "thought_signature" | "thought_signatures",
    ThoughtsTokenCount = "thoughtsTokenCount" | "thoughts_token_count",
    ToolCalls = "tool_calls",
    ToolChoice = "tool_choice",
    ToolConfig = "toolConfig",
    ToolResult = "toolResult",
    Tools = "tools",
    ToolSpec = "toolSpec",
    ToolUsePromptTokenCount = "toolUsePromptTokenCount" | "tool_use_prompt_token_count",
    TotalTokenCount = "totalTokenCount" | "total_token_count",
    TotalTokens = "total_tokens",
    Ttl = "ttl",
    Type = "type",
    Url = "url",
    Usage = "usage",
    UsageMetadata = "usageMetadata" | "usage_metadata",
    User = "user",
    UserId = "user_id",
    Video = "video",
    VideoUrl = "video_url",
    XGroq = "x_groq",
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
