//! What tokens cost.
//!
//! Prices are integer pico-USD (10⁻¹² USD) per token: one USD per million tokens is 1,000,000 of them. A cost is rounded up
//! to the next nano-USD, so that the sum of all charges is never below what a provider bills at these prices.
//!
//! **Caches.** A provider may bill input that it reads from its prompt cache, or writes to it, at prices of their own. A
//! cache that keeps its entries for an hour costs more to write than one that keeps them for minutes. Where a model has
//! a price for writes and none for these, they cost twice the input, as with the one provider that tells them apart.
//!
//! **Long context.** Above a number of input tokens, cached ones included, some models have higher prices for the whole
//! request ([`LongContext`]), its output too.
//!
//! What must always hold: [`Prices::upper_cost`] of as many tokens, or of more, is at least [`Prices::cost`] of any usage.

use serde::{Deserialize, Serialize};

use crate::money::NanoUsd;
use crate::usage::Usage;

const PICO_PER_NANO: u128 = 1_000;
/// What writing to an hour-long cache costs, in input prices, where a model has no price for it.
const LONG_WRITE_FACTOR: u64 = 2;

/// The prices of one model, each in pico-USD per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Input tokens that were not read from a prompt cache.
    pub input_pico_usd_per_token: u64,
    /// Input tokens read from the provider's prompt cache. Absent: the input price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_pico_usd_per_token: Option<u64>,
    /// Input tokens written to the provider's prompt cache. Absent: the input price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_pico_usd_per_token: Option<u64>,
    /// Input tokens written to a cache that keeps them for an hour. Absent: twice the input price, or that of other
    /// writes if it is higher, where those have a price; otherwise the input price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_cache_write_pico_usd_per_token: Option<u64>,
    /// Output tokens, reasoning included.
    pub output_pico_usd_per_token: u64,
    /// The prices of requests with much input. Absent: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_context: Option<LongContext>,
}

/// The prices of a request whose input exceeds a number of tokens: of the whole request, each in pico-USD per token. What is
/// absent follows from the input price, as in [`Prices`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// The most input tokens, cached ones included, at the other prices.
    pub above_input_tokens: u64,
    /// Input tokens that were not read from a prompt cache.
    pub input_pico_usd_per_token: u64,
    /// Input tokens read from the provider's prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_pico_usd_per_token: Option<u64>,
    /// Input tokens written to the provider's prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_pico_usd_per_token: Option<u64>,
    /// Input tokens written to a cache that keeps them for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_cache_write_pico_usd_per_token: Option<u64>,
    /// Output tokens, reasoning included.
    pub output_pico_usd_per_token: u64,
}

/// The caches that a request may have written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheWrites {
    /// Those that keep entries for minutes: a request asks for others by a `ttl`.
    Short,
    /// Those that keep them for an hour as well.
    #[default]
    Long,
}

/// The prices that hold for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) written: u64,
    pub(crate) long_written: u64,
    pub(crate) output: u64,
}

impl Rates {
    fn new(input: u64, cached: Option<u64>, written: Option<u64>, long: Option<u64>, output: u64) -> Rates {
        let usual_long = |written: u64| written.max(input.saturating_mul(LONG_WRITE_FACTOR));
        Rates {
            input,
            cached: cached.unwrap_or(input),
            written: written.unwrap_or(input),
            long_written: long.unwrap_or(written.map_or(input, usual_long)),
            output,
        }
    }

    /// The highest price of an input token.
    fn dearest_input(&self, writes: CacheWrites) -> u64 {
        let long = if writes == CacheWrites::Long { self.long_written } else { 0 };
        self.input.max(self.cached).max(self.written).max(long)
    }

    /// All of these prices are at least those of `other`.
    pub(crate) fn are_at_least(&self, other: &Rates) -> bool {
        self.input >= other.input
            && self.cached >= other.cached
            && self.written >= other.written
            && self.long_written >= other.long_written
            && self.output >= other.output
    }
}

impl LongContext {
    pub(crate) fn rates(&self) -> Rates {
        Rates::new(
            self.input_pico_usd_per_token,
            self.cached_input_pico_usd_per_token,
            self.cache_write_pico_usd_per_token,
            self.long_cache_write_pico_usd_per_token,
            self.output_pico_usd_per_token,
        )
    }
}

impl Prices {
    /// The prices of a request with little input.
    pub(crate) fn base_rates(&self) -> Rates {
        Rates::new(
            self.input_pico_usd_per_token,
            self.cached_input_pico_usd_per_token,
            self.cache_write_pico_usd_per_token,
            self.long_cache_write_pico_usd_per_token,
            self.output_pico_usd_per_token,
        )
    }

    fn rates(&self, input_tokens: u64) -> Rates {
        match &self.long_context {
            Some(long) if input_tokens > long.above_input_tokens => long.rates(),
            _ => self.base_rates(),
        }
    }

