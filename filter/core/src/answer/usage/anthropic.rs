//! Usage of Anthropic's messages API (API reference, `Usage`): exclusive, the input does not contain the parts that
//! were read from or written to the prompt cache. `cache_creation` divides what was written by how long it is kept.
//!
//! A stream begins with `message_start`, whose `message.usage` has the input and the first output tokens, and goes
//! on with `message_delta`, whose `usage` is cumulative and, with some servers, states the input anew. A stream that was
//! cut has the first count only. There may be several `message_delta`; the last one has a `stop_reason`, and
//! `message_stop` follows it.
//!
//! Where the conversation was shortened on the way, `iterations` lists every run of the model, and the usage itself has
//! only the last; all of them are billed.

use crate::answer::usage::tally::{Convention, Count, Place, Text, from_exclusive};
use crate::wire::key::Key;

/// Messages.
pub const MESSAGES: Convention = Convention {
    usage_at,
    count_at,
    inclusive: from_exclusive,
    finish_at: |path| matches!(path, [Key::StopReason] | [Key::Delta, Key::StopReason]),
    end_types: &[b"message_stop"],
    has_usage_last: false,
    error_at: |path| matches!(path, [Key::Error]),
    text_at,
    unbilled_finish: b"",
};

fn usage_at(path: &[Key]) -> Option<(Place, &[Key])> {
    match path {
        [Key::Message, Key::Usage, within @ ..] => Some((Place::Start, within)),
        [Key::Usage, within @ ..] => Some((Place::Answer, within)),
        _ => None,
    }
}

fn count_at(place: Place, path: &[Key]) -> Option<Count> {
    match path {
        [Key::OutputTokens] if place == Place::Start => Some(Count::FirstOutput),
        [Key::OutputTokens] => Some(Count::Output),
        [Key::InputTokens] => Some(Count::Input),
        [Key::CacheReadInputTokens] => Some(Count::Cached),
        [Key::CacheCreationInputTokens] => Some(Count::Written),
        [Key::CacheCreation, Key::Ephemeral5mInputTokens] => Some(Count::ShortWritten),
        [Key::CacheCreation, Key::Ephemeral1hInputTokens] => Some(Count::LongWritten),
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
