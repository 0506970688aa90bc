//! The action mask: which models this turn may use at all.
//!
//! A model is allowed when the conversation permits it, it can take the request ([`Candidates`]), the money that is free
//! now (budget − spent − reserved by turns in flight) covers its least cost, and the prompt fits its context. The policy
//! never sees a model that the mask removed, so no weight can overspend a budget.
//!
//! **Guard.** Where a reserve for the turns to come is configured ([`future_reserve`]), every model but the cheapest
//! must leave that reserve free: the session can then go on with the cheapest model when a stronger one has answered.
//! Nor may its reservation use the reserve: where answers can be cut, a stronger model's answer is cut at the rest.

use crate::MAX_MODELS;
use crate::config::{GuardConfig, ModelConfig};
use crate::decide::capable::Candidates;
use crate::decide::estimate::{self, CostEstimate, TokenEstimate};
use crate::ledger::SessionView;
use crate::money::NanoUsd;
use crate::usage::Usage;

/// Which models are allowed, by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionMask {
    allowed: [bool; MAX_MODELS],
    len: usize,
}

impl ActionMask {
    /// The mask for these estimates when `available` may still be reserved and every model but the cheapest must
    /// leave `reserve` of it.
    #[must_use]
    pub fn new(estimates: &[CostEstimate], available: NanoUsd, reserve: NanoUsd) -> Self {
        Self::among(estimates, Candidates::all(), available, reserve)
    }

    /// The mask among the models that the conversation permits and that can take the request.
    #[must_use]
    pub fn among(
        estimates: &[CostEstimate],
        candidates: Candidates,
        available: NanoUsd,
        reserve: NanoUsd,
    ) -> Self {
        let mut mask = ActionMask { len: estimates.len().min(MAX_MODELS), ..ActionMask::default() };
        let cheapest = cheapest(estimates, candidates);
        for (k, (allowed, estimate)) in mask.allowed.iter_mut().zip(estimates).enumerate() {
            let to_leave = to_leave(k, cheapest, reserve);
            let affordable = estimate.least.saturating_add(to_leave) <= available;
            *allowed = candidates.allows(k) && estimate.fits_context && affordable;
        }
        mask
    }

    /// This model alone.
    #[must_use]
    pub fn only(k: usize, models: usize) -> Self {
        let mut mask = ActionMask { len: models.min(MAX_MODELS), ..ActionMask::default() };
        mask.allowed.iter_mut().enumerate().for_each(|(at, allowed)| *allowed = at == k);
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

/// The model that is cheapest this turn among the candidates whose context fits.
#[must_use]
pub fn cheapest(estimates: &[CostEstimate], candidates: Candidates) -> Option<usize> {
    let fitting = estimates.iter().enumerate();
    let fitting = fitting.filter(|(k, estimate)| estimate.fits_context && candidates.allows(*k));
    fitting.min_by_key(|(_, estimate)| estimate.least).map(|(k, _)| k)
}

/// What model `k` must leave free: nothing where it is the [`cheapest`], else the reserve.
#[must_use]
pub fn to_leave(k: usize, cheapest: Option<usize>, reserve: NanoUsd) -> NanoUsd {
    if Some(k) == cheapest { NanoUsd::ZERO } else { reserve }
}

/// What the turns to come would cost at the cheapest model, if as many come as the guard's table says.
///
/// The prompt is expected to grow by the session's mean growth per turn, so n turns cost
/// `n · turn + price · growth · n(n+1)/2`.
#[must_use]
pub fn future_reserve(
    guard: &GuardConfig,
    models: &[ModelConfig],
    estimates: &[CostEstimate],
    candidates: Candidates,
    tokens: &TokenEstimate,
    session: &SessionView,
) -> NanoUsd {
    let turns_left = guard.remaining_turns_after(session.turns);
    let Some(model) =
        cheapest(estimates, candidates).and_then(|k| models.get(k)).filter(|_| turns_left > 0.0)
    else {
        return NanoUsd::ZERO;
    };
    let output_tokens = estimate::expected_output_tokens(model, session);
    let growth_tokens = tokens.prompt_tokens as f64 / (f64::from(session.turns) + 1.0);
    let price = |usage| model.prices.cost(&usage).0 as f64;
    let turn = price(Usage { input_tokens: tokens.prompt_tokens, output_tokens, ..Usage::default() });
    let growth = growth_tokens * model.prices.input_pico_usd_per_token as f64 / 1000.0;
    let sum = turns_left * turn + growth * turns_left * (turns_left + 1.0) / 2.0;
    // `as` saturates: an absurd reserve allows the cheapest model only.
    NanoUsd(sum.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(least: u64, fits_context: bool) -> CostEstimate {
        CostEstimate {
            expected: NanoUsd(least / 2),
            least: NanoUsd(least),
            upper: NanoUsd(2 * least),
            fits_context,
        }
    }

    fn allowed(estimates: &[CostEstimate], available: u64, reserve: u64) -> Vec<bool> {
        ActionMask::new(estimates, NanoUsd(available), NanoUsd(reserve)).as_slice().to_vec()
    }

    #[test]
    fn a_model_is_allowed_when_its_least_cost_is_covered_to_the_last_nano() {
        let estimates = [estimate(10, true), estimate(11, true)];
        assert_eq!(allowed(&estimates, 10, 0), [true, false]);
        assert_eq!(allowed(&estimates, 9, 0), [false, false]);
    }

    #[test]
    fn a_model_whose_context_is_too_short_is_not_allowed() {
        assert_eq!(allowed(&[estimate(1, false)], 10, 0), [false]);
    }

    #[test]
    fn every_model_but_the_cheapest_leaves_the_reserve() {
        let estimates = [estimate(10, true), estimate(3, true), estimate(1, false)];
        assert_eq!(allowed(&estimates, 14, 5), [false, true, false]);
        assert_eq!(allowed(&estimates, 15, 5), [true, true, false]);
        assert_eq!(allowed(&estimates, 3, 5), [false, true, false]);
    }

    #[test]
    fn the_reserve_pays_for_the_turns_to_come_with_their_growing_prompts() {
        let config = crate::config::Config::from_json(crate::config::tests::example().to_string().as_bytes());
        let models = config.unwrap().models;
        let estimates = [estimate(1, true), estimate(30, true)];
        let tokens =
            TokenEstimate { prompt_tokens: 300, upper_prompt_tokens: 400, ..TokenEstimate::default() };
        let session = SessionView { turns: 2, output_tokens: 200, ..SessionView::default() };
        let guard = GuardConfig { remaining_turns: vec![9.0, 9.0, 2.0] };
        // A turn is 300 × 100 + 100 × 400 pico-USD·1000; the prompt grows by 100 tokens, once and then twice.
        let expected = 2 * (300 * 100 + 100 * 400) + 3 * 100 * 100;
        assert_eq!(
            future_reserve(&guard, &models, &estimates, Candidates::all(), &tokens, &session),
            NanoUsd(expected)
        );
        assert_eq!(
            future_reserve(
                &GuardConfig::default(),
                &models,
                &estimates,
                Candidates::all(),
                &tokens,
                &session
            ),
            NanoUsd::ZERO
        );
    }
}
