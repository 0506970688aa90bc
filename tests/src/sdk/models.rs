//! The models of the tests, with the prices and bounds that their providers publish.
//!
//! All prices are whole nano-USD per token, so that no sum is ever rounded. Sources: the providers' pages of models and
//! prices (developers.openai.com/api/docs/models, platform.claude.com/docs/en/about-claude/models,
//! ai.google.dev/gemini-api/docs/pricing), as read in 2026.

use serde_json::{Value, json};

/// Whose API a model speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// Chat completions and responses.
    OpenAi,
    /// Messages.
    Anthropic,
    /// Content generation.
    Google,
}

/// All providers.
pub const PROVIDERS: [Provider; 3] = [Provider::OpenAi, Provider::Anthropic, Provider::Google];

impl Provider {
    /// Its listener's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Provider::OpenAi => "openai",
            Provider::Anthropic => "anthropic",
            Provider::Google => "google",
        }
    }
}

/// A model.
#[derive(Debug)]
pub struct Model {
    /// Its name, which is also its cluster's.
    pub name: &'static str,
    /// Whose it is.
    pub provider: Provider,
    /// nano-USD per input token.
    pub input: u64,
    /// nano-USD per input token read from the cache.
    pub cached: u64,
    /// nano-USD per input token written to the cache for minutes.
    pub write: u64,
    /// nano-USD per input token written to the cache for an hour.
    pub write_hour: u64,
    /// nano-USD per output token.
    pub output: u64,
    /// Context window, tokens.
    pub context: u64,
    /// Largest limit of an answer.
    pub most_output: u64,
    /// Fewest tokens of a prefix that is cached.
    pub least_cached: u64,
    /// Its thinking can be adaptive, and it takes an effort (Anthropic).
    pub adaptive: bool,
    /// Smallest and largest thinking budget (Google, Anthropic).
    pub thinking: (u64, u64),
}

/// Two models of each provider, the cheaper one first.
pub const MODELS: [Model; 6] = [
    Model {
        name: "gpt-5-mini",
        provider: Provider::OpenAi,
        input: 250,
        cached: 25,
        write: 250,
        write_hour: 250,
        output: 2_000,
        context: 400_000,
        most_output: 128_000,
        least_cached: 1024,
        adaptive: false,
        thinking: (0, 0),
    },
    Model {
        name: "gpt-5.1",
        provider: Provider::OpenAi,
        input: 1_250,
        cached: 125,
        write: 1_250,
        write_hour: 1_250,
        output: 10_000,
        context: 400_000,
        most_output: 128_000,
        least_cached: 1024,
        adaptive: false,
        thinking: (0, 0),
    },
    Model {
        name: "claude-haiku-4-5",
        provider: Provider::Anthropic,
        input: 1_000,
        cached: 100,
        write: 1_250,
        write_hour: 2_000,
        output: 5_000,
        context: 200_000,
        most_output: 64_000,
        least_cached: 4096,
        adaptive: false,
        thinking: (1024, 63_999),
    },
    Model {
        name: "claude-opus-4-6",
        provider: Provider::Anthropic,
        input: 5_000,
        cached: 500,
        write: 6_250,
        write_hour: 10_000,
        output: 25_000,
        context: 200_000,
        most_output: 128_000,
        least_cached: 4096,
        adaptive: true,
        thinking: (1024, 127_999),
    },
    Model {
        name: "gemini-2.5-flash",
        provider: Provider::Google,
        input: 300,
        cached: 30,
        write: 300,
        write_hour: 300,
        output: 2_500,
        context: 1_048_576,
        most_output: 65_536,
        least_cached: 1024,
        adaptive: false,
        thinking: (0, 24_576),
    },
    Model {
        name: "gemini-2.5-pro",
        provider: Provider::Google,
        input: 1_250,
        cached: 125,
        write: 1_250,
        write_hour: 1_250,
        output: 10_000,
        context: 1_048_576,
        most_output: 65_536,
        least_cached: 4096,
        adaptive: false,
        thinking: (128, 32_768),
    },
];

impl Model {
    /// Its entry in the filter's configuration.
    #[must_use]
    pub fn settings(&self) -> Value {
        json!({
            "name": self.name,
            "cluster": self.name,
            "prices": {
                "input_pico_usd_per_token": self.input * 1000,
                "cached_input_pico_usd_per_token": self.cached * 1000,
                "cache_write_pico_usd_per_token": self.write * 1000,
                "output_pico_usd_per_token": self.output * 1000,
            },
            "context_tokens": self.context,
            "max_output_tokens": self.most_output,
            "expected_output_tokens": 200,
            "upper_output_tokens": 1000,
            "image_tokens": 2000,
        })
    }
}
