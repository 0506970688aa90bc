//! What a turn may cost, before the answer is known.
//!
//! The expected cost feeds the policy, the upper cost is what a reservation holds if that much is free, the
//! least cost is what must be free for a model to be allowed. Tokens are estimated from bytes: a tokenizer in the
//! request path costs tens of milliseconds and still errs for models it was not made for. What a session's settled
//! turns have shown (tokens per byte, output per turn) replaces the configured guesses as soon as it is known.
//!
//! What must always hold: the upper input of a body that was read is at least what its bytes can be billed as. What
//! settled turns have shown is the client's to choose, so it improves the expectation and never lowers that bound.

use crate::body::input::{InputSize, ReadInput};
use crate::config::{EstimateConfig, ModelConfig, UnlimitedAnswer};
use crate::ledger::SessionView;
use crate::money::NanoUsd;
use crate::prices::CacheWrites;
use crate::usage::Usage;

/// A session's own mean output counts as if the model's configured mean had been seen in this many turns.
const PRIOR_TURNS: u64 = 2;
/// Where an answer can be cut, a model is allowed when the money pays this many times the expected output. With the
/// spread of real answers (the logarithm's standard deviation is about 0.45) nineteen of twenty are not cut.
const UNCUT_OUTPUT_FACTOR: u64 = 2;
/// A learned ratio of tokens to bytes is raised by one part in this many in upper estimates: tokenizers of different
/// models differ by about a tenth on the same text.
const LEARNED_MARGIN_PART: u64 = 8;

/// What a gateway knows about a request's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestSize {
    /// Length of the body; `None` where it is unknown.
    pub body_bytes: Option<u64>,
    /// What was read of the body; `None` where only the length stands for a request, as in simulations.
    pub read: Option<ReadInput>,
    /// The client's own limit on output tokens, over all answers.
    pub max_output_tokens: Option<u64>,
    /// Output tokens below which the answer may not be cut.
    pub least_output_tokens: u64,
    /// Answers at once; 0 counts as 1.
    pub answers: u64,
}

/// Estimated tokens of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenEstimate {
    /// Expected input tokens: history and new message together.
    pub prompt_tokens: u64,
    /// Input tokens of its text that are not exceeded.
    pub upper_prompt_tokens: u64,
    /// Images in it.
    pub images: u64,
    /// Parts that may be as long as a context.
    pub files: u64,
    /// The client's own limit on output tokens.
    pub max_output_tokens: Option<u64>,
    /// Output tokens below which its answer may not be cut.
    pub least_output_tokens: u64,
    /// Answers at once; 0 counts as 1.
    pub answers: u64,
    /// The writes to the provider's prompt cache that the request may ask for.
    pub cache_writes: CacheWrites,
    /// Without a limit, an answer may be as long as the model can make it, if it can be cut.
    pub is_unlimited: bool,
}

impl TokenEstimate {
    /// Estimates the request's tokens: by the session's own tokens per byte where a turn was settled, else by the
    /// configured ones.
    #[must_use]
    pub fn new(config: &EstimateConfig, size: &RequestSize, session: &SessionView) -> Self {
        let (prompt_tokens, upper_prompt_tokens) = match size.body_bytes {
            None => (config.unknown_input_tokens, config.unknown_input_tokens),
            Some(bytes) if session.last_body_bytes > 0 && session.last_prompt_tokens > 0 => {
                learned(config, bytes, session)
            }
            Some(bytes) => {
                let tokens = |bytes_per_token: u64| bytes.div_ceil(bytes_per_token.max(1));
                (tokens(config.bytes_per_token), tokens(config.upper_bytes_per_token))
            }
        };
        let RequestSize { max_output_tokens, least_output_tokens, answers, read, .. } = *size;
        let upper = read.map(|read| read.upper_text_tokens(config, size.body_bytes));
        let InputSize { images, files, .. } = read.map(|read| read.size).unwrap_or_default();
        TokenEstimate {
            prompt_tokens: prompt_tokens.min(upper.unwrap_or(u64::MAX)),
            upper_prompt_tokens: upper.unwrap_or(upper_prompt_tokens),
            images,
            files,
            max_output_tokens,
            least_output_tokens,
            answers,
            cache_writes: read.map_or(CacheWrites::Long, |read| read.cache_writes()),
            is_unlimited: config.unlimited_answer == UnlimitedAnswer::Model,
        }
    }

