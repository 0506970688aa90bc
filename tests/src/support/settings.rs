//! Plugin configurations for the tests: three tiers at list-like prices, everything else as a test needs it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The salt of all test configurations.
pub const SALT: &str = "salt of the tests";

/// The names of [`models`], which are also their clusters.
pub const MODELS: [&str; 3] = ["small", "medium", "large"];

/// The tiers: 0.15/0.60, 0.80/3.20 and 3/15 USD per million tokens of input/output.
#[must_use]
pub fn models() -> Value {
    let prices = [(150_000, 600_000), (800_000, 3_200_000), (3_000_000, 15_000_000)];
    let model = |(name, (input, output)): (&str, (u64, u64))| {
        json!({
            "name": name, "cluster": name, "expected_output_tokens": 150, "upper_output_tokens": 600,
            "prices": {"input_pico_usd_per_token": input, "output_pico_usd_per_token": output},
        })
    };
    MODELS.into_iter().zip(prices).map(model).collect()
}

/// A configuration with these models, a default budget of 0.01 USD and a trusted budget header. All tests come from one
/// address, so new sessions are not counted.
#[must_use]
pub fn plugin(strategy: Value) -> Value {
    json!({
        "version": 1, "salt": SALT, "strategy": strategy,
        "budget": {"default_usd": "0.01", "max_usd": "1000", "trust_header": true, "cap_output": false},
        "callers": {"enabled": false},
        "lambda": {"trust_header": true},
        // A body of n bytes is reserved for as n/3 tokens ([`super::chat`]).
        "estimate": {"request_tokens": 0},
        "record": {"text": true, "refusals_per_second": 1_000_000},
        // They direct the mock servers.
        "forward": {"headers": ["x-mock-*"]},
        "models": models(),
    })
}

/// [`plugin`] with a policy archive that decides.
#[must_use]
pub fn with_policy(tar: &[u8]) -> Value {
    let mut value = plugin(json!("policy"));
    value["policy_b64"] = json!(BASE64_STANDARD.encode(tar));
    value
}
