//! Usage of Amazon Bedrock's Converse API (API reference, `TokenUsage`): exclusive, like Anthropic's.
//!
//! It is part of the answer of `Converse`, and of the event `metadata` that ends the answer of `ConverseStream`, after
//! `messageStop` with its `stopReason`. A guardrail that blocks the input answers with a fixed text and usage of 0.

use crate::answer::usage::tally::{Convention, Count, Text, from_exclusive};
use crate::wire::key::Key;

/// `Converse` and `ConverseStream`.
pub const CONVERSE: Convention = Convention {
    count_at,
    inclusive: from_exclusive,
    finish_at: |path| matches!(path, [Key::StopReason]),
    text_at,
    unbilled_finish: b"guardrail_intervened",
};

fn count_at(path: &[Key]) -> Option<Count> {
    match path {
        [Key::Usage, Key::InputTokensCamel] => Some(Count::Input),
        [Key::Usage, Key::OutputTokensCamel] => Some(Count::Output),
        [Key::Usage, Key::CacheReadInputTokensCamel] => Some(Count::Cached),
        [Key::Usage, Key::CacheWriteInputTokensCamel] => Some(Count::Written),
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
