//! Usage of Gemini and Vertex AI (API reference, `UsageMetadata`): the input contains its cached part, but not the
//! results of built-in tools; the output does not contain thoughts.
//!
//! A stream is a JSON array of answers, or events of one answer each; their counts are cumulative, and the first
//! ones may lack the output.

use crate::answer::usage::tally::{Convention, Count, Tally};
use crate::usage::Usage;
use crate::wire::key::Key;

/// `generateContent` and `streamGenerateContent`.
pub const GENERATE: Convention = Convention { count_at, inclusive };

fn count_at(path: &[Key]) -> Option<Count> {
    match path {
        [Key::UsageMetadata, last] | [Key::Item, Key::UsageMetadata, last] => match last {
            Key::PromptTokenCount => Some(Count::Input),
            Key::ToolUsePromptTokenCount => Some(Count::MoreInput),
            Key::CachedContentTokenCount => Some(Count::Cached),
            Key::CandidatesTokenCount => Some(Count::Output),
            Key::ThoughtsTokenCount => Some(Count::Reasoning),
            _ => None,
        },
        _ => None,
    }
}

fn inclusive(tally: &Tally) -> (Usage, Option<u64>) {
    let input_tokens = tally.or_zero(Count::Input).saturating_add(tally.or_zero(Count::MoreInput));
    let thoughts = tally.or_zero(Count::Reasoning);
    let output_tokens = tally.or_zero(Count::Output).saturating_add(thoughts);
    let usage = Usage {
        input_tokens,
        cached_input_tokens: tally.or_zero(Count::Cached).min(input_tokens),
        cache_write_tokens: 0,
        output_tokens,
        reasoning_tokens: thoughts,
    };
    (usage, tally.get(Count::Output).map(|_| output_tokens))
}
