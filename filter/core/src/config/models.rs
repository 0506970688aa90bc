//! The models, who chooses among them, and what is assumed about their tokens.

use serde::{Deserialize, Serialize};

use crate::money::Prices;

/// Who chooses the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The trained policy.
    #[default]
    Policy,
    /// The most expensive model that the budget covers now: the myopic baseline.
    BestAffordable,
    /// Always the named model; refused when the budget does not cover it.
    Always(String),
}

/// One model that requests may be sent to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The name upstreams know, written into the body's `model`.
    pub name: String,
    /// The Envoy cluster that serves it.
    pub cluster: String,
    /// Its prices.
    pub prices: Prices,
    /// A model that is free on purpose; else a price of 0 is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub free: bool,
    /// Input and output tokens it can hold.
    #[serde(default = "default_context_tokens")]
    pub context_tokens: u64,
    /// Mean output of a turn: the expected cost's estimate.
    pub expected_output_tokens: u64,
    /// Output of a turn that is rarely exceeded: what a reservation assumes where the request sets no limit.
    pub upper_output_tokens: u64,
    /// What it takes beside text.
    #[serde(default, skip_serializing_if = "Accepts::is_default")]
    pub accepts: Accepts,
    /// Models of one group take each other's conversations (tool calls, signed thinking, stored responses). Absent:
    /// only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat_group: Option<String>,
}

/// What a model takes beside text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accepts {
    /// Images in messages.
    pub images: bool,
    /// Tool definitions.
    pub tools: bool,
}

impl Accepts {
    fn is_default(&self) -> bool {
        *self == Accepts::default()
    }
}

impl Default for Accepts {
    fn default() -> Self {
        Accepts { images: true, tools: true }
    }
}

fn default_context_tokens() -> u64 {
    128_000
}

/// When a session changes its model although the policy would rather not stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwitchConfig {
    /// Quality that a switch must gain per whole session budget of prompt-cache discount that it gives up. 0: none.
    pub cache_margin: f32,
}

/// Token estimates from byte counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EstimateConfig {
    /// Bytes of request body per input token, for expectations (about 4 in English text).
    pub bytes_per_token: u64,
    /// Bytes per input token that rarely fall short, for reservations.
    pub upper_bytes_per_token: u64,
    /// Input tokens assumed where the size of a request is unknown.
    pub unknown_input_tokens: u64,
    /// How long a provider keeps a prompt's prefix cached after a turn.
    pub prompt_cache_ttl_ms: u64,
    /// What a turn is charged whose answer came without usage.
    pub missing_usage: MissingUsage,
}

/// What a turn is charged whose answer came without usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingUsage {
    /// The estimated input, and the output by what came.
    #[default]
    Estimate,
    /// All that it had reserved, or the estimate where that is more.
    Reservation,
}

impl Default for EstimateConfig {
    fn default() -> Self {
        EstimateConfig {
            bytes_per_token: 4,
            upper_bytes_per_token: 3,
            unknown_input_tokens: 32_000,
            prompt_cache_ttl_ms: 5 * 60 * 1000,
            missing_usage: MissingUsage::default(),
        }
    }
}