    /// The most that so many tokens, or fewer, can cost, however the provider's prompt cache treats them: a provider may
    /// write all of the input to its cache, and charge more for that.
    #[must_use]
    pub fn upper_cost(&self, input_tokens: u64, output_tokens: u64) -> NanoUsd {
        self.upper_cost_of(input_tokens, output_tokens, CacheWrites::Long)
    }

    /// [`Self::upper_cost`] of a request that can only write to these caches.
    #[must_use]
    pub fn upper_cost_of(&self, input_tokens: u64, output_tokens: u64, writes: CacheWrites) -> NanoUsd {
        let input = self.dearest_input(input_tokens, writes);
        sum(&[(input_tokens, input), (output_tokens, self.upper_output_price(input_tokens))])
    }

    fn dearest_input(&self, input_tokens: u64, writes: CacheWrites) -> u64 {
        self.base_rates().dearest_input(writes).max(self.rates(input_tokens).dearest_input(writes))
    }

    /// What of [`Self::upper_cost_of`] is not reserved because so many input tokens are probably read from the provider's
    /// prompt cache. `doubt` is the share that is reserved as if they were not.
    #[must_use]
    pub fn warm_discount(
        &self,
        input_tokens: u64,
        warm_tokens: u64,
        writes: CacheWrites,
        doubt: f64,
    ) -> NanoUsd {
        let cached = self.base_rates().cached.max(self.rates(input_tokens).cached);
        let saved = self.dearest_input(input_tokens, writes).saturating_sub(cached);
        let pico = u128::from(warm_tokens.min(input_tokens)).saturating_mul(u128::from(saved));
        let nano = pico.checked_div(PICO_PER_NANO).unwrap_or(0) as f64;
        NanoUsd((nano * (1.0 - doubt.clamp(0.0, 1.0))) as u64)
    }

    /// The highest price of an output token, in pico-USD, in a request of at most so many input tokens.
    #[must_use]
    pub fn upper_output_price(&self, input_tokens: u64) -> u64 {
        self.output_pico_usd_per_token.max(self.rates(input_tokens).output)
    }

    /// What `usage` costs, rounded up to the next nano-USD.
    ///
    /// Token counts follow the inclusive convention (see [`Usage`]): the cached parts are subsets of the input.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        let rates = self.rates(usage.input_tokens);
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let written = usage.cache_write_tokens.min(usage.input_tokens.saturating_sub(cached));
        let plain = usage.input_tokens.saturating_sub(cached).saturating_sub(written);
        let long = usage.long_cache_write_tokens.min(written);
        sum(&[
            (plain, rates.input),
            (cached, rates.cached),
            (written.saturating_sub(long), rates.written),
            (long, rates.long_written),
            (usage.output_tokens, rates.output),
        ])
    }
}

