//! Usage of OpenAI's APIs (API reference, `CompletionUsage` and `ResponseUsage`): inclusive already.
//!
//! Chat: `usage` of the answer, or of the last event of a stream whose request asked for it; other servers repeat
//! it in every event. Responses: `usage` of the answer, or `response.usage` of the event `response.completed`,
//! `response.incomplete` or `response.failed`.
//!
//! Some servers that implement the chat API leave reasoning out of `completion_tokens` and count it in `total_tokens`
//! only (xAI; Gemini's OpenAI-compatible endpoint). It is billed as output, so the output is never taken to be less
//! than the total without the input, and reasoning of more tokens than the completion is added to it.

use crate::answer::usage::tally::{Convention, Count, Tally, Text};
use crate::usage::Usage;
use crate::wire::key::Key;

/// Chat completions.
pub const CHAT: Convention = Convention {
    count_at: chat_count,
    inclusive,
    finish_at: |path| matches!(path, [Key::Choices, Key::Item, Key::FinishReason]),
    text_at: chat_text,
    unbilled_finish: b"",
};

/// Responses.
pub const RESPONSES: Convention = Convention {
    count_at: responses_count,
    inclusive,
    finish_at: |path| matches!(path, [Key::Status] | [Key::Response, Key::Status]),
    text_at: responses_text,
    unbilled_finish: b"",
};

fn chat_count(path: &[Key]) -> Option<Count> {
    match path {
        [Key::Usage, Key::PromptTokens] => Some(Count::Input),
        [Key::Usage, Key::PromptTokensDetails, Key::CachedTokens] => Some(Count::Cached),
        [Key::Usage, Key::CompletionTokens] => Some(Count::Output),
        [Key::Usage, Key::CompletionTokensDetails, Key::ReasoningTokens] => Some(Count::Reasoning),
        [Key::Usage, Key::TotalTokens] => Some(Count::Total),
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

fn responses_count(path: &[Key]) -> Option<Count> {
    match path {
        [Key::Response, usage @ ..] | usage => match usage {
            [Key::Usage, Key::InputTokens] => Some(Count::Input),
            [Key::Usage, Key::InputTokensDetails, Key::CachedTokens] => Some(Count::Cached),
            [Key::Usage, Key::OutputTokens] => Some(Count::Output),
            [Key::Usage, Key::OutputTokensDetails, Key::ReasoningTokens] => Some(Count::Reasoning),
            [Key::Usage, Key::TotalTokens] => Some(Count::Total),
            _ => None,
        },
    }
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
    let input_tokens = tally.or_zero(Count::Input);
    let beyond_input = tally.get(Count::Total).map(|total| total.saturating_sub(input_tokens));
    let reasoning_tokens = tally.or_zero(Count::Reasoning);
    let reported = tally.get(Count::Output).map(|output| {
        let apart = if reasoning_tokens > output { reasoning_tokens } else { 0 };
        output.saturating_add(apart)
    });
    let output_tokens = reported.max(beyond_input.filter(|_| tally.get(Count::Input).is_some()));
    let usage = Usage {
        input_tokens,
        cached_input_tokens: tally.or_zero(Count::Cached),
        cache_write_tokens: 0,
        output_tokens: output_tokens.unwrap_or(0),
        reasoning_tokens,
    };
    (usage, output_tokens)
}
