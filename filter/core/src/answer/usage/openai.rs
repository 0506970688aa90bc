//! Usage of OpenAI's APIs (API reference, `CompletionUsage` and `ResponseUsage`), and of the many servers that imitate them.
//!
//! Chat: `usage` of the answer, or of the last event of a stream whose request asked for it; other servers repeat it in
//! every event, or have it in the last choice (Kimi), or under their own name (Groq). Responses: `usage` of the answer, or
//! `response.usage` of the event `response.completed`, `response.incomplete` or `response.failed`.
//!
//! The convention is inclusive, but not every server keeps to it:
//!
//! * **The cached part has many names**: `prompt_tokens_details.cached_tokens`, `cached_tokens` (Kimi),
//!   `prompt_cache_hit_tokens` (DeepSeek), `cache_read_input_tokens` (LiteLLM); so has the written one.
//! * **Parts beside the input.** Some count cached and written tokens beside the prompt. They do where the parts are more
//!   than the prompt, or where exactly they are missing between the prompt and the total. Where the total says that nothing
//!   is reported apart from a prompt that is smaller than its parts, the parts overlap, and the overlap counts as cache writes,
//!   which cost more.
//! * **Reasoning beside the output.** Some leave reasoning out of `completion_tokens` and count it in `total_tokens` only
//!   (xAI; Gemini's OpenAI-compatible endpoint, which does not even name it). It is billed as output, so the output is never
//!   taken to be less than the total without the input, and reasoning of more tokens than the completion is added to it.
//!   What a total has beyond all parts that are named is taken for output, the dearest that it can be.
//! * **Tokens of citations** (Perplexity) are input beside the prompt; where they are counted, reasoning is apart.

use crate::answer::usage::tally::{Convention, Count, Place, Tally, Text};
use crate::usage::Usage;
use crate::wire::key::Key;

/// Chat completions.
pub const CHAT: Convention = Convention {
    usage_at: chat_usage,
    count_at,
    inclusive,
    finish_at: |path| matches!(path, [Key::Choices, Key::Item, Key::FinishReason]),
    end_types: &[],
    has_usage_last: false,
    error_at: |path| matches!(path, [Key::Error] | [Key::Choices, Key::Item, Key::Error]),
    text_at: chat_text,
    unbilled_finish: b"",
};

/// Responses.
pub const RESPONSES: Convention = Convention {
    usage_at: responses_usage,
    count_at,
    inclusive,
    finish_at: |path| matches!(path, [Key::Status] | [Key::Response, Key::Status]),
    end_types: &[
        b"response.completed",
        b"response.incomplete",
        b"response.failed",
        b"response.cancelled",
        b"response.done",
    ],
    has_usage_last: false,
    error_at: |path| matches!(path, [Key::Error] | [Key::Response, Key::Error]),
    text_at: responses_text,
    unbilled_finish: b"",
};

fn chat_usage(path: &[Key]) -> Option<(Place, &[Key])> {
    match path {
        [Key::Usage, within @ ..] => Some((Place::Answer, within)),
        [Key::Choices, Key::Item, Key::Usage, within @ ..] => Some((Place::Choice, within)),
        [Key::XGroq, Key::Usage, within @ ..] => Some((Place::Vendor, within)),
        _ => None,
    }
}

fn responses_usage(path: &[Key]) -> Option<(Place, &[Key])> {
    match path {
        [Key::Usage, within @ ..] | [Key::Response, Key::Usage, within @ ..] => Some((Place::Answer, within)),
        _ => None,
    }
}

fn count_at(_place: Place, path: &[Key]) -> Option<Count> {
    match path {
        [Key::PromptTokens | Key::InputTokens] => Some(Count::Input),
        [Key::CitationTokens] => Some(Count::MoreInput),
        [Key::CompletionTokens | Key::OutputTokens] => Some(Count::Output),
        [Key::TotalTokens] => Some(Count::Total),
        [Key::PromptCacheHitTokens] => Some(Count::Cached),
        [Key::PromptTokensDetails | Key::InputTokensDetails, part @ ..] => part_of_input(part),
        [Key::CompletionTokensDetails | Key::OutputTokensDetails, Key::ReasoningTokens] => {
            Some(Count::Reasoning)
        }
        [Key::ReasoningTokens] => Some(Count::Reasoning),
        part => part_of_input(part),
    }
}

