//! What a part of a message says that it is, as far as that decides on what it is billed.

/// Types of a message's parts, and of items of a conversation, that hold nothing but text.
const TEXT_TYPES: &[&str] = &[
    "text",
    "input_text",
    "output_text",
    "summary_text",
    "reasoning_text",
    "refusal",
    "message",
    "reasoning",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "function",
    "function_call",
    "function_call_output",
    "custom",
    "custom_tool_call",
    "custom_tool_call_output",
    "search_result",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "computer_call",
    "web_search_call",
    "compaction",
    "compaction_trigger",
];
const IMAGE_TYPES: &[&str] = &["image", "image_url", "input_image"];
/// Types of parts that are counted by the member that holds them. The source of a document may hold text.
const COUNTED_BY_MEMBER: &[&str] =
    &["document", "file", "input_file", "input_audio", "video_url", "audio_url"];

/// Whether a part of this type is an image.
pub fn is_image(name: &str) -> bool {
    IMAGE_TYPES.contains(&name)
}

/// Whether a part of this type is an image, counted by one of its members, or nothing but text.
pub fn is_known(name: &str) -> bool {
    is_image(name) || COUNTED_BY_MEMBER.contains(&name) || TEXT_TYPES.contains(&name)
}
