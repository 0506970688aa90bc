//! Usage of Amazon Bedrock's Converse API (API reference, `TokenUsage`): exclusive, like Anthropic's.
//!
//! It is part of the answer of `Converse`, and of the event `metadata` that ends the answer of `ConverseStream`.

use crate::answer::usage::tally::{Convention, Count, Tally};
use crate::usage::Usage;
use crate::wire::key::Key;

/// `Converse` and `ConverseStream`.
pub const CONVERSE: Convention = Convention { count_at, inclusive };

fn count_at(path: &[Key]) -> Option<Count> {
    match path {
        [Key::Usage, Key::InputTokensCamel] => Some(Count::Input),
        [Key::Usage, Key::OutputTokensCamel] => Some(Count::Output),
        [Key::Usage, Key::CacheReadInputTokensCamel] => Some(Count::Cached),
        [Key::Usage, Key::CacheWriteInputTokensCamel] => Some(Count::Written),
        _ => None,
    }
}

fn inclusive(tally: &Tally) -> (Usage, Option<u64>) {
    let (cached, written) = (tally.or_zero(Count::Cached), tally.or_zero(Count::Written));
    let output_tokens = tally.get(Count::Output);
    let usage = Usage {
        input_tokens: tally.or_zero(Count::Input).saturating_add(cached).saturating_add(written),
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output_tokens.unwrap_or(0),
        reasoning_tokens: 0,
    };
    (usage, output_tokens)
}