fn part_of_input(path: &[Key]) -> Option<Count> {
    match path {
        [Key::CachedTokens | Key::CacheReadInputTokens] => Some(Count::Cached),
        [Key::CacheWriteTokens | Key::CacheCreationTokens | Key::CacheCreationInputTokens] => {
            Some(Count::Written)
        }
        [kept] | [Key::CacheCreation | Key::CacheCreationTokenDetails, kept] => match kept {
            Key::Ephemeral5mInputTokens => Some(Count::ShortWritten),
            Key::Ephemeral1hInputTokens => Some(Count::LongWritten),
            _ => None,
        },
        _ => None,
    }
}

fn chat_text(path: &[Key]) -> Option<Text> {
    let (text, rest) = match path {
        [Key::Choices, Key::Item, Key::Delta, rest @ ..] => (Text::Piece, rest),
        [Key::Choices, Key::Item, Key::Message, rest @ ..] => (Text::Whole, rest),
        _ => return None,
    };
    matches!(rest, [Key::Content] | [Key::Content, Key::Item, Key::Text]).then_some(text)
}

fn responses_text(path: &[Key]) -> Option<Text> {
    match path {
        [Key::Response, output @ ..] | output => match output {
            [Key::Output, Key::Item, Key::Content, Key::Item, Key::Text] => Some(Text::Whole),
            _ => None,
        },
    }
}

fn inclusive(tally: &Tally) -> (Usage, Option<u64>) {
    let (prompt, cached) = (tally.or_zero(Count::Input), tally.or_zero(Count::Cached));
    let (written, long) = tally.written();
    let beside = beside_prompt(tally, prompt, cached, written);
    // The parts overlap; cache writes take precedence because they cost more.
    let cached = cached.min(prompt.saturating_add(beside).saturating_sub(written));
    let input_tokens = prompt.saturating_add(beside).saturating_add(tally.or_zero(Count::MoreInput));
    let reasoning_tokens = tally.or_zero(Count::Reasoning);
    let reported = tally.get(Count::Output).map(|output| {
        let is_apart = reasoning_tokens > output || tally.get(Count::MoreInput).is_some();
        output.saturating_add(if is_apart { reasoning_tokens } else { 0 })
    });
    let beyond_input = tally.get(Count::Total).map(|total| total.saturating_sub(input_tokens));
    let output_tokens = reported.max(beyond_input.filter(|_| tally.get(Count::Input).is_some()));
    let usage = Usage {
        input_tokens,
        cached_input_tokens: cached,
        cache_write_tokens: written,
        long_cache_write_tokens: long,
        output_tokens: output_tokens.unwrap_or(0),
        reasoning_tokens,
    };
    (usage, output_tokens)
}

/// The cached and written tokens that the prompt's count does not contain.
fn beside_prompt(tally: &Tally, prompt: u64, cached: u64, written: u64) -> u64 {
    let parts = cached.saturating_add(written);
    let named = prompt.saturating_add(tally.or_zero(Count::Output));
    let missing = tally.or_zero(Count::Total).saturating_sub(named);
    let is_reasoning = missing == tally.or_zero(Count::Reasoning);
    let is_part = [parts, cached, written].contains(&missing);
    let has_output = tally.get(Count::Output).is_some();
    let beside = if is_part && !is_reasoning && has_output { missing } else { 0 };
    // A total of the prompt and the output says that nothing is beside them.
    let is_whole = has_output && tally.get(Count::Total) == Some(named) && cached.max(written) <= prompt;
    if parts > prompt.saturating_add(beside) && !is_whole { parts } else { beside }
}
