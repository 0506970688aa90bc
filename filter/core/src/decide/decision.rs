//! The choice of a model for one turn, without a ledger: pure, so the trainer and the filter share it.
//!
//! As money runs short, a turn gets, in this order: the model that the policy prefers among those that the mask allows,
//! and so cheaper models; then, where answers may be cut and `budget.shortest_output_tokens` is set, the cheapest
//! permitted model with an answer cut at the money left; then nothing, and the request is refused.

use crate::body::text::TextFeatures;
use crate::body::wants::Wants;
use crate::config::{ApiName, Config, LambdaRule, Strategy};
use crate::decide::capable::Candidates;
use crate::decide::estimate::{self, CachedPrefix, CostEstimate, RequestSize, TokenEstimate};
use crate::decide::features::{self, Features};
use crate::decide::locks::{Needs, Permitted};
use crate::decide::mask::{self, ActionMask};
use crate::decide::reason::Reason;
use crate::decide::rule::{self, QValues};
use crate::ledger::SessionView;
use crate::money::NanoUsd;

/// A decision and everything it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Index of the chosen model; `None` when none is allowed.
    pub chosen: Option<usize>,
    /// Why it was chosen; `None` when none is allowed.
    pub reason: Option<Reason>,
    /// The state that a policy sees.
    pub features: Features,
    /// Text features of the last user message; also part of the state.
    pub text: TextFeatures,
    /// The models that the conversation permits and that can take the request.
    pub candidates: Candidates,
    /// The models that were allowed.
    pub mask: ActionMask,
    /// The policy's values, if it was asked.
    pub values: Option<QValues>,
    /// Estimated tokens of the request.
    pub tokens: TokenEstimate,
    /// Estimated cost per model.
    pub estimates: Vec<CostEstimate>,
    /// Money that a turn with the chosen model reserves: its upper cost, or what it may hold of what is free where
    /// answers can be cut.
    pub reserved: NanoUsd,
    /// Output tokens at which the chosen model's answer must be cut to cost no more than `reserved`; `None` where
    /// it need not be, or cannot.
    pub output_cap_tokens: Option<u64>,
}

/// What a request asks for, as far as a decision depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Length and output limits.
    pub size: RequestSize,
    /// Capabilities and locks.
    pub needs: Needs,
    /// The API that was called; `None` where no request stands behind the question, as in simulations.
    pub api: Option<ApiName>,
    /// What the request asks of its model's abilities.
    pub wants: Wants,
    /// Text features of the last user message.
    pub text: TextFeatures,
    /// The answer can be cut at what its reservation pays for.
    pub can_cut: bool,
}

/// Chooses a model for a request of a session.
#[derive(Clone, Copy, Debug)]
pub struct Chooser<'a> {
    /// Models, strategy, prices and rules.
    pub config: &'a Config,
    /// The session before the turn.
    pub session: &'a SessionView,
    /// The request.
    pub ask: &'a Ask,
    /// λ of the turn.
    pub lambda: f32,
}

