//! The choice of a model for one turn, without a ledger: pure, so the trainer and the filter share it.
//!
//! The ladder when money runs short, top to bottom: the model that the policy prefers among those the mask allows;
//! so cheaper ones as the money goes; then, where answers may be cut and `budget.shortest_output_tokens` is set, the
//! cheapest permitted model with an answer cut at what is left; then nothing, and the request is refused.

use super::{Arm, Engine};
use crate::config::{LambdaRule, Strategy};
use crate::decide::rule::{self, QValues};
use crate::decide::estimate::{self, CostEstimate, RequestSize, TokenEstimate};
use crate::decide::features::{self, Features};
use crate::ledger::SessionView;
use crate::decide::locks::{Needs, Permitted};
use crate::decide::mask::{self, ActionMask};
use crate::money::NanoUsd;
use crate::body::text::TextFeatures;

/// A decision and everything it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Index of the chosen model; `None` when none is allowed.
    pub chosen: Option<usize>,
    /// `policy`, `strategy`, `cache_kept`, `shortened`, `fallback`, or `none`.
    pub reason: &'static str,
    /// The state.
    pub features: Features,
    /// What was counted in the last user message; also part of the state.
    pub text: TextFeatures,
    /// What the conversation permits.
    pub permitted: Permitted,
    /// Which models were allowed.
    pub mask: ActionMask,
    /// The policy's values, if it was asked.
    pub values: Option<QValues>,
    /// Estimated tokens of the request.
    pub tokens: TokenEstimate,
    /// Estimated cost per model.
    pub estimates: Vec<CostEstimate>,
    /// What a turn with the chosen model reserves: its upper cost, or all that is free where answers can be cut.
    pub reserved: NanoUsd,
    /// Output tokens at which the chosen model's answer must be cut to cost no more than `reserved`; `None` where
    /// it need not be, or cannot.
    pub output_cap_tokens: Option<u64>,
}

/// What a request asks for, as far as a decision depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) size: RequestSize,
    pub(super) needs: Needs,
    /// What was counted in the last user message.
    pub(super) text: TextFeatures,
    /// The answer can be cut at what its reservation pays.
    pub(super) can_cut: bool,
}

impl Engine {
    /// Chooses a model for one turn. Pure: the same session, size, text and λ give the same decision.
    #[must_use]
    pub fn decide(
        &self,
        session: &SessionView,
        size: &RequestSize,
        text: &TextFeatures,
        lambda: f32,
    ) -> Decision {
        let can_cut = self.config.can_cut_answers();
        let ask = Ask { size: *size, needs: Needs::default(), text: *text, can_cut };
        self.decide_by(&self.main, session, &ask, lambda)
    }

    /// The same by one of the two arms, for all that a request asks for.
    pub(super) fn decide_by(&self, arm: &Arm, session: &SessionView, ask: &Ask, lambda: f32) -> Decision {
        let models = &self.config.models;
        let tokens = TokenEstimate::new(&self.config.estimate, &ask.size, session);
        let cost = |k| self.cost(k, &tokens, session, ask.can_cut);
        let estimates: Vec<_> = (0..models.len()).filter_map(cost).collect();
        let permitted = Permitted::new(models, ask.needs, session);
        let reserve = mask::reserve(&self.config.guard, models, &estimates, permitted, &tokens, session);
        let mask = ActionMask::among(&estimates, permitted, session.available(), reserve);
        // Only values for the spend to go depend on λ: the other rule charges λ itself.
        let seen_lambda = if self.config.lambda.rule == LambdaRule::SpendToGo { lambda } else { 0.0 };
        let features = features::extract(session, &tokens, &estimates, &mask, &ask.text, seen_lambda);
        let values = arm.policy.as_ref().map(|policy| policy.values(features.as_slice()));
        let values = values.and_then(Result::ok);
        let (reserved, output_cap_tokens) = (NanoUsd::ZERO, None);
        let (chosen, reason) = (None, "none");
        let mut decision = Decision {
            chosen,
            reason,
            features,
            text: ask.text,
            permitted,
            mask,
            values,
            tokens,
            estimates,
            reserved,
            output_cap_tokens,
        };
        let preferred = self.prefer(&decision, session, lambda);
        let choice = preferred.or_else(|| {
            let k = self.shortened(&decision, session).filter(|_| ask.can_cut)?;
            decision.mask = ActionMask::only(k, models.len());
            Some((k, "shortened"))
        });
        if let Some((k, reason)) = choice {
            (decision.chosen, decision.reason) = (Some(k), reason);
            let to_leave = mask::to_leave(k, mask::cheapest(&decision.estimates, permitted), reserve);
            (decision.reserved, decision.output_cap_tokens) =
                self.hold(k, session, &decision.tokens, ask.can_cut, to_leave);
        }
        decision
    }

