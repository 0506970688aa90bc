//! Money without floating point.
//!
//! Amounts are integer nano-USD (10⁻⁹ USD), prices integer pico-USD (10⁻¹² USD) per token. One USD per million
//! tokens is 1,000,000 pico-USD per token. A cost is rounded up to the next nano-USD, so that the sum of all
//! charges is never below what a provider bills at these prices. Arithmetic saturates: an absurd token count
//! becomes an unaffordable amount, never a small one.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::usage::Usage;

/// An amount of money in nano-USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub u64);

const NANO_PER_USD: u64 = 1_000_000_000;
/// Digits of a whole USD in nano-USD.
const DECIMALS: usize = 9;
const PICO_PER_NANO: u128 = 1_000;

impl NanoUsd {
    /// No money.
    pub const ZERO: NanoUsd = NanoUsd(0);

    /// Sum, capped at the largest amount.
    #[must_use]
    pub fn saturating_add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_add(other.0))
    }

    /// Difference, never below zero.
    #[must_use]
    pub fn saturating_sub(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_sub(other.0))
    }

    /// The amount in USD, for reports and features (not for bookkeeping).
    #[must_use]
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / NANO_PER_USD as f64
    }

    /// Reads a plain decimal number of USD such as `0.25` or `12`, exactly.
    ///
    /// # Errors
    /// Anything else: a sign, an exponent, more than nine decimals, `NaN`, or an amount over 2⁶⁴ nano-USD.
    pub fn parse_usd(text: &str) -> Result<NanoUsd, MoneyError> {
        let error = || MoneyError { found: text.chars().take(32).collect() };
        let text = text.trim();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && decimals.is_empty()
            || !digits(whole)
            || !digits(decimals)
            || decimals.len() > DECIMALS
        {
            return Err(error());
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| error())? };
        let padded = decimals.bytes().chain(std::iter::repeat(b'0')).take(DECIMALS);
        let nano = padded.fold(0, |nano: u64, digit| {
            nano.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
        });
        whole
            .checked_mul(NANO_PER_USD)
            .and_then(|amount| amount.checked_add(nano))
            .map(NanoUsd)
            .ok_or_else(error)
    }
}

impl fmt::Display for NanoUsd {
    /// Decimal USD with the trailing zeros cut: `0.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.checked_div(NANO_PER_USD).unwrap_or(0);
        let mut nano = self.0.checked_rem(NANO_PER_USD).unwrap_or(0);
        let mut digits = [b'0'; DECIMALS];
        for digit in digits.iter_mut().rev() {
            *digit = digit.saturating_add((nano % 10) as u8);
            nano /= 10;
        }
        let decimals = std::str::from_utf8(&digits).map_err(|_| fmt::Error)?;
        whole.fmt(f)?;
        match decimals.trim_end_matches('0') {
            "" => Ok(()),
            decimals => {
                f.write_str(".")?;
                f.write_str(decimals)
            }
        }
    }
}

/// A text that is not an amount of USD.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found `{found}`, expected a plain decimal number of USD with at most nine decimals, such as `0.25`")]
pub struct MoneyError {
    /// The first characters of what was found.
    pub found: String,
}

/// The prices of one model, each in pico-USD per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Output tokens, reasoning included.
    pub output_pico_usd_per_token: u64,
}

impl Prices {
    /// The most that so many tokens can cost, however the provider's prompt cache treats them: a provider may write
    /// all of the input to its cache, and charge more for that.
    #[must_use]
    pub fn upper_cost(&self, input_tokens: u64, output_tokens: u64) -> NanoUsd {
        let costs_more =
            self.cache_write_pico_usd_per_token.is_some_and(|w| w > self.input_pico_usd_per_token);
        let cache_write_tokens = if costs_more { input_tokens } else { 0 };
        self.cost(&Usage { input_tokens, cache_write_tokens, output_tokens, ..Usage::default() })
    }

    /// What `usage` costs, rounded up to the next nano-USD.
    ///
    /// Token counts follow the inclusive convention (see [`Usage`]): the cached parts are subsets of the input.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let written = usage.cache_write_tokens.min(usage.input_tokens.saturating_sub(cached));
        let plain = usage.input_tokens.saturating_sub(cached).saturating_sub(written);
        let input = self.input_pico_usd_per_token;
        let parts = [
            (plain, input),
            (cached, self.cached_input_pico_usd_per_token.unwrap_or(input)),
            (written, self.cache_write_pico_usd_per_token.unwrap_or(input)),
            (usage.output_tokens, self.output_pico_usd_per_token),
        ];
        // A product of two 64-bit numbers fits 128 bits; to check it costs three more products in Wasm.
        let pico = parts.iter().fold(0u128, |sum, &(tokens, price)| {
            sum.saturating_add(u128::from(tokens).wrapping_mul(u128::from(price)))
        });
        NanoUsd(u64::try_from(pico.div_ceil(PICO_PER_NANO)).unwrap_or(u64::MAX))
    }
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
        }
    }

    #[test]
    fn a_decimal_amount_is_read_exactly() {
        assert_eq!(NanoUsd::parse_usd("0.25"), Ok(NanoUsd(250_000_000)));
        assert_eq!(NanoUsd::parse_usd(" 12 "), Ok(NanoUsd(12_000_000_000)));
        assert_eq!(NanoUsd::parse_usd(".000000001"), Ok(NanoUsd(1)));
    }

    #[test]
    fn a_text_that_is_not_a_plain_amount_is_refused() {
        for text in
            ["", ".", "-1", "+1", "NaN", "inf", "1e3", "0.0000000001", "1,5", "0x10", "99999999999999999999"]
        {
            assert!(NanoUsd::parse_usd(text).is_err(), "{text}");
        }
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
    }

    #[test]
    fn the_upper_cost_assumes_that_all_input_is_written_to_a_more_expensive_cache() {
        assert_eq!(prices().upper_cost(1000, 10), NanoUsd(3_750_000 + 150_000));
        let cheap = Prices { cache_write_pico_usd_per_token: None, ..prices() };
        assert_eq!(cheap.upper_cost(1000, 10), NanoUsd(3_000_000 + 150_000));
    }

    #[test]
    fn an_absurd_count_is_unaffordable_not_small() {
        let usage = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX, ..Usage::default() };
        assert_eq!(prices().cost(&usage), NanoUsd(u64::MAX));
    }

    proptest! {
        #[test]
        fn printing_and_reading_an_amount_is_the_identity(nano in any::<u64>()) {
            prop_assert_eq!(NanoUsd::parse_usd(&NanoUsd(nano).to_string()), Ok(NanoUsd(nano)));
        }

        #[test]
        fn more_tokens_never_cost_less(input in 0u64..1 << 40, output in 0u64..1 << 40, more in 0u64..1 << 20) {
            let usage = Usage { input_tokens: input, output_tokens: output, ..Usage::default() };
            let larger = Usage { input_tokens: input + more, output_tokens: output + more, ..usage };
            prop_assert!(prices().cost(&larger) >= prices().cost(&usage));
        }
    }
}
