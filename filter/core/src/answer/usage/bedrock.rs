//! Usage of Amazon Bedrock's Converse API (API reference, `TokenUsage`): exclusive, like Anthropic's.
//!
//! It is part of the answer of `Converse`, and of the event `metadata` that ends the answer of `ConverseStream`.

use crate::answer::usage::tally::{Convention, Count, from_exclusive};
use crate::wire::key::Key;

/// `Converse` and `ConverseStream`.
pub const CONVERSE: Convention = Convention { count_at, inclusive: from_exclusive };

fn count_at(path: &[Key]) -> Option<Count> {
    match path {
        [Key::Usage, Key::InputTokensCamel] => Some(Count::Input),
        [Key::Usage, Key::OutputTokensCamel] => Some(Count::Output),
        [Key::Usage, Key::CacheReadInputTokensCamel] => Some(Count::Cached),
        [Key::Usage, Key::CacheWriteInputTokensCamel] => Some(Count::Written),
        _ => None,
    }
}
