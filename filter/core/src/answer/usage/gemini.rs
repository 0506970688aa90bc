//! Usage of Gemini and Vertex AI (API reference, `UsageMetadata`): the input contains its cached part, but not the
//! results of built-in tools; the output does not contain thoughts.
//!
//! A stream is a JSON array of answers, or events of one answer each; their counts are cumulative, and the first
//! ones may lack the output. A count of 0 is left out, so where there is a total, or thoughts, a missing count of the
//! output is 0. The output is never taken to be less than the total without the input. More cached tokens than the prompt
//! has stand beside it.

use crate::answer::usage::tally::{Convention, Count, Place, Tally, Text};
use crate::usage::Usage;
use crate::wire::key::Key;

/// `generateContent` and `streamGenerateContent`.
pub const GENERATE: Convention = Convention {
    usage_at,
    count_at,
    inclusive,
    finish_at,
    end_types: &[],
    has_usage_last: false,
    error_at: |path| matches!(path, [Key::Error] | [Key::Item, Key::Error]),
    text_at,
    unbilled_finish: b"",
};

fn usage_at(path: &[Key]) -> Option<(Place, &[Key])> {
    match path {
        [Key::UsageMetadata, within @ ..] | [Key::Item, Key::UsageMetadata, within @ ..] => {
            Some((Place::Answer, within))
        }
        _ => None,
    }
}

fn count_at(_place: Place, path: &[Key]) -> Option<Count> {
    match path {
        [Key::PromptTokenCount] => Some(Count::Input),
        [Key::ToolUsePromptTokenCount] => Some(Count::MoreInput),
        [Key::CachedContentTokenCount] => Some(Count::Cached),
        [Key::CandidatesTokenCount] => Some(Count::Output),
        [Key::ThoughtsTokenCount] => Some(Count::Reasoning),
        [Key::TotalTokenCount] => Some(Count::Total),
        _ => None,
    }
}

fn finish_at(path: &[Key]) -> bool {
    match path {
        [Key::Item, answer @ ..] | answer => {
            matches!(answer, [Key::Candidates, Key::Item, Key::FinishReason])
        }
    }
}

fn text_at(path: &[Key]) -> Option<Text> {
    match path {
        [Key::Item, answer @ ..] | answer => match answer {
            [Key::Candidates, Key::Item, Key::Content, Key::Parts, Key::Item, Key::Text] => Some(Text::Piece),
            _ => None,
        },
    }
}

fn inclusive(tally: &Tally) -> (Usage, Option<u64>) {
    let (prompt, cached) = (tally.or_zero(Count::Input), tally.or_zero(Count::Cached));
    let beside = if cached > prompt { cached } else { 0 };
    let input_tokens = prompt.saturating_add(beside).saturating_add(tally.or_zero(Count::MoreInput));
    let thoughts = tally.get(Count::Reasoning);
    let beyond_input = tally.get(Count::Total).map(|total| total.saturating_sub(input_tokens));
    let reported = match (tally.get(Count::Output), thoughts) {
        (None, None) => None,
        (output, thoughts) => Some(output.unwrap_or(0).saturating_add(thoughts.unwrap_or(0))),
    };
    let output_tokens = reported.max(beyond_input);
    let usage = Usage {
        input_tokens,
        cached_input_tokens: cached,
        output_tokens: output_tokens.unwrap_or(0),
        reasoning_tokens: thoughts.unwrap_or(0),
        ..Usage::default()
    };
    (usage, output_tokens)
}
