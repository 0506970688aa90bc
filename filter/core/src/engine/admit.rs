//! From a request to a turn that holds money, or to a refusal.

use super::refusals::refusal_of_ledger;
use super::turn::Asked;
use super::{Admission, Arm, Decision, Engine, Turn};
use crate::body::facts::{BodyFacts, Forbidden};
use crate::body::input::ReadInput;
use crate::config::{Enforcement, NoSession, OnError};
use crate::counters::{Counter, Counts};
use crate::decide::decision::{Ask, Chooser};
use crate::decide::estimate::RequestSize;
use crate::decide::locks::Needs;
use crate::decide::reason::Reason;
use crate::ledger::error::MAX_ATTEMPTS;
use crate::ledger::holding::{Holding, Ledger, Payer};
use crate::ledger::store::SharedStore;
use crate::ledger::{LedgerError, Namespace, SessionView};
use crate::money::NanoUsd;
use crate::reply::local_reply::{LocalReply, Refusal};
use crate::reply::record::{DecisionRecord, Outcome, RECORD_VERSION};
use crate::request::conversation::Conversation;
use crate::request::head::RequestHead;
use crate::request::identity::Tenant;
use crate::request::session_id::SessionId;

/// Longest piece of a client's model name in records and replies.
const MAX_REQUESTED_MODEL_CHARS: usize = 64;

/// A request as far as it is known when it is decided on, and who decides.
struct Request<'a> {
    head: &'a RequestHead,
    session: Option<SessionId>,
    conversation: Conversation,
    tenant: Option<Tenant>,
    arm: &'a Arm,
    ask: Ask,
    asked: Asked,
    requested_model: Option<&'a str>,
    forbidden: Option<&'a Forbidden>,
    now_ms: u64,
}

/// A decision, the session as it saw it, and the money that is held for it: none where no model was allowed.
struct Decided {
    decision: Decision,
    session: SessionView,
    holding: Option<Holding>,
}

