//! Usage of Anthropic's messages API (API reference, `Usage`): exclusive, the input does not contain the parts that
//! were read from or written to the prompt cache.
//!
//! A stream begins with `message_start`, whose `message.usage` has the input and the first output tokens, and goes
//! on with `message_delta`, whose `usage` is cumulative. A stream that was cut has the first count only.

use crate::answer::usage::tally::{Convention, Count, Tally};
use crate::usage::Usage;
use crate::wire::key::Key;

/// Messages.
pub const MESSAGES: Convention = Convention { count_at, inclusive };

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

fn inclusive(tally: &Tally) -> (Usage, Option<u64>) {
    let (cached, written) = (tally.or_zero(Count::Cached), tally.or_zero(Count::Written));
    let output_tokens = tally.get(Count::Output);
    let usage = Usage {
        input_tokens: tally.or_zero(Count::Input).saturating_add(cached).saturating_add(written),
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output_tokens.max(tally.get(Count::FirstOutput)).unwrap_or(0),
        reasoning_tokens: 0,
    };
    (usage, output_tokens)
}
