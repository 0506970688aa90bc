//! Usage of Amazon Bedrock's Converse API (API reference, `TokenUsage`): exclusive, like Anthropic's.
//!
//! It is part of the answer of `Converse`, and of the event `metadata` that ends the answer of `ConverseStream`, after
//! `messageStop` with its `stopReason`. `cacheDetails` lists what was written to caches by how long it is kept. A
//! guardrail that blocks the input answers with a fixed text and usage of 0. An exception in a stream is an event with
//! nothing but a `message`.

use crate::answer::usage::tally::{Convention, Count, Place, Text, from_exclusive};
use crate::wire::key::Key;

/// `Converse` and `ConverseStream`.
pub const CONVERSE: Convention = Convention {
    usage_at,
    count_at,
    inclusive: from_exclusive,
    finish_at: |path| matches!(path, [Key::StopReason]),
    end_types: &[],
    has_usage_last: true,
    error_at: |path| matches!(path, [Key::Message | Key::Error]),
    text_at,
    unbilled_finish: b"guardrail_intervened",
};

fn usage_at(path: &[Key]) -> Option<(Place, &[Key])> {
    match path {
        [Key::Usage, within @ ..] => Some((Place::Answer, within)),
        _ => None,
    }
}

fn count_at(_place: Place, path: &[Key]) -> Option<Count> {
    match path {
        [Key::InputTokensCamel] => Some(Count::Input),
        [Key::OutputTokensCamel] => Some(Count::Output),
        [Key::CacheReadInputTokensCamel] => Some(Count::Cached),
        [Key::CacheWriteInputTokensCamel] => Some(Count::Written),
        _ => None,
    }
}

fn text_at(path: &[Key]) -> Option<Text> {
    match path {
        [Key::Delta, Key::Text] => Some(Text::Piece),
        [Key::Output, Key::Message, Key::Content, Key::Item, Key::Text] => Some(Text::Whole),
        _ => None,
    }
}
