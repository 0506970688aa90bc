//! Intervals by bootstrap over sessions (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, percentile
//! method).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The value on all sessions.
    pub value: f64,
    /// 2.5 % quantile of the resamples.
    pub low: f64,
    /// 97.5 % quantile of the resamples.
    pub high: f64,
}

/// Resampled session indices, drawn once, so that all comparisons are paired.
#[derive(Clone, Debug)]
pub struct Resamples {
    draws: Vec<Vec<u32>>,
}

impl Resamples {
    /// Draws `count` resamples of `sessions` sessions.
    #[must_use]
    pub fn draw(sessions: usize, count: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let last = u32::try_from(sessions).unwrap_or(u32::MAX);
        let mut one = || (0..sessions).map(|_| rng.random_range(0..last)).collect();
        Resamples { draws: (0..count).map(|_| one()).collect() }
    }

    /// Σ numerators / Σ denominators (both by session), with its interval.
    #[must_use]
    pub fn ratio(&self, numerators: &[f64], denominators: &[f64]) -> Interval {
        let divide = |(above, below): (f64, f64)| if below > 0.0 { above / below } else { 0.0 };
        let value = divide((numerators.iter().sum(), denominators.iter().sum()));
        let ratio = |draw: &Vec<u32>| {
            divide(draw.iter().fold((0.0, 0.0), |(above, below), session| {
                let session = *session as usize;
                (above + numerators[session], below + denominators[session])
            }))
        };
        let mut ratios: Vec<f64> = self.draws.iter().map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let at = (share * ratios.len().saturating_sub(1) as f64).round() as usize;
            ratios.get(at).copied().unwrap_or(value)
        };
        Interval { value, low: quantile(0.025), high: quantile(0.975) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_value_and_has_the_known_width() {
        // 400 sessions of 0 or 1: standard error ½ / √400 = 0.025, interval ± 0.049.
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let found = Resamples::draw(400, 2000, 1).ratio(&values, &vec![1.0; 400]);
        assert_eq!(found.value, 0.5);
        assert!((found.high - found.low - 0.098).abs() < 0.01, "{found:?}");
    }
}
