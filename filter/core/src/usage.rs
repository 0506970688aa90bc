//! Tokens of an answer, in one convention for all providers.
//!
//! Counts are inclusive, as in OpenAI's `usage` object and Envoy's `TokenUsage`: the input includes the cached and the
//! written part, the output includes reasoning tokens. [`crate::answer::usage`] converts what providers report.

use serde::{Deserialize, Serialize};

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
    /// The part of what was written that the cache keeps for an hour rather than for minutes.
    #[serde(default)]
    pub long_cache_write_tokens: u64,
    /// All output tokens, reasoning included.
    pub output_tokens: u64,
    /// The part of the output that was reasoning.
    #[serde(default)]
    pub reasoning_tokens: u64,
}