impl Engine {
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
        let request = self.request(head, body, body_bytes, now_ms);
        if request.session.is_none() {
            counts.add(Counter::NoSession, 1);
            if self.config.session.no_session == NoSession::Bypass {
                counts.add(Counter::Bypassed, 1);
                return Admission::Bypass;
            }
        }
        match self.config.enforcement {
            Enforcement::Enforce => {
                counts.add(Counter::Decisions, 1);
                self.admit_in(Namespace::Real, store, &request, counts)
            }
            Enforcement::Shadow => {
                // Shadow turns spend nothing, so they do not count.
                let admission = self.admit_in(Namespace::Shadow, store, &request, &mut Counts::default());
                self.observe(admission, request.requested_model, counts)
            }
        }
    }

    /// Refuses a request whose body is not a JSON object; `None` where it is served as if its body were empty.
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
        let request = self.request(head, None, Some(0), now_ms);
        let refused = self.refuse(self.new_turn(&request, Namespace::Real), &Refusal::InvalidBody);
        Some(match self.config.enforcement {
            Enforcement::Enforce => refused,
            Enforcement::Shadow => self.observe(refused, None, counts),
        })
    }

    fn request<'a>(
        &'a self,
        head: &'a RequestHead,
        body: Option<&'a BodyFacts>,
        body_bytes: Option<u64>,
        now_ms: u64,
    ) -> Request<'a> {
        let max_output_tokens = match head.call.compacts {
            true => self.longest_output(),
            false => body.and_then(|body| body.max_output_tokens),
        };
        let least_output_tokens = body.map_or(0, least_output);
        let session = head.identity.session(&self.config, body.map(|body| &body.session_ids));
        Request {
            head,
            session,
            conversation: head.identity.conversation(body.map(|body| &body.session_ids)),
            tenant: head.identity.tenant(),
            arm: self.arm(session),
            ask: Ask {
                size: RequestSize {
                    body_bytes,
                    read: self
                        .weighs_input()
                        .then(|| body.map_or_else(|| ReadInput::unread(0), |body| body.read)),
                    max_output_tokens,
                    least_output_tokens,
                    answers: body.map_or(1, |body| body.answers),
                },
                api: Some(head.call.api.name()),
                wants: body.map(|body| body.wants).unwrap_or_default(),
                needs: body.map(Needs::of).unwrap_or_default(),
                text: body.map(|body| body.text).unwrap_or_default(),
                // Only a body that was understood is rewritten.
                can_cut: self.config.can_cut_answers() && body.is_some() && !head.call.compacts,
            },
            asked: Asked::by(body),
            requested_model: body.and_then(|body| body.requested_model.as_deref()),
            forbidden: body.and_then(|body| body.forbidden.as_ref()),
            now_ms,
        }
    }

    /// What an answer that cannot be limited is at most: no model writes more than its context.
    fn longest_output(&self) -> Option<u64> {
        self.config.models.iter().map(|model| model.context_tokens).max()
    }

    fn admit_in(
        &self,
        namespace: Namespace,
        store: &impl SharedStore,
        request: &Request<'_>,
        counts: &mut Counts,
    ) -> Admission {
        let mut turn = self.new_turn(request, namespace);
        if let Some(refusal) = self.refusal_of_request(request, counts) {
            return self.refuse(turn, &refusal);
        }
        let ledger = Ledger::new(store, &self.config, namespace);
        let Decided { decision, session, holding } = match self.decide_and_hold(&ledger, request, counts) {
            Ok(decided) => decided,
            Err(error) => return self.refuse(turn, &refusal_of_ledger(&error, counts)),
        };
        count_decision(&decision, counts);
        fill_record(&mut turn.record, &decision, &session, self.config.record.text);
        turn.hold(holding, request.now_ms, self.config.ledger.lease_ms);
        let Some(model) = decision.chosen else {
            return self.refuse(turn, &self.refusal_of_decision(&decision, &session, counts));
        };
        turn.model = Some(model);
        turn.input_tokens = self.model(model).map_or(0, |model| decision.tokens.upper_input_tokens(model));
        turn.record.chosen = self.names.get(model).cloned();
        Admission::Route(Box::new(turn))
    }

    /// Decides on what the accounts have, and holds the money; decides again where another VM was faster.
    fn decide_and_hold(
        &self,
        ledger: &Ledger<'_, impl SharedStore>,
        request: &Request<'_>,
        counts: &mut Counts,
    ) -> Result<Decided, LedgerError> {
        let Request { head, session, conversation, tenant, arm, ask, now_ms, .. } = request;
        let caller = head.identity.caller();
        let payer = Payer {
            session: *session,
            conversation: *conversation,
            budget_if_new: head.budget,
            tenant: *tenant,
            caller,
        };
        for _ in 0..MAX_ATTEMPTS {
            let open = ledger.open(&payer, *now_ms, counts)?;
            let session = open.view;
            let chooser = Chooser { config: &self.config, session: &session, ask, lambda: head.lambda };
            let decision = arm.decide(chooser);
            if decision.chosen.is_none() {
                open.leave(counts)?;
                return Ok(Decided { decision, session, holding: None });
            }
            if let Some(holding) = open.hold(decision.reserved, counts)? {
                return Ok(Decided { decision, session, holding: Some(holding) });
            }
        }
        Err(LedgerError::Conflicts)
    }

    /// What is wrong with the request itself, whatever its session has.
    fn refusal_of_request(&self, request: &Request<'_>, counts: &mut Counts) -> Option<Refusal> {
        if request.session.is_none() && self.config.session.no_session == NoSession::Reject {
            let sources = self.config.session.sources.iter().map(ToString::to_string);
            return Some(Refusal::NoSession { expected: sources.collect::<Vec<_>>().join("`, `") });
        }
        if request.head.identity.is_unknown_tenant() {
            counts.add(Counter::TenantUnknown, 1);
            return Some(Refusal::TenantUnknown);
        }
        if let Some(forbidden) = request.forbidden {
            counts.add(Counter::Forbidden, 1);
            return Some(Refusal::Forbidden(forbidden.clone()));
        }
        let requested = request.requested_model?;
        let known = self.config.models.iter().any(|model| model.name == requested)
            || self.config.on_error.auto_models.iter().any(|name| name == requested);
        if known {
            return None;
        }
        counts.add(Counter::UnknownModel, 1);
        let refusal = Refusal::UnknownModel { requested: shortened(requested) };
        (self.config.on_error.unknown_model == OnError::Reject).then_some(refusal)
    }

    /// Turns an admission into the record of what would have been done.
    fn observe(&self, admission: Admission, requested: Option<&str>, counts: &mut Counts) -> Admission {
        let (mut turn, refused) = match admission {
            Admission::Route(turn) | Admission::Observe(turn) => (turn, false),
            Admission::Refuse(turn, _) => (turn, true),
            Admission::Bypass => return Admission::Bypass,
        };
        counts.add(Counter::ShadowDecisions, 1);
        counts.add(Counter::ShadowRefusals, u64::from(refused));
        // The request goes where it would have gone without us: if that is a known model, its prices are the true ones.
        let requested = requested.and_then(|name| self.config.models.iter().position(|m| m.name == name));
        turn.model = requested.or(turn.model);
        turn.record.propensity = 0.0;
        Admission::Observe(turn)
    }

    fn new_turn(&self, request: &Request<'_>, namespace: Namespace) -> Turn {
        let Request { head, arm, .. } = request;
        let record = DecisionRecord {
            v: RECORD_VERSION,
            time_ms: request.now_ms,
            session: request.session.map(|id| id.to_string()),
            tenant: request.tenant.map(|tenant| tenant.id.to_string()),
            turn: 0,
            policy: arm.id.clone(),
            policy_share: arm.share,
            shadow: namespace == Namespace::Shadow,
            requested_model: request.requested_model.map(shortened),
            models: self.names.clone(),
            chosen: None,
            reason: Reason::Undecided,
            propensity: 1.0,
            features: Vec::new(),
            text: None,
            mask: Vec::new(),
            expected_nano_usd: Vec::new(),
            locked: false,
            q_quality: Vec::new(),
            q_cost: Vec::new(),
            lambda: head.lambda,
            difficulty: head.difficulty,
            prompt_tokens: 0,
            max_output_tokens: request.ask.size.max_output_tokens,
            output_cap_tokens: None,
            budget_nano_usd: head.budget,
            spent_nano_usd: NanoUsd::ZERO,
            outstanding_nano_usd: NanoUsd::ZERO,
            reserved_nano_usd: NanoUsd::ZERO,
            charged_nano_usd: NanoUsd::ZERO,
            outcome: Outcome::Pending,
            usage: None,
            status: None,
        };
        Turn {
            api: head.call.api,
            model: None,
            holding: None,
            renew_at_ms: u64::MAX,
            namespace,
            body_bytes: request.ask.size.body_bytes,
            input_tokens: 0,
            asked: request.asked,
            debug: head.debug,
            record,
        }
    }

    fn refuse(&self, mut turn: Turn, refusal: &Refusal) -> Admission {
        let reply = LocalReply::new(refusal, &self.config, turn.api, turn.record.time_ms);
        turn.record.reason = reply.reason;
        turn.record.outcome = Outcome::Refused;
        if turn.namespace == Namespace::Real {
            turn.record.shorten();
        }
        turn.record.status = Some(reply.status);
        Admission::Refuse(Box::new(turn), reply)
    }
}