    /// The allowed model that the strategy or the policy prefers, and why.
    fn prefer(
        &self,
        decision: &Decision,
        session: &SessionView,
        lambda: f32,
    ) -> Option<(usize, &'static str)> {
        let Decision { mask, estimates, values, .. } = decision;
        match (&self.config.strategy, values) {
            (Strategy::Always(name), _) => {
                let fixed = self.config.models.iter().position(|model| model.name == *name);
                fixed.filter(|k| mask.allows(*k)).map(|k| (k, "strategy"))
            }
            (Strategy::BestAffordable, _) => decide::most_expensive(mask, estimates).map(|k| (k, "strategy")),
            (Strategy::Policy, Some(values)) => {
                let rule = self.config.lambda.rule;
                let score = |k| decide::score(k, values, estimates, session.budget, lambda, rule);
                let best = decide::best(values, mask, estimates, session.budget, lambda, rule);
                match best {
                    None => decide::cheapest(mask, estimates).map(|k| (k, "fallback")),
                    Some(best) => match self.stays(best, decision, session, score) {
                        Some(last) => Some((last, "cache_kept")),
                        None => Some((best, "policy")),
                    },
                }
            }
            (Strategy::Policy, None) => decide::cheapest(mask, estimates).map(|k| (k, "fallback")),
        }
    }

    /// The last model, if a switch to `best` gains less than `switching.cache_margin` asks for the discount on the
    /// cached prefix that it gives up.
    fn stays(
        &self,
        best: usize,
        decision: &Decision,
        session: &SessionView,
        score: impl Fn(usize) -> Option<f32>,
    ) -> Option<usize> {
        let last = session.last_model.map(usize::from).filter(|last| *last != best)?;
        let prices = self.model(last).filter(|_| decision.mask.allows(last))?.prices;
        let margin = self.config.switching.cache_margin;
        let cached = estimate::cached_prefix_tokens(&self.config.estimate, session, last);
        let price = prices.input_pico_usd_per_token;
        let discount_pico = price.saturating_sub(prices.cached_input_pico_usd_per_token.unwrap_or(price));
        let lost_nano = cached.min(decision.tokens.prompt_tokens) as f64 * discount_pico as f64 / 1000.0;
        let lost_share = lost_nano / session.budget.0.max(1) as f64;
        let gain = f64::from(score(best)? - score(last)?);
        (margin > 0.0 && gain < f64::from(margin) * lost_share).then_some(last)
    }

    /// The cheapest permitted model, if what is left pays for its shortest answer.
    fn shortened(&self, decision: &Decision, session: &SessionView) -> Option<usize> {
        let shortest = self.config.budget.shortest_output_tokens?;
        let strategy = match &self.config.strategy {
            Strategy::Always(name) => Some(self.config.models.iter().position(|model| model.name == *name)?),
            Strategy::Policy | Strategy::BestAffordable => None,
        };
        let k = strategy.or_else(|| mask::cheapest(&decision.estimates, decision.permitted))?;
        let (model, estimate) = (self.model(k)?, decision.estimates.get(k)?);
        let wanted = decision.tokens.max_output_tokens.map_or(shortest, |limit| limit.min(shortest));
        let wanted = wanted.max(decision.tokens.least_output_tokens);
        let least = model.prices.upper_cost(decision.tokens.upper_prompt_tokens, wanted);
        let able = decision.permitted.allows(k) && estimate.fits_context;
        (able && least <= session.available()).then_some(k)
    }

    fn cost(
        &self,
        k: usize,
        tokens: &TokenEstimate,
        session: &SessionView,
        can_cut: bool,
    ) -> Option<CostEstimate> {
        let cached = estimate::cached_prefix_tokens(&self.config.estimate, session, k);
        Some(estimate::cost_with_cache(self.model(k)?, tokens, session, can_cut, cached))
    }

    /// What a turn with model `k` reserves, and where its answer must be cut to cost no more, where the conversation
    /// permits every model.
    #[must_use]
    pub fn reservation(
        &self,
        k: usize,
        session: &SessionView,
        tokens: &TokenEstimate,
    ) -> (NanoUsd, Option<u64>) {
        let (models, guard) = (&self.config.models, &self.config.guard);
        let can_cut = self.config.can_cut_answers();
        let mut to_leave = NanoUsd::ZERO;
        if !guard.remaining_turns.is_empty() {
            let estimates = (0..models.len()).filter_map(|k| self.cost(k, tokens, session, can_cut));
            let estimates: Vec<_> = estimates.collect();
            let reserve = mask::reserve(guard, models, &estimates, Permitted::all(), tokens, session);
            to_leave = mask::to_leave(k, mask::cheapest(&estimates, Permitted::all()), reserve);
        }
        self.hold(k, session, tokens, can_cut, to_leave)
    }

    fn hold(
        &self,
        k: usize,
        session: &SessionView,
        tokens: &TokenEstimate,
        can_cut: bool,
        to_leave: NanoUsd,
    ) -> (NanoUsd, Option<u64>) {
        let Some((model, estimate)) = self.model(k).zip(self.cost(k, tokens, session, can_cut)) else {
            return (NanoUsd::ZERO, None);
        };
        if !can_cut {
            return (estimate.upper, None);
        }
        let free = session.available();
        // The least cost is held in any case: whoever was allowed left the reserve beside it.
        let reserved = estimate.upper.min(free.saturating_sub(to_leave)).max(estimate.least.min(free));
        let cap = estimate::affordable_output_tokens(model, tokens, reserved);
        let needed = tokens.max_output_tokens.is_none_or(|limit| limit > cap);
        (reserved, needed.then_some(cap))
    }
}
