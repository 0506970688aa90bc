//! What passes between a request's admission and its end.

use crate::ledger::Books;
use crate::ledger::accounts::Holding;
use crate::reply::local_reply::LocalReply;
use crate::reply::record::DecisionRecord;
use crate::usage::Usage;

/// A request that was decided on; it must be given to [`Engine::conclude`](super::Engine::conclude).
#[derive(Clone, Debug)]
pub struct Turn {
    pub(super) model: Option<usize>,
    pub(super) holding: Option<Holding>,
    pub(super) books: Books,
    pub(super) body_bytes: Option<u64>,
    pub(super) debug: bool,
    pub(super) record: DecisionRecord,
}

impl Turn {
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

/// What the filter shall do with a request.
#[derive(Clone, Debug)]
pub enum Admission {
    /// Send it to this turn's model.
    Route(Box<Turn>),
    /// Answer it ourselves.
    Refuse(Box<Turn>, LocalReply),
    /// Let it pass untouched, and record what would have been done.
    Observe(Box<Turn>),
    /// Let it pass untouched; it is none of ours.
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