fn count_decision(decision: &Decision, counts: &mut Counts) {
    let counter = match decision.reason {
        Some(Reason::Fallback) => Some(Counter::PolicyFailures),
        Some(Reason::CacheKept) => Some(Counter::CacheKept),
        Some(Reason::Shortened) => Some(Counter::Shortened),
        _ => None,
    };
    counter.into_iter().for_each(|counter| counts.add(counter, 1));
    counts.add(Counter::Locked, u64::from(decision.candidates.permitted.locked));
}

fn fill_record(record: &mut DecisionRecord, decision: &Decision, session: &SessionView, has_text: bool) {
    let models = decision.estimates.len();
    record.turn = session.turns;
    record.reason = decision.reason.unwrap_or(Reason::Undecided);
    record.features = decision.features.without_text().to_vec();
    record.text = decision.text.to_base64().filter(|_| has_text && decision.text.is_long());
    record.mask = decision.mask.as_slice().to_vec();
    record.expected_nano_usd = decision.estimates.iter().map(|estimate| estimate.expected).collect();
    record.locked = decision.candidates.permitted.locked;
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

/// Output tokens below which the request's answer may not be cut: one for each of several answers, and one more than
/// what the model may think (Anthropic and Bedrock refuse a limit that is not above the thinking budget).
fn least_output(body: &BodyFacts) -> u64 {
    let thinking = body.wants.thinking_tokens.map_or(0, |tokens| tokens.saturating_add(1));
    thinking.max(body.answers)
}

/// The beginning of a client's text, without anything that a reader of lines could take for the end of one.
fn shortened(text: &str) -> String {
    let shown =
        |letter: char| if letter.is_ascii_graphic() || letter.is_alphanumeric() { letter } else { '?' };
    text.chars().take(MAX_REQUESTED_MODEL_CHARS).map(shown).collect()
}