    /// Output tokens that all answers of `model` together do not exceed: the request's limit, or what the model can write.
    #[must_use]
    pub fn most_output_tokens(&self, model: &ModelConfig) -> u64 {
        let longest = model.context_tokens.saturating_mul(self.answers.max(1));
        let longest = longest.min(model.most_output_tokens(self.answers));
        self.max_output_tokens.map_or(longest.max(self.least_output_of(model)), |limit| limit.min(longest))
    }

    /// Output tokens below which an answer of `model` may not be cut: its server refuses lower limits, other than the
    /// client's own.
    #[must_use]
    pub fn least_output_of(&self, model: &ModelConfig) -> u64 {
        let least = model.least_output_tokens(self.answers).min(self.max_output_tokens.unwrap_or(u64::MAX));
        least.max(self.least_output_tokens)
    }

    /// Input tokens that a turn with `model` does not exceed: no server takes more than its context.
    #[must_use]
    pub fn upper_input_tokens(&self, model: &ModelConfig) -> u64 {
        let images = self.images.saturating_mul(model.image_tokens);
        let files = self.files.saturating_mul(model.context_tokens);
        let tokens = self.upper_prompt_tokens.saturating_add(images).saturating_add(files);
        tokens.min(model.context_tokens.max(self.prompt_tokens))
    }
}

/// Expected and upper input tokens of a session whose last turn had a known ratio of tokens to bytes.
fn learned(config: &EstimateConfig, bytes: u64, session: &SessionView) -> (u64, u64) {
    let (last_bytes, last_tokens) = (session.last_body_bytes, session.last_prompt_tokens);
    let raised = last_tokens.saturating_add(last_tokens.div_ceil(LEARNED_MARGIN_PART));
    let new_bytes = bytes.saturating_sub(last_bytes);
    let known_bytes = bytes.saturating_sub(new_bytes);
    // The part that was sent before is known but for the tokenizer; the new part may be denser than the rest.
    let known = scaled(known_bytes, raised, last_bytes);
    let new =
        scaled(new_bytes, raised, last_bytes).max(new_bytes.div_ceil(config.upper_bytes_per_token.max(1)));
    (scaled(bytes, last_tokens, last_bytes), known.saturating_add(new))
}

/// `bytes · tokens / per_bytes`, rounded up.
fn scaled(bytes: u64, tokens: u64, per_bytes: u64) -> u64 {
    let product = u128::from(bytes).saturating_mul(u128::from(tokens));
    u64::try_from(product.div_ceil(u128::from(per_bytes.max(1)))).unwrap_or(u64::MAX)
}

/// Tokens at the prompt's head that the model of the last turn probably has in its provider's cache:
/// the last turn's prompt, while the cache lives.
#[must_use]
pub fn cached_prefix_tokens(config: &EstimateConfig, session: &SessionView, model: usize) -> u64 {
    let was_last = session.last_model.is_some_and(|last| usize::from(last) == model);
    let warm = session.idle_ms.is_some_and(|idle_ms| idle_ms <= config.prompt_cache_ttl_ms);
    if was_last && warm { session.last_prompt_tokens } else { 0 }
}

/// What of a prompt a model's provider has cached.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CachedPrefix {
    /// Tokens that are expected to be.
    pub expected_tokens: u64,
    /// Tokens that were seen to be, by the usage of the turn before.
    pub seen_tokens: u64,
    /// The share of those that is reserved as if they were not.
    pub doubt: f64,
}

impl CachedPrefix {
    /// What the model of the conversation's last turn has, while the cache lives.
    #[must_use]
    pub fn of(config: &EstimateConfig, session: &SessionView, model: usize) -> CachedPrefix {
        let expected_tokens = cached_prefix_tokens(config, session, model);
        let seen_tokens = if expected_tokens > 0 { session.warm_tokens } else { 0 };
        CachedPrefix { expected_tokens, seen_tokens, doubt: config.cache_doubt }
    }

