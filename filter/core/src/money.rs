//! Money without floating point.
//!
//! Amounts are integer nano-USD (10⁻⁹ USD); [`crate::prices`] turns tokens into them. Arithmetic saturates: an absurd
//! amount becomes an unaffordable one, never a small one.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount of money in nano-USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub u64);

const NANO_PER_USD: u64 = 1_000_000_000;
/// Digits of a whole USD in nano-USD.
const DECIMALS: usize = 9;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn printing_and_reading_an_amount_is_the_identity(nano in any::<u64>()) {
            prop_assert_eq!(NanoUsd::parse_usd(&NanoUsd(nano).to_string()), Ok(NanoUsd(nano)));
        }
    }
}