/// The cost of tokens at a price each.
fn sum(parts: &[(u64, u64)]) -> NanoUsd {
    // A product of two 64-bit numbers fits 128 bits; to check it costs three more products in Wasm.
    let pico = parts.iter().fold(0u128, |sum, &(tokens, price)| {
        sum.saturating_add(u128::from(tokens).wrapping_mul(u128::from(price)))
    });
    NanoUsd(u64::try_from(pico.div_ceil(PICO_PER_NANO)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prices() -> Prices {
        Prices {
            input_pico_usd_per_token: 3_000_000,
            cached_input_pico_usd_per_token: Some(300_000),
            cache_write_pico_usd_per_token: Some(3_750_000),
            output_pico_usd_per_token: 15_000_000,
            ..Prices::default()
        }
    }

    fn tiered() -> Prices {
        let long_context = LongContext {
            above_input_tokens: 200_000,
            input_pico_usd_per_token: 6_000_000,
            cached_input_pico_usd_per_token: Some(600_000),
            cache_write_pico_usd_per_token: Some(7_500_000),
            output_pico_usd_per_token: 22_500_000,
            ..LongContext::default()
        };
        Prices { long_context: Some(long_context), ..prices() }
    }

    #[test]
    fn a_cost_is_rounded_up() {
        let cheap = Prices { output_pico_usd_per_token: 1, ..prices() };
        assert_eq!(cheap.cost(&Usage { output_tokens: 1, ..Usage::default() }), NanoUsd(1));
    }

    #[test]
    fn cached_and_written_input_have_their_own_price() {
        let usage = Usage {
            input_tokens: 1000,
            cached_input_tokens: 600,
            cache_write_tokens: 300,
            output_tokens: 10,
            ..Usage::default()
        };
        // 100 × 3.00 + 600 × 0.30 + 300 × 3.75 + 10 × 15.00 USD per million tokens
        assert_eq!(prices().cost(&usage), NanoUsd(300_000 + 180_000 + 1_125_000 + 150_000));
        let hour = Usage { long_cache_write_tokens: 200, ..usage };
        assert_eq!(prices().cost(&hour), NanoUsd(300_000 + 180_000 + 375_000 + 1_200_000 + 150_000));
        let absurd = Usage { long_cache_write_tokens: u64::MAX, ..usage };
        assert_eq!(prices().cost(&absurd), NanoUsd(300_000 + 180_000 + 1_800_000 + 150_000));
    }

    #[test]
    fn hour_long_writes_cost_twice_the_input_unless_a_price_says_otherwise() {
        let usage = Usage {
            input_tokens: 10,
            cache_write_tokens: 10,
            long_cache_write_tokens: 10,
            ..Usage::default()
        };
        let cost = |written, long| {
            let caches = Prices {
                cache_write_pico_usd_per_token: written,
                long_cache_write_pico_usd_per_token: long,
                ..prices()
            };
            (caches.cost(&usage), caches.upper_cost(10, 0))
        };
        assert_eq!(cost(Some(3_750_000), None), (NanoUsd(60_000), NanoUsd(60_000)));
        assert_eq!(cost(Some(9_000_000), None), (NanoUsd(90_000), NanoUsd(90_000)));
        assert_eq!(cost(Some(3_750_000), Some(5_000_000)), (NanoUsd(50_000), NanoUsd(50_000)));
        assert_eq!(cost(Some(3_750_000), Some(1_000_000)), (NanoUsd(10_000), NanoUsd(37_500)));
        assert_eq!(cost(None, None), (NanoUsd(30_000), NanoUsd(30_000)), "a provider that bills no writes");
    }

    #[test]
    fn the_upper_cost_assumes_that_all_input_is_written_to_the_most_expensive_cache() {
        assert_eq!(prices().upper_cost(1000, 10), NanoUsd(6_000_000 + 150_000));
        let cheap = Prices { cache_write_pico_usd_per_token: None, ..prices() };
        assert_eq!(cheap.upper_cost(1000, 10), NanoUsd(3_000_000 + 150_000));
    }

    #[test]
    fn a_request_with_much_input_has_other_prices_as_a_whole() {
        let usage = |input_tokens, cached_input_tokens| Usage {
            input_tokens,
            cached_input_tokens,
            output_tokens: 400,
            ..Usage::default()
        };
        assert_eq!(tiered().cost(&usage(250_000, 0)), NanoUsd(1_509_000_000));
        assert_eq!(tiered().cost(&usage(200_000, 0)), NanoUsd(600_000_000 + 6_000_000));
        assert_eq!(
            tiered().cost(&usage(200_001, 200_000)),
            NanoUsd(6_000 + 120_000_000 + 9_000_000),
            "cached tokens count towards the threshold"
        );
        assert_eq!(tiered().upper_output_price(200_000), 15_000_000);
        assert_eq!(tiered().upper_output_price(200_001), 22_500_000);
    }

    #[test]
    fn an_absurd_count_is_unaffordable_not_small() {
        let usage = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX, ..Usage::default() };
        assert_eq!(prices().cost(&usage), NanoUsd(u64::MAX));
    }

    prop_compose! {
        fn any_prices()(
            own in any::<[Option<u16>; 6]>(), plain in any::<[u16; 4]>(), above in proptest::option::of(0u64..1000),
        ) -> Prices {
            let price = |k: usize| own[k].map(u64::from);
            Prices {
                input_pico_usd_per_token: plain[0].into(),
                cached_input_pico_usd_per_token: price(0),
                cache_write_pico_usd_per_token: price(1),
                long_cache_write_pico_usd_per_token: price(2),
                output_pico_usd_per_token: plain[1].into(),
                long_context: above.map(|above_input_tokens| LongContext {
                    above_input_tokens,
                    input_pico_usd_per_token: plain[2].into(),
                    cached_input_pico_usd_per_token: price(3),
                    cache_write_pico_usd_per_token: price(4),
                    long_cache_write_pico_usd_per_token: price(5),
                    output_pico_usd_per_token: plain[3].into(),
                }),
            }
        }
    }

    proptest! {
        #[test]
        fn more_tokens_never_cost_less(input in 0u64..1 << 40, output in 0u64..1 << 40, more in 0u64..1 << 20) {
            let usage = Usage { input_tokens: input, output_tokens: output, ..Usage::default() };
            let larger = Usage { input_tokens: input + more, output_tokens: output + more, ..usage };
            prop_assert!(prices().cost(&larger) >= prices().cost(&usage));
            prop_assert!(tiered().cost(&larger) >= tiered().cost(&usage));
        }

        #[test]
        fn no_usage_costs_more_than_the_upper_cost_of_as_many_tokens(
            prices in any_prices(), counts in any::<[u16; 5]>(), more in any::<[u16; 2]>(),
        ) {
            let [input_tokens, cached_input_tokens, cache_write_tokens, long_cache_write_tokens, output_tokens] =
                counts.map(|count| u64::from(count) % 2000);
            let usage = Usage {
                input_tokens, cached_input_tokens, cache_write_tokens, long_cache_write_tokens, output_tokens,
                reasoning_tokens: 0,
            };
            let [more_input, more_output] = more.map(|more| u64::from(more) % 100);
            let upper = prices.upper_cost(input_tokens + more_input, output_tokens + more_output);
            prop_assert!(prices.cost(&usage) <= upper);
        }
    }
}
