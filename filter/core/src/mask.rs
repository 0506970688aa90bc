//! The action mask: which models this turn may use at all.
//!
//! A model is allowed when the money that is free now (budget − spent − reserved by turns in flight) covers its
//! upper cost, and the prompt fits its context. The policy never sees a model that the mask removed, so no weight
//! can overspend a budget.

use crate::MAX_MODELS;
use crate::estimate::CostEstimate;
use crate::money::NanoUsd;

/// Which models are allowed, by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionMask {
    allowed: [bool; MAX_MODELS],
    len: usize,
}

impl ActionMask {
    /// The mask for these estimates when `available` may still be reserved.
    #[must_use]
    pub fn new(estimates: &[CostEstimate], available: NanoUsd) -> Self {
        let mut mask = ActionMask { len: estimates.len().min(MAX_MODELS), ..ActionMask::default() };
        for (allowed, estimate) in mask.allowed.iter_mut().zip(estimates) {
            *allowed = estimate.fits_context && estimate.upper <= available;
        }
        mask
    }

    /// Whether model `k` is allowed.
    #[must_use]
    pub fn allows(&self, k: usize) -> bool {
        self.as_slice().get(k).copied().unwrap_or(false)
    }

    /// The allowed models.
    pub fn allowed(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        (0..self.len).filter(|k| self.allows(*k))
    }

    /// One flag per model.
    #[must_use]
    pub fn as_slice(&self) -> &[bool] {
        self.allowed.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(upper: u64, fits_context: bool) -> CostEstimate {
        CostEstimate { expected: NanoUsd(upper / 2), upper: NanoUsd(upper), fits_context }
    }

    #[test]
    fn a_model_is_allowed_when_its_upper_cost_is_covered_to_the_last_nano() {
        let estimates = [estimate(10, true), estimate(11, true)];
        assert_eq!(ActionMask::new(&estimates, NanoUsd(10)).as_slice(), [true, false]);
        assert_eq!(ActionMask::new(&estimates, NanoUsd(9)).allowed().count(), 0);
    }

    #[test]
    fn a_model_whose_context_is_too_short_is_not_allowed() {
        assert_eq!(ActionMask::new(&[estimate(1, false)], NanoUsd(10)).as_slice(), [false]);
    }
}
