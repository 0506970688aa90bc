//! What a turn may cost, before the answer is known.
//!
//! The expected cost feeds the policy, the upper cost is what a reservation holds. Tokens are estimated from bytes:
//! a tokenizer in the request path costs tens of milliseconds and still errs for models it was not made for.

use crate::config::{EstimateConfig, ModelConfig};
use crate::money::NanoUsd;
use crate::usage::Usage;

/// The size of one request as far as a gateway can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSize {
    /// Expected input tokens: history and new message together.
    pub prompt_tokens: u64,
    /// Input tokens that are rarely exceeded.
    pub upper_prompt_tokens: u64,
    /// The client's own limit on output tokens.
    pub max_output_tokens: Option<u64>,
}

impl RequestSize {
    /// Estimates from the body's length; `None` where the length is unknown.
    #[must_use]
    pub fn from_bytes(
        config: &EstimateConfig,
        body_bytes: Option<u64>,
        max_output_tokens: Option<u64>,
    ) -> Self {
        let tokens = |per_token: u64| {
            body_bytes.map_or(config.unknown_input_tokens, |bytes| bytes.div_ceil(per_token.max(1)))
        };
        RequestSize {
            prompt_tokens: tokens(config.bytes_per_token),
            upper_prompt_tokens: tokens(config.upper_bytes_per_token),
            max_output_tokens,
        }
    }
}

/// The estimated cost of one turn with one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostEstimate {
    /// Expected cost.
    pub expected: NanoUsd,
    /// Cost that is rarely exceeded: what is reserved.
    pub upper: NanoUsd,
    /// The prompt and the expected output fit the model's context.
    pub fits_context: bool,
}

/// Estimates what this request would cost with `model`.
#[must_use]
pub fn cost(model: &ModelConfig, size: &RequestSize) -> CostEstimate {
    let limit = size.max_output_tokens.unwrap_or(model.upper_output_tokens);
    let priced = |input_tokens, output_tokens| {
        model.prices.cost(&Usage { input_tokens, output_tokens, ..Usage::default() })
    };
    let expected_output = model.expected_output_tokens.min(limit);
    CostEstimate {
        expected: priced(size.prompt_tokens, expected_output),
        upper: priced(size.upper_prompt_tokens, limit),
        fits_context: size.prompt_tokens.saturating_add(expected_output) <= model.context_tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, tests::example};

    fn model() -> ModelConfig {
        Config::from_json(example().to_string().as_bytes()).unwrap().models[0].clone()
    }

    #[test]
    fn the_clients_limit_bounds_both_estimates() {
        let size =
            RequestSize { prompt_tokens: 1000, upper_prompt_tokens: 1000, max_output_tokens: Some(10) };
        let estimate = cost(&model(), &size);
        assert_eq!(estimate.expected, estimate.upper);
        assert_eq!(estimate.upper, NanoUsd(1000 * 100 + 10 * 400));
    }

    #[test]
    fn without_a_limit_the_reservation_assumes_the_upper_output() {
        let size = RequestSize::from_bytes(&EstimateConfig::default(), Some(1200), None);
        let estimate = cost(&model(), &size);
        assert_eq!(estimate.expected, NanoUsd(300 * 100 + 100 * 400));
        assert_eq!(estimate.upper, NanoUsd(400 * 100 + 400 * 400));
    }

    #[test]
    fn a_prompt_beyond_the_context_does_not_fit() {
        let size =
            RequestSize { prompt_tokens: 128_000, upper_prompt_tokens: 128_000, max_output_tokens: None };
        assert!(!cost(&model(), &size).fits_context);
    }
}