    /// The most that a turn is reserved for.
    #[must_use]
    pub fn upper_cost(&self, model: &ModelConfig, tokens: &TokenEstimate, output_tokens: u64) -> NanoUsd {
        let (prices, input_tokens) = (&model.prices, tokens.upper_input_tokens(model));
        let writes = tokens.cache_writes;
        let discount = prices.warm_discount(input_tokens, self.seen_tokens, writes, self.doubt);
        prices.upper_cost_of(input_tokens, output_tokens, writes).saturating_sub(discount)
    }
}

/// The estimated cost of one turn with one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostEstimate {
    /// Expected cost.
    pub expected: NanoUsd,
    /// What must be free for the model to be allowed: the upper cost, or less where the answer can be cut.
    pub least: NanoUsd,
    /// Cost that is rarely exceeded: what is reserved if it is free.
    pub upper: NanoUsd,
    /// The prompt and the expected output fit the model's context.
    pub fits_context: bool,
}

/// Estimates what this request would cost with `model`, its prompt cached nowhere; `can_cut` says whether the answer's
/// length can be limited.
#[must_use]
pub fn cost(
    model: &ModelConfig,
    tokens: &TokenEstimate,
    session: &SessionView,
    can_cut: bool,
) -> CostEstimate {
    cost_with_cache(model, tokens, session, can_cut, CachedPrefix::default())
}

/// Estimates the cost where the provider has a part of the prompt cached. What is only expected to be counts for the expected
/// cost: the cache may be gone.
#[must_use]
pub fn cost_with_cache(
    model: &ModelConfig,
    tokens: &TokenEstimate,
    session: &SessionView,
    can_cut: bool,
    cached: CachedPrefix,
) -> CostEstimate {
    let usual = expected_output_tokens(model, session);
    let uncut = usual.saturating_mul(UNCUT_OUTPUT_FACTOR);
    let answers = tokens.answers.max(1);
    let limit = match tokens.max_output_tokens {
        None if !(can_cut && tokens.is_unlimited) => model
            .upper_output_tokens
            .max(uncut)
            .saturating_mul(answers)
            .max(tokens.least_output_of(model))
            .min(model.most_output_tokens(answers)),
        _ => tokens.most_output_tokens(model),
    };
    let expected_output = usual.min(limit);
    let uncut = if can_cut { uncut.max(tokens.least_output_of(model)).min(limit) } else { limit };
    let expected = Usage {
        input_tokens: tokens.prompt_tokens,
        cached_input_tokens: cached.expected_tokens,
        output_tokens: expected_output,
        ..Usage::default()
    };
    CostEstimate {
        expected: model.prices.cost(&expected),
        least: cached.upper_cost(model, tokens, uncut),
        upper: cached.upper_cost(model, tokens, limit),
        fits_context: tokens.prompt_tokens.saturating_add(expected_output) <= model.context_tokens,
    }
}

/// Output tokens of the next answer: the session's mean, drawn towards the model's configured one while few turns
/// are known.
#[must_use]
pub fn expected_output_tokens(model: &ModelConfig, session: &SessionView) -> u64 {
    let prior = model.expected_output_tokens.saturating_mul(PRIOR_TURNS);
    let turns = u64::from(session.turns).saturating_add(PRIOR_TURNS);
    prior.saturating_add(session.output_tokens).div_ceil(turns.max(1)).max(1)
}

/// The output tokens that `reserved` pays for after the upper input: what an answer is cut at.
#[must_use]
pub fn affordable_output_tokens(
    model: &ModelConfig,
    tokens: &TokenEstimate,
    cached: CachedPrefix,
    reserved: NanoUsd,
) -> u64 {
    let input_tokens = tokens.upper_input_tokens(model);
    let input = cached.upper_cost(model, tokens, 0);
    let free_pico = u128::from(reserved.saturating_sub(input).0).saturating_mul(1000);
    let tokens = free_pico.checked_div(u128::from(model.prices.upper_output_price(input_tokens)));
    // Free output is not cut.
    tokens.and_then(|tokens| u64::try_from(tokens).ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
