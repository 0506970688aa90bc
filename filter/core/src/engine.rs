//! One LLM request from its head to its record: features → mask → policy → reservation → record.
//!
//! The engine holds what a configuration fixes (models, policy, rules) and no state of its own: budgets live in the
//! [`SharedStore`], a turn's state in its [`Turn`]. The filter calls [`Engine::admit`] when it knows enough of a
//! request and [`Engine::conclude`] exactly once when the stream has ended, however it ended. The trainer calls
//! [`Engine::decide`], the same decision without a ledger.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::config::{Config, ConfigError, ModelConfig, OnError, Strategy};
use crate::counters::{Counter, Counts};
use crate::decide::{self, QValues};
use crate::estimate::{self, CostEstimate, RequestSize, TokenEstimate};
use crate::features::{self, Features};
use crate::ledger::store::SharedStore;
use crate::ledger::table::{Choice, LedgerError, SessionTable};
use crate::ledger::{Ending, SessionView, SettledTurn};
use crate::local_reply::{LocalReply, Refusal};
use crate::mask::{self, ActionMask};
use crate::money::NanoUsd;
use crate::policy::{Policy, PolicyError};
use crate::record::{DecisionRecord, RECORD_VERSION};
use crate::request::RequestHead;
use crate::scan::facts::BodyFacts;
use crate::session_id::SessionId;
use crate::usage::Usage;

/// Longest piece of a client's model name in records and replies.
const MAX_REQUESTED_MODEL_CHARS: usize = 64;

/// A configuration that cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The configuration itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// A checked configuration with its policy.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    policy: Option<Policy>,
    policy_id: String,
}

/// A decision and everything it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Index of the chosen model; `None` when none is allowed.
    pub chosen: Option<usize>,
    /// `policy`, `strategy`, `fallback`, or `none`.
    pub reason: &'static str,
    /// The state.
    pub features: Features,
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

/// A request that was decided on; it must be given to [`Engine::conclude`].
#[derive(Clone, Debug)]
pub struct Turn {
    model: Option<usize>,
    reservation: Option<(SessionId, u64)>,
    body_bytes: Option<u64>,
    record: DecisionRecord,
}

/// What the filter shall do with a request.
#[derive(Clone, Debug)]
pub enum Admission {
    /// Send it to this turn's model.
    Route(Box<Turn>),
    /// Answer it ourselves.
    Refuse(Box<Turn>, LocalReply),
}

/// What was seen of the answer when the stream ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status the client got; `None` when the stream ended before any response.
    pub status: Option<u32>,
    /// Usage read from the answer.
    pub usage: Option<Usage>,
    /// Output tokens guessed from what passed.
    pub guessed_output_tokens: u64,
}

impl Turn {
    /// Index of the chosen model.
    #[must_use]
    pub fn model(&self) -> Option<usize> {
        self.model
    }

    /// The record as far as it is known.
    #[must_use]
    pub fn record(&self) -> &DecisionRecord {
        &self.record
    }
}

impl Engine {
    /// Reads a configuration and opens its policy.
    ///
    /// # Errors
    /// [`EngineError`], one line; nothing of a bad configuration is kept.
    pub fn configure(json: &[u8]) -> Result<Engine, EngineError> {
        let mut config = Config::from_json(json)?;
        let encoded = config.policy_b64.take();
        let policy = match (&config.strategy, encoded) {
            (Strategy::Policy, Some(text)) => {
                let tar = BASE64_STANDARD.decode(text.trim());
                Some(tar.map_err(|error| PolicyError(format!("`policy_b64` is no base64: {error}")))?)
            }
            _ => None,
        };
        Ok(Engine::new(config, policy.as_deref().map(Policy::open).transpose()?)?)
    }

