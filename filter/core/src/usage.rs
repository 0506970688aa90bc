//! Token usage as providers report it, in one convention.
//!
//! Counts are inclusive, as in OpenAI's `usage` object and Envoy's `TokenUsage`: the input contains the cached and
//! the written part, the output contains reasoning tokens. Providers repeat and split their usage over several
//! stream events, cumulative ones among them, so two readings are merged by the maximum of each field.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tokens of one answered turn (inclusive convention).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All input tokens, cached and written ones included.
    pub input_tokens: u64,
    /// The part of the input that was read from a prompt cache.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// The part of the input that was written to a prompt cache.
    #[serde(default)]
    pub cache_write_tokens: u64,
    /// All output tokens, reasoning included.
    pub output_tokens: u64,
}

impl Usage {
    /// Reads the `usage` object of an OpenAI chat completion
    /// (`prompt_tokens`, `completion_tokens`, `prompt_tokens_details.cached_tokens`; OpenAI API reference, chat).
    ///
    /// `None` when it is no JSON object, or holds neither count: a stream's early events carry `"usage": null`.
    #[must_use]
    pub fn from_openai_json(json: &[u8]) -> Option<Usage> {
        let value: Value = serde_json::from_slice(json).ok()?;
        let count = |name: &str| value.get(name).and_then(Value::as_u64);
        let (input, output) = (count("prompt_tokens"), count("completion_tokens"));
        if input.is_none() && output.is_none() {
            return None;
        }
        let cached = value.get("prompt_tokens_details").and_then(|details| details.get("cached_tokens"));
        Some(Usage {
            input_tokens: input.unwrap_or(0),
            cached_input_tokens: cached.and_then(Value::as_u64).unwrap_or(0),
            cache_write_tokens: 0,
            output_tokens: output.unwrap_or(0),
        })
    }

    /// The larger of each field.
    #[must_use]
    pub fn max_per_field(self, other: Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.max(other.input_tokens),
            cached_input_tokens: self.cached_input_tokens.max(other.cached_input_tokens),
            cache_write_tokens: self.cache_write_tokens.max(other.cache_write_tokens),
            output_tokens: self.output_tokens.max(other.output_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openai_object_is_read_with_its_cached_part() {
        let json = br#"{"prompt_tokens":120,"completion_tokens":30,"total_tokens":150,
            "prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":8}}"#;
        let expected =
            Usage { input_tokens: 120, cached_input_tokens: 64, cache_write_tokens: 0, output_tokens: 30 };
        assert_eq!(Usage::from_openai_json(json), Some(expected));
    }

    #[test]
    fn null_and_foreign_objects_are_no_usage() {
        for json in ["null", "{}", "[1]", r#"{"prompt_tokens":-5}"#, r#"{"prompt_tokens":"12"}"#, "{broken"] {
            assert_eq!(Usage::from_openai_json(json.as_bytes()), None, "{json}");
        }
    }
}
