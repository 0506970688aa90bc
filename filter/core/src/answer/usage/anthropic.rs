//! Usage of Anthropic's messages API (API reference, `Usage`): exclusive, the input does not contain the parts that
//! were read from or written to the prompt cache.
//!
//! A stream begins with `message_start`, whose `message.usage` has the input and the first output tokens, and goes
//! on with `message_delta`, whose `usage` is cumulative. A stream that was cut has the first count only.

use crate::answer::usage::tally::{Convention, Count, from_exclusive};
use crate::wire::key::Key;

/// Messages.
pub const MESSAGES: Convention = Convention { count_at, inclusive: from_exclusive };

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
