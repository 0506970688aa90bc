//! What passes between a request's admission and its end.

use crate::answer::plausible::{MOST_ANSWERS, Shown};
use crate::body::facts::BodyFacts;
use crate::ledger::Namespace;
use crate::ledger::holding::Holding;
use crate::reply::local_reply::LocalReply;
use crate::reply::record::DecisionRecord;
use crate::request::api::Api;
use crate::usage::Usage;

/// A request that was decided on; it must be given to [`Engine::conclude`](super::Engine::conclude).
#[derive(Debug)]
#[must_use = "a turn that is not concluded locks its money until the lease expires"]
pub struct Turn {
    pub(super) api: Api,
    pub(super) model: Option<usize>,
    pub(super) holding: Option<Holding>,
    /// When its lease is due to be renewed; never where it holds nothing.
    pub(super) renew_at_ms: u64,
    pub(super) namespace: Namespace,
    pub(super) body_bytes: Option<u64>,
    /// Input tokens that the reservation pays for.
    pub(super) input_tokens: u64,
    pub(super) asked: Asked,
    pub(super) debug: bool,
    pub(super) record: DecisionRecord,
}

/// What a request asked for that bounds its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Answers at once, at least 1.
    pub(super) answers: u64,
    /// The client's own limit on output tokens, over all of them.
    pub(super) max_output_tokens: Option<u64>,
}

impl Asked {
    /// What the body says. One that was not read may ask for as many answers as any API allows.
    pub(super) fn by(body: Option<&BodyFacts>) -> Asked {
        Asked {
            answers: body.map_or(MOST_ANSWERS, |body| body.answers.max(1)),
            max_output_tokens: body.and_then(|body| body.max_output_tokens),
        }
    }
}

impl Turn {
    /// Takes the money that is held for it.
    pub(super) fn hold(&mut self, holding: Option<Holding>, now_ms: u64, lease_ms: u64) {
        self.renew_at_ms = holding.as_ref().map_or(u64::MAX, |_| now_ms.saturating_add(lease_ms / 2));
        self.holding = holding;
    }

    /// The API that was called.
    #[must_use]
    pub fn api(&self) -> Api {
        self.api
    }

    /// Index of the model that is charged for this turn.
    #[must_use]
    pub fn model(&self) -> Option<usize> {
        self.model
    }

    /// Answers that the request asked for at once.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.asked.answers
    }

    /// The record as far as it is known.
    #[must_use]
    pub fn record(&self) -> &DecisionRecord {
        &self.record
    }

    /// The caller asked for all decision headers, and is trusted.
    #[must_use]
    pub fn wants_debug_headers(&self) -> bool {
        self.debug
    }
}

/// What the filter does with a request.
#[derive(Debug)]
#[must_use]
pub enum Admission {
    /// Send it to this turn's model.
    Route(Box<Turn>),
    /// Answer it with a response of the filter's own.
    Refuse(Box<Turn>, LocalReply),
    /// Let it pass untouched, and record what would have been done.
    Observe(Box<Turn>),
    /// Let it pass untouched: it is not accounted for.
    Bypass,
}

/// What was seen of the answer when the stream ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status the client got; `None` when the stream ended before any response.
    pub status: Option<u32>,
    /// What the upstream did with the request.
    pub upstream: Upstream,
    /// The provider keeps the answer, so that it can be had later
    /// ([`BodyFacts::detached`](crate::body::facts::BodyFacts::detached)).
    pub kept: bool,
    /// Usage read from the answer.
    pub usage: Option<Usage>,
    /// The usage is all that the answer will be billed.
    pub is_final: bool,
    /// Output tokens guessed from what passed.
    pub guessed_output_tokens: u64,
    /// What was seen besides.
    pub shown: Shown,
}

impl Answer {
    /// The upstream answered with a 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }
}

/// What the upstream did with a request, where the client did not get a 2xx.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upstream {
    /// It has, or may have, the whole request, and has not answered.
    #[default]
    Silent,
    /// It answered: the status is its own.
    Answered,
    /// It never had the whole request.
    Unreached,
}
