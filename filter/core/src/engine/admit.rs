//! From a request to a turn that holds money, or to a refusal.

use super::decision::Ask;
use super::{Admission, Arm, Decision, Engine, Turn};
use crate::config::{Enforcement, NoSession, OnError};
use crate::counters::{Counter, Counts};
use crate::decide::estimate::RequestSize;
use crate::ledger::accounts::{Accounts, Granted, Payer};
use crate::ledger::store::SharedStore;
use crate::ledger::sessions::Choice;
use crate::ledger::{Books, LedgerError, SessionView};
use crate::reply::local_reply::{LocalReply, Refusal};
use crate::decide::locks::Needs;
use crate::money::NanoUsd;
use crate::reply::record::{DecisionRecord, RECORD_VERSION};
use crate::request::head::RequestHead;
use crate::body::facts::BodyFacts;
use crate::request::session_id::SessionId;

/// Longest piece of a client's model name in records and replies.
const MAX_REQUESTED_MODEL_CHARS: usize = 64;

/// A request as far as it is known when it is decided on.
struct Request<'a> {
    head: &'a RequestHead,
    session: Option<SessionId>,
    ask: Ask,
    requested_model: Option<&'a str>,
    now_ms: u64,
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
        let max_output_tokens = body.and_then(|body| self.output_limit(body));
        let least_output_tokens = body.map_or(0, least_output);
        let request = Request {
            head,
            session: head.identity.session(&self.config, body.map(|body| &body.session_ids)),
            ask: Ask {
                size: RequestSize { body_bytes, max_output_tokens, least_output_tokens },
                needs: body.map(Needs::of).unwrap_or_default(),
                // Only a body that was understood is rewritten.
                text: body.map(|body| body.text).unwrap_or_default(),
                can_cut: self.config.can_cut_answers() && body.is_some(),
            },
            requested_model: body.and_then(|body| body.requested_model.as_deref()),
            now_ms,
        };
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
                self.decide_and_reserve(store, &request, Books::Real, counts)
            }
            Enforcement::Shadow => {
                // What a shadow does to its own books is no money, and counts as none.
                let admission =
                    self.decide_and_reserve(store, &request, Books::Shadow, &mut Counts::default());
                self.observe(admission, request.requested_model, counts)
            }
        }
    }

    /// Refuses a request whose body is no JSON object, or passes it as if it said nothing (`None`).
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
        let size = RequestSize { body_bytes: Some(0), ..RequestSize::default() };
        let (ask, requested_model) = (Ask { size, ..Ask::default() }, None);
        let session = head.identity.session(&self.config, None);
        let request = Request { head, session, ask, requested_model, now_ms };
        let refused = self.refuse(self.new_turn(&request, Books::Real), &Refusal::InvalidBody, head);
        Some(match self.config.enforcement {
            Enforcement::Enforce => refused,
            Enforcement::Shadow => self.observe(refused, None, counts),
        })
    }

    /// The request's limit on output tokens. Without one, each of several answers may be as long as the longest that is
    /// usual for any model.
    fn output_limit(&self, body: &BodyFacts) -> Option<u64> {
        let usual = self.config.models.iter().map(|model| model.upper_output_tokens).max();
        let several = (body.answers > 1).then(|| usual.unwrap_or(0).saturating_mul(body.answers));
        body.max_output_tokens.or(several)
    }

    fn decide_and_reserve(
        &self,
        store: &impl SharedStore,
        request: &Request<'_>,
        books: Books,
        counts: &mut Counts,
    ) -> Admission {
        let mut turn = self.new_turn(request, books);
        if let Some(refusal) = self.refusal_of_request(request, counts) {
            return self.refuse(turn, &refusal, request.head);
        }
        let granted = match self.reserve(store, request, books, counts) {
            Ok(granted) => granted,
            Err(error) => {
                let refusal = refusal_of_ledger(&error, counts);
                return self.refuse(turn, &refusal, request.head);
            }
        };
        let Granted { value: decision, seen: session, holding } = granted;
        counts.add(Counter::PolicyFailures, u64::from(decision.reason == "fallback"));
        counts.add(Counter::CacheKept, u64::from(decision.reason == "cache_kept"));
        counts.add(Counter::Shortened, u64::from(decision.reason == "shortened"));
        counts.add(Counter::Locked, u64::from(decision.permitted.locked));
        turn.holding = holding;
        fill_record(&mut turn.record, &decision, &session);
        let Some(model) = decision.chosen else {
            let refusal = self.refusal_of_decision(&decision, &session, counts);
            return self.refuse(turn, &refusal, request.head);
        };
        turn.model = Some(model);
        turn.record.chosen = self.model(model).map(|model| model.name.clone());
        Admission::Route(Box::new(turn))
    }

    fn reserve(
        &self,
        store: &impl SharedStore,
        request: &Request<'_>,
        books: Books,
        counts: &mut Counts,
    ) -> Result<Granted<Box<Decision>>, LedgerError> {
        let head = request.head;
        let accounts = Accounts::new(store, &self.config.ledger, self.config.tenants.as_ref(), books);
        let payer = Payer {
            session: request.session,
            budget_if_new: head.budget,
            tenant: head.identity.tenant(&self.config),
        };
        let arm = self.arm(request.session);
        accounts.reserve(payer, request.now_ms, counts, |session| {
            // Boxed, for it is 3 KB with its features and passes through several hands.
            let decision = Box::new(self.decide_by(arm, session, &request.ask, head.lambda));
            match decision.chosen {
                Some(_) => Choice::Reserve(decision.reserved, decision),
                None => Choice::Refuse(decision),
            }
        })
    }

    /// What is wrong with the request itself, whatever its session has.
    fn refusal_of_request(&self, request: &Request<'_>, counts: &mut Counts) -> Option<Refusal> {
        if request.session.is_none() && self.config.session.no_session == NoSession::Reject {
            let sources = self.config.session.sources.iter().map(ToString::to_string);
            return Some(Refusal::NoSession { expected: sources.collect::<Vec<_>>().join("`, `") });
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

    fn refusal_of_decision(
        &self,
        decision: &Decision,
        session: &SessionView,
        counts: &mut Counts,
    ) -> Refusal {
        let permitted = |k: usize| decision.permitted.allows(k);
        if !decision.permitted.any(self.config.models.len()) {
            return Refusal::NoCapableModel;
        }
        let mut estimates = decision.estimates.iter().enumerate();
        if !estimates.any(|(k, estimate)| permitted(k) && estimate.fits_context) {
            return Refusal::ContextTooLong;
        }
        let own = SessionView { outer_available: None, ..*session }.available();
        let by_tenant = session.available() < own;
        counts.add(Counter::Exhausted, 1);
        counts.add(Counter::TenantExhausted, u64::from(by_tenant));
        match (by_tenant, &self.config.tenants) {
            (true, Some(tenants)) => {
                Refusal::TenantExhausted { available: session.available(), window_ms: tenants.window_ms }
            }
            _ => Refusal::Exhausted { available: own, budget: session.budget },
        }
    }

    /// Turns what would have been done into a record of it.
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

    fn new_turn(&self, request: &Request<'_>, books: Books) -> Turn {
        let (head, Arm { id, share, .. }) = (request.head, self.arm(request.session));
        let record = DecisionRecord {
            v: RECORD_VERSION,
            time_ms: request.now_ms,
            session: request.session.map(|id| id.to_string()),
            tenant: head.identity.tenant(&self.config).map(|tenant| tenant.id.to_string()),
            turn: 0,
            policy: id.clone(),
            policy_share: *share,
            shadow: books == Books::Shadow,
            requested_model: request.requested_model.map(shortened),
            models: self.config.models.iter().map(|model| model.name.clone()).collect(),
            chosen: None,
            reason: String::new(),
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
            outcome: String::new(),
            usage: None,
            status: None,
        };
        let body_bytes = request.ask.size.body_bytes;
        Turn { model: None, holding: None, books, body_bytes, debug: head.debug, record }
    }

    fn refuse(&self, mut turn: Turn, refusal: &Refusal, head: &RequestHead) -> Admission {
        let reply = LocalReply::new(refusal, &self.config, &head.path, turn.record.time_ms);
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
    record.features = decision.features.without_text().to_vec();
    record.text = decision.text.to_base64();
    record.mask = decision.mask.as_slice().to_vec();
    record.expected_nano_usd = decision.estimates.iter().map(|estimate| estimate.expected).collect();
    record.locked = decision.permitted.locked;
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
    let thinking = body.thinking_tokens.map_or(0, |tokens| tokens.saturating_add(1));
    thinking.max(body.answers)
}

fn refusal_of_ledger(error: &LedgerError, counts: &mut Counts) -> Refusal {
    match error {
        LedgerError::TooManyInFlight => {
            counts.add(Counter::TooManyInFlight, 1);
            Refusal::TooManyInFlight
        }
        LedgerError::Full => {
            counts.add(Counter::TableFull, 1);
            Refusal::TableUnavailable
        }
        LedgerError::Store(_)
        | LedgerError::Bucket(_)
        | LedgerError::Conflicts
        | LedgerError::Overdrawn { .. } => {
            counts.add(Counter::StoreErrors, 1);
            Refusal::TableUnavailable
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_REQUESTED_MODEL_CHARS).collect()
}