    /// Puts a checked configuration and an opened policy together.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy was trained for other models.
    pub fn new(config: Config, policy: Option<Policy>) -> Result<Engine, PolicyError> {
        if let Some(policy) = &policy {
            policy.check_models(&config.models)?;
        }
        let policy_id = match (&config.strategy, &policy) {
            (Strategy::Always(name), _) => format!("always-{name}"),
            (Strategy::BestAffordable, _) => "best-affordable".to_owned(),
            (Strategy::Policy, Some(policy)) => policy.id(),
            (Strategy::Policy, None) => {
                return Err(PolicyError("the strategy `policy` has no policy".to_owned()));
            }
        };
        Ok(Engine { config, policy, policy_id })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Id of the policy, or name of the strategy.
    #[must_use]
    pub fn policy_id(&self) -> &str {
        &self.policy_id
    }

    /// The policy, where one is configured.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// A model by index.
    #[must_use]
    pub fn model(&self, k: usize) -> Option<&ModelConfig> {
        self.config.models.get(k)
    }

    /// Chooses a model for one turn. Pure: the same session, size and λ give the same decision.
    #[must_use]
    pub fn decide(&self, session: &SessionView, size: &RequestSize, lambda: f32) -> Decision {
        let models = &self.config.models;
        let can_cut = self.config.can_cut_answers();
        let tokens = TokenEstimate::new(&self.config.estimate, size, session);
        let estimates: Vec<_> =
            models.iter().map(|model| estimate::cost(model, &tokens, session, can_cut)).collect();
        let reserve = mask::reserve(&self.config.guard, models, &estimates, &tokens, session);
        let mask = ActionMask::new(&estimates, session.available(), reserve);
        let features = features::extract(session, &tokens, &estimates, &mask);
        let values = self.policy.as_ref().map(|policy| policy.values(features.as_slice()));
        let values = values.and_then(Result::ok);
        let (chosen, reason) = match (&self.config.strategy, &values) {
            (Strategy::Always(name), _) => {
                let fixed = self.config.models.iter().position(|model| model.name == *name);
                (fixed.filter(|k| mask.allows(*k)), "strategy")
            }
            (Strategy::BestAffordable, _) => (decide::most_expensive(&mask, &estimates), "strategy"),
            (Strategy::Policy, Some(values)) => {
                let rule = self.config.lambda.rule;
                (decide::best(values, &mask, &estimates, session.budget, lambda, rule), "policy")
            }
            (Strategy::Policy, None) => (None, "policy"),
        };
        let (chosen, reason) = match (chosen, &self.config.strategy) {
            (None, Strategy::Policy) => (decide::cheapest(&mask, &estimates), "fallback"),
            _ => (chosen, reason),
        };
        let reason = if chosen.is_some() { reason } else { "none" };
        let (reserved, output_cap_tokens) = match chosen {
            Some(k) => self.reservation(k, session, &tokens),
            None => (NanoUsd::ZERO, None),
        };
        Decision { chosen, reason, features, mask, values, tokens, estimates, reserved, output_cap_tokens }
    }

    /// What a turn with model `k` reserves, and where its answer must be cut to cost no more.
    #[must_use]
    pub fn reservation(
        &self,
        k: usize,
        session: &SessionView,
        tokens: &TokenEstimate,
    ) -> (NanoUsd, Option<u64>) {
        let Some(model) = self.config.models.get(k) else {
            return (NanoUsd::ZERO, None);
        };
        let can_cut = self.config.can_cut_answers();
        let upper = estimate::cost(model, tokens, session, can_cut).upper;
        if !can_cut {
            return (upper, None);
        }
        let reserved = upper.min(session.available());
        let cap = estimate::affordable_output_tokens(model, tokens, reserved);
        let needed = tokens.max_output_tokens.is_none_or(|limit| limit > cap);
        (reserved, needed.then_some(cap))
    }

    /// Decides on a request and reserves its upper cost.
    ///
    /// `body` is what was read of the body, `None` in headers mode; `body_bytes` its length, where it is known.
    pub fn admit(
        &self,
        store: &impl SharedStore,
        head: &RequestHead,
        body: Option<&BodyFacts>,
        body_bytes: Option<u64>,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Admission {
        counts.add(Counter::Decisions, 1);
        let max_output_tokens = body.and_then(|body| body.max_output_tokens);
        let size = RequestSize { body_bytes, max_output_tokens };
        let requested = body.and_then(|body| body.requested_model.as_deref());
        let mut turn = self.new_turn(head, &size, requested, now_ms);
        if let Some(refusal) = self.unknown_model(requested, counts) {
            return self.refuse(turn, &refusal, head);
        }
        let reserved = match head.session {
            Some(id) => self.reserve(store, id, head, &size, now_ms, counts),
            None => {
                let session = SessionView::new(head.budget);
                Ok((self.decide(&session, &size, head.lambda), session, None))
            }
        };
        let (decision, session, reservation) = match reserved {
            Ok(reserved) => reserved,
            Err(error) => {
                let refusal = table_refusal(&error, counts);
                return self.refuse(turn, &refusal, head);
            }
        };
        counts.add(Counter::PolicyFailures, u64::from(decision.reason == "fallback"));
        turn.reservation = head.session.zip(reservation);
        fill_record(&mut turn.record, &decision, &session);
        let Some(model) = decision.chosen else {
            let fits = decision.estimates.iter().any(|estimate| estimate.fits_context);
            let refusal = if fits {
                Refusal::Exhausted { available: session.available(), budget: session.budget }
            } else {
                Refusal::ContextTooLong
            };
            counts.add(Counter::Exhausted, u64::from(fits));
            return self.refuse(turn, &refusal, head);
        };
        turn.model = Some(model);
        turn.record.chosen = self.model(model).map(|model| model.name.clone());
        Admission::Route(Box::new(turn))
    }

    /// Refuses a request whose body is no JSON object, or passes it as if it said nothing.
    #[must_use]
    pub fn refuse_invalid_body(
        &self,
        head: &RequestHead,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Option<Admission> {
        counts.add(Counter::InvalidBody, 1);
        if self.config.on_error.invalid_body == OnError::UseDefault {
            return None;
        }
        let size = RequestSize { body_bytes: Some(0), max_output_tokens: None };
        Some(self.refuse(self.new_turn(head, &size, None, now_ms), &Refusal::InvalidBody, head))
    }

    /// Ends a turn: settles it by usage, settles it by estimate where an answer came without usage, or refunds it.
    ///
    /// The outcome table. Each row has a name that tests and scenarios use; `envoy/README.md` shows the same table
    /// to operators. "Status" is what the client got, "whole" means that the answer's end was seen.
    ///
    /// | row | what happened | status | ends as | charged |
    /// |---|---|---|---|---|
    /// | `answered` | a whole answer with usage, JSON or stream, compressed or not | 2xx | `settled` | the usage |
    /// | `no_usage` | a whole answer without readable usage | 2xx | `estimated` | estimated input, output by what came |
    /// | `cut_by_upstream` | reset, time-out or early end after the answer began | 2xx | `estimated` | as `no_usage`; usage seen so far counts where it is larger |
    /// | `cut_by_client` | the client left after the answer began | 2xx | `estimated` | as `cut_by_upstream` |
    /// | `usage_then_cut` | cut after the last usage, before the end | 2xx | `settled`, or `estimated` where more output came than the usage says | the larger of both |
    /// | `client_gone_early` | the client left before any answer | none | `refunded` | 0 |
    /// | `upstream_error` | the upstream answered with an error, with usage or without | 3xx, 4xx, 5xx | `refunded` | 0 |
    /// | `upstream_reset` | connection refused or reset before the answer | 503 | `refunded` | 0 |
    /// | `upstream_timeout` | Envoy's time-out before the answer | 504 | `refunded` | 0 |
    /// | `retried` | Envoy's retry was answered after a failed attempt | 2xx | one turn, as the last attempt ended | once |
    /// | `no_route` | cluster missing, no healthy host, circuit breaker | 503 | `refunded` | 0 |
    /// | `reset_by_filter` | the filter reset a request that contradicts itself | none | `refunded` | 0 |
    /// | `refused` | the filter answered itself | 4xx, 5xx | `refused` | 0, nothing was reserved |
    /// | `bypassed` | no LLM call, or no session where that means bypass | any | no record | 0 |
    /// | `vm_crash` | the VM died: nobody ends the turn | any | no record; the lease expires | 0 |
    /// | `late` | the turn ended after its lease had expired | any | as above, counted as late | as above |
    /// | `books_closed` | shared data failed at the end | any | as above, counted as `store_errors`; the lease expires | 0 |
    pub fn conclude(
        &self,
        store: &impl SharedStore,
        turn: Turn,
        answer: &Answer,
        now_ms: u64,
        counts: &mut Counts,
    ) -> DecisionRecord {
        let Turn { model, reservation, body_bytes, mut record } = turn;
        record.status = answer.status;
        let answered = answer.status.is_some_and(|status| (200..300).contains(&status));
        let model = model.and_then(|k| Some((u8::try_from(k).ok()?, self.model(k)?)));
        let Some((index, model)) = model else {
            return record;
        };
        let ending = if answered {
            let guess = Usage {
                input_tokens: record.prompt_tokens,
                output_tokens: answer.guessed_output_tokens,
                ..Usage::default()
            };
            counts.add(Counter::UsageEstimated, u64::from(answer.usage.is_none()));
            let usage = answer.usage.unwrap_or(guess);
            let cost = model.prices.cost(&usage);
            record.outcome = if answer.usage.is_some() { "settled" } else { "estimated" }.to_owned();
            record.usage = Some(usage);
            record.charged_nano_usd = cost;
            Ending::Settle(SettledTurn {
                cost,
                model: index,
                prompt_tokens: usage.input_tokens,
                body_bytes: body_bytes.filter(|_| answer.usage.is_some()).unwrap_or(0),
                output_tokens: usage.output_tokens,
            })
        } else {
            record.outcome = "refunded".to_owned();
            Ending::Refund
        };
        if let Some((session, reservation)) = reservation {
            let table = SessionTable::new(store, &self.config.ledger);
            if table.end(session, reservation, ending, now_ms, counts).is_err() {
                counts.add(Counter::StoreErrors, 1);
            }
        }
        record
    }

    fn reserve(
        &self,
        store: &impl SharedStore,
        id: SessionId,
        head: &RequestHead,
        size: &RequestSize,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<(Decision, SessionView, Option<u64>), LedgerError> {
        let table = SessionTable::new(store, &self.config.ledger);
        let reserved = table.reserve(id, head.budget, now_ms, counts, |session| {
            let decision = self.decide(session, size, head.lambda);
            match decision.chosen {
                Some(_) => Choice::Reserve(decision.reserved, decision),
                None => Choice::Refuse(decision),
            }
        })?;
        Ok((reserved.value, reserved.seen, reserved.reservation))
    }

    fn unknown_model(&self, requested: Option<&str>, counts: &mut Counts) -> Option<Refusal> {
        let requested = requested?;
        let known = self.config.models.iter().any(|model| model.name == requested)
            || self.config.on_error.auto_models.iter().any(|name| name == requested);
        if known {
            return None;
        }
        counts.add(Counter::UnknownModel, 1);
        let refusal = Refusal::UnknownModel { requested: shortened(requested) };
        (self.config.on_error.unknown_model == OnError::Reject).then_some(refusal)
    }

    fn new_turn(&self, head: &RequestHead, size: &RequestSize, requested: Option<&str>, now_ms: u64) -> Turn {
        let record = DecisionRecord {
            v: RECORD_VERSION,
            time_ms: now_ms,
            session: head.session.map(|id| id.to_string()),
            turn: 0,
            policy: self.policy_id.clone(),
            requested_model: requested.map(shortened),
            models: self.config.models.iter().map(|model| model.name.clone()).collect(),
            chosen: None,
            reason: String::new(),
            propensity: 1.0,
            features: Vec::new(),
            mask: Vec::new(),
            q_quality: Vec::new(),
            q_cost: Vec::new(),
            lambda: head.lambda,
            prompt_tokens: 0,
            max_output_tokens: size.max_output_tokens,
            output_cap_tokens: None,
            budget_nano_usd: head.budget,
            spent_nano_usd: NanoUsd::ZERO,
            outstanding_nano_usd: NanoUsd::ZERO,
            reserved_nano_usd: NanoUsd::ZERO,
            charged_nano_usd: NanoUsd::ZERO,
            outcome: String::new(),
            usage: None,
            status: None,
        };
        Turn { model: None, reservation: None, body_bytes: size.body_bytes, record }
    }

    fn refuse(&self, mut turn: Turn, refusal: &Refusal, head: &RequestHead) -> Admission {
        let reply = LocalReply::new(refusal, &self.config, &head.path);
        turn.record.reason = reply.reason.to_owned();
        turn.record.outcome = "refused".to_owned();
        turn.record.status = Some(reply.status);
        Admission::Refuse(Box::new(turn), reply)
    }
}

fn fill_record(record: &mut DecisionRecord, decision: &Decision, session: &SessionView) {
    let models = decision.estimates.len();
    record.turn = session.turns;
    record.reason = decision.reason.to_owned();
    record.features = decision.features.as_slice().to_vec();
    record.mask = decision.mask.as_slice().to_vec();
    if let Some(values) = &decision.values {
        record.q_quality = values.quality.get(..models).unwrap_or_default().to_vec();
        record.q_cost = values.cost.get(..models).unwrap_or_default().to_vec();
    }
    record.budget_nano_usd = session.budget;
    record.spent_nano_usd = session.spent;
    record.outstanding_nano_usd = session.outstanding;
    record.prompt_tokens = decision.tokens.prompt_tokens;
    record.reserved_nano_usd = decision.reserved;
    record.output_cap_tokens = decision.output_cap_tokens;
}

fn table_refusal(error: &LedgerError, counts: &mut Counts) -> Refusal {
    match error {
        LedgerError::TooManyInFlight => {
            counts.add(Counter::TooManyInFlight, 1);
            Refusal::TooManyInFlight
        }
        LedgerError::Full => {
            counts.add(Counter::TableFull, 1);
            Refusal::TableUnavailable
        }
        LedgerError::Store(_) | LedgerError::Bucket(_) | LedgerError::Conflicts => {
            counts.add(Counter::StoreErrors, 1);
            Refusal::TableUnavailable
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_REQUESTED_MODEL_CHARS).collect()
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
