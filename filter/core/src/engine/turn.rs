//! What passes between a request's admission and its end.

use crate::ledger::Namespace;
use crate::ledger::holding::Holding;
use crate::reply::local_reply::LocalReply;
use crate::reply::record::DecisionRecord;
use crate::request::api::Api;
use crate::request::identity::Tenant;
use crate::usage::Usage;

/// A request that was decided on; it must be given to [`Engine::conclude`](super::Engine::conclude).
#[derive(Debug)]
#[must_use = "a turn that is not concluded locks its money until the lease expires"]
pub struct Turn {
    pub(super) api: Api,
    pub(super) model: Option<usize>,
    pub(super) holding: Option<Holding>,
    pub(super) namespace: Namespace,
    pub(super) body_bytes: Option<u64>,
    /// Input tokens that the reservation pays for.
    pub(super) input_tokens: u64,
    pub(super) tenant: Option<Tenant>,
    pub(super) debug: bool,
    pub(super) record: DecisionRecord,
}

impl Turn {
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
    /// Usage read from the answer.
    pub usage: Option<Usage>,
    /// Output tokens guessed from what passed.
    pub guessed_output_tokens: u64,
    /// The answer's end was seen.
    pub whole: bool,
}
