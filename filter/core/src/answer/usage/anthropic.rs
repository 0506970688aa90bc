//! Usage of Anthropic's messages API (API reference, `Usage`): exclusive, the input does not contain the parts that
//! were read from or written to the prompt cache.
//!
//! A stream begins with `message_start`, whose `message.usage` has the input and the first output tokens, and goes
//! on with `message_delta`, whose `usage` is cumulative. A stream that was cut has the first count only. There may be
//! several `message_delta`; the last one has a `stop_reason`.

use crate::answer::usage::tally::{Convention, Count, Text, from_exclusive};
use crate::wire::key::Key;

/// Messages.
pub const MESSAGES: Convention = Convention {
    count_at,
    inclusive: from_exclusive,
    finish_at: |path| matches!(path, [Key::StopReason] | [Key::Delta, Key::StopReason]),
    text_at,
    unbilled_finish: b"",
};

fn count_at(path: &[Key]) -> Option<Count> {
    match path {
        [Key::Message, Key::Usage, Key::OutputTokens] => Some(Count::FirstOutput),
        [Key::Usage, Key::OutputTokens] => Some(Count::Output),
        [Key::Message, Key::Usage, last] | [Key::Usage, last] => match last {
            Key::InputTokens => Some(Count::Input),
            Key::CacheReadInputTokens => Some(Count::Cached),
            Key::CacheCreationInputTokens => Some(Count::Written),
            _ => None,
        },
        _ => None,
    }
}

fn text_at(path: &[Key]) -> Option<Text> {
    match path {
        [Key::Delta, Key::Text | Key::Thinking] => Some(Text::Piece),
        [Key::Content, Key::Item, Key::Text | Key::Thinking] => Some(Text::Whole),
        _ => None,
    }
}