impl Chooser<'_> {
    /// Chooses a model. `values` evaluates the policy on a state; it returns `None` without a policy and when the policy fails.
    #[must_use]
    pub fn decide(&self, values: impl FnOnce(&[f32]) -> Option<QValues>) -> Decision {
        let Chooser { config, session, ask, lambda } = *self;
        let models = &config.models;
        let tokens = TokenEstimate::new(&config.estimate, &ask.size, session);
        let estimates = self.estimates(&tokens);
        let permitted = Permitted::new(models, ask.needs, session);
        let candidates = Candidates::new(permitted, models, ask.api, &ask.wants);
        let reserve = mask::future_reserve(&config.guard, models, &estimates, candidates, &tokens, session);
        let mask = ActionMask::among(&estimates, candidates, session.available(), reserve);
        // Only values for the spend to go depend on λ: the other rule charges λ itself.
        let seen_lambda = if config.lambda.rule == LambdaRule::SpendToGo { lambda } else { 0.0 };
        let features = features::extract(session, &tokens, &estimates, &mask, &ask.text, seen_lambda);
        let values = values(features.as_slice());
        let mut decision = Decision {
            chosen: None,
            reason: None,
            features,
            text: ask.text,
            candidates,
            mask,
            values,
            tokens,
            estimates,
            reserved: NanoUsd::ZERO,
            output_cap_tokens: None,
        };
        let choice = self.prefer(&decision).or_else(|| {
            let k = self.shortened(&decision).filter(|_| ask.can_cut)?;
            decision.mask = ActionMask::only(k, models.len());
            Some((k, Reason::Shortened))
        });
        if let Some((k, reason)) = choice {
            (decision.chosen, decision.reason) = (Some(k), Some(reason));
            let to_leave = mask::to_leave(k, mask::cheapest(&decision.estimates, candidates), reserve);
            (decision.reserved, decision.output_cap_tokens) = self.cap_for(k, &decision.tokens, to_leave);
        }
        decision
    }

    /// The money that a turn with model `k` reserves where the conversation permits every model, and the output tokens
    /// at which its answer must be cut to cost no more.
    #[must_use]
    pub fn reservation(&self, k: usize, tokens: &TokenEstimate) -> (NanoUsd, Option<u64>) {
        let (models, guard) = (&self.config.models, &self.config.guard);
        let mut to_leave = NanoUsd::ZERO;
        if !guard.remaining_turns.is_empty() {
            let (estimates, all) = (self.estimates(tokens), Candidates::all());
            let reserve = mask::future_reserve(guard, models, &estimates, all, tokens, self.session);
            to_leave = mask::to_leave(k, mask::cheapest(&estimates, all), reserve);
        }
        self.cap_for(k, tokens, to_leave)
    }

    fn estimates(&self, tokens: &TokenEstimate) -> Vec<CostEstimate> {
        (0..self.config.models.len()).filter_map(|k| self.cost(k, tokens)).collect()
    }

    fn cost(&self, k: usize, tokens: &TokenEstimate) -> Option<CostEstimate> {
        let model = self.config.models.get(k)?;
        Some(estimate::cost_with_cache(model, tokens, self.session, self.ask.can_cut, self.cached(k)))
    }

    /// What model `k` has cached of the conversation.
    fn cached(&self, k: usize) -> CachedPrefix {
        CachedPrefix::of(&self.config.estimate, self.session, k)
    }

    /// The allowed model that the strategy or the policy prefers, and why.
    fn prefer(&self, decision: &Decision) -> Option<(usize, Reason)> {
        let Decision { mask, estimates, values, .. } = decision;
        let fallback = || rule::cheapest(mask, &self.config.models).map(|k| (k, Reason::Fallback));
        match (&self.config.strategy, values) {
            (Strategy::Always(name), _) => {
                let fixed = self.config.models.iter().position(|model| model.name == *name);
                fixed.filter(|k| mask.allows(*k)).map(|k| (k, Reason::Strategy))
            }
            (Strategy::BestAffordable, _) => {
                rule::most_expensive(mask, &self.config.models).map(|k| (k, Reason::Strategy))
            }
            (Strategy::Policy, Some(values)) => {
                let (budget, lambda, rule) = (self.session.budget, self.lambda, self.config.lambda.rule);
                let score = |k| rule::score(k, values, estimates, budget, lambda, rule);
                match rule::best(values, mask, estimates, budget, lambda, rule) {
                    None => fallback(),
                    Some(best) => match self.stays(best, decision, score) {
                        Some(last) => Some((last, Reason::CacheKept)),
                        None => Some((best, Reason::Policy)),
                    },
                }
            }
            (Strategy::Policy, None) => fallback(),
        }
    }

    /// The last model, if a switch to `best` gains less than `switching.cache_margin` demands for the discount on the
    /// cached prefix that it gives up.
    fn stays(&self, best: usize, decision: &Decision, score: impl Fn(usize) -> Option<f32>) -> Option<usize> {
        let Chooser { config, session, .. } = *self;
        let last = session.last_model.map(usize::from).filter(|last| *last != best)?;
        let prices = config.models.get(last).filter(|_| decision.mask.allows(last))?.prices;
        let margin = config.switching.cache_margin;
        let cached = estimate::cached_prefix_tokens(&config.estimate, session, last);
        let price = prices.input_pico_usd_per_token;
        let discount_pico = price.saturating_sub(prices.cached_input_pico_usd_per_token.unwrap_or(price));
        let lost_nano = cached.min(decision.tokens.prompt_tokens) as f64 * discount_pico as f64 / 1000.0;
        let lost_share = lost_nano / session.budget.0.max(1) as f64;
        let gain = f64::from(score(best)? - score(last)?);
        (margin > 0.0 && gain < f64::from(margin) * lost_share).then_some(last)
    }

    /// The cheapest permitted model, if the money left pays for its shortest answer.
    fn shortened(&self, decision: &Decision) -> Option<usize> {
        let shortest = self.config.budget.shortest_output_tokens?;
        let models = &self.config.models;
        let strategy = match &self.config.strategy {
            Strategy::Always(name) => Some(models.iter().position(|model| model.name == *name)?),
            Strategy::Policy | Strategy::BestAffordable => None,
        };
        let k = strategy.or_else(|| mask::cheapest(&decision.estimates, decision.candidates))?;
        let (model, estimate) = (models.get(k)?, decision.estimates.get(k)?);
        let wanted = decision.tokens.max_output_tokens.map_or(shortest, |limit| limit.min(shortest));
        let wanted = wanted.max(decision.tokens.least_output_of(model));
        let least = self.cached(k).upper_cost(model, &decision.tokens, wanted);
        let able = decision.candidates.allows(k) && estimate.fits_context;
        (able && least <= self.session.available()).then_some(k)
    }

    /// The money that a turn with model `k` reserves when it must leave `to_leave`, and the output tokens at which its
    /// answer must be cut to cost no more.
    fn cap_for(&self, k: usize, tokens: &TokenEstimate, to_leave: NanoUsd) -> (NanoUsd, Option<u64>) {
        let Some((model, estimate)) = self.config.models.get(k).zip(self.cost(k, tokens)) else {
            return (NanoUsd::ZERO, None);
        };
        if !self.ask.can_cut {
            return (estimate.upper, None);
        }
        let free = self.session.available();
        let most = free.saturating_sub(to_leave).min(self.share_of_session()).min(self.share_of_tenant());
        // The least cost is held in any case: a model was only allowed if the reserve fits next to it.
        let reserved = estimate.upper.min(most).max(estimate.least.min(free));
        let cap = estimate::affordable_output_tokens(model, tokens, self.cached(k), reserved);
        let can_write = tokens.most_output_tokens(model);
        let needed = match tokens.max_output_tokens {
            None => can_write > cap || !tokens.is_unlimited,
            Some(limit) => can_write > cap || limit > model.most_output_tokens(tokens.answers),
        };
        (reserved, needed.then_some(cap.min(can_write)))
    }

    /// What a turn may hold beyond its least cost, so that the turns beside it find money.
    fn share_of_session(&self) -> NanoUsd {
        let free = self.session.available().0 as f64;
        NanoUsd((free * self.config.budget.turn_share) as u64)
    }

    /// What a turn may hold beyond its least cost, so that the limit of one session's requests does not lock a tenant's
    /// money: half of what the tenant would have free without this session's turns in flight.
    fn share_of_tenant(&self) -> NanoUsd {
        let SessionView { outer_available, outstanding, .. } = *self.session;
        outer_available.map_or(NanoUsd(u64::MAX), |outer| {
            NanoUsd(outer.saturating_add(outstanding).0 / 2).saturating_sub(outstanding)
        })
    }
}
