//! What a session knows of its conversations: which model answered last, and what it may have cached.
//!
//! A bucket has [`per_bucket`] places for conversations, which its sessions share; one session has at most
//! [`MAX_CONVERSATIONS`]. Where there are more, the one unused for longest is forgotten, of the session that has most. Then
//! it goes on like one that is new: nothing is assumed to be cached, and a lock falls back on what resembles it.

use crate::config::LedgerConfig;
use crate::ledger::view::{SessionView, SettledTurn};
use crate::request::conversation::Conversation;

/// Most conversations of one session that are remembered.
pub const MAX_CONVERSATIONS: usize = 16;

/// One conversation of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Which one.
    pub conversation: Conversation,
    /// When a turn of it was last settled, in ms since the epoch; 0 where that is not known.
    pub settled_ms: u64,
    /// The model of that turn.
    pub model: u8,
    /// Its input tokens.
    pub prompt_tokens: u32,
    /// Length of its request body; 0 where it was unknown.
    pub body_bytes: u32,
    /// Input tokens that its provider was seen to have cached.
    pub warm_tokens: u32,
}

/// The conversations of a session, the last one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversations(pub Vec<Remembered>);

/// Conversations that the sessions of a bucket have together.
#[must_use]
pub fn per_bucket(rules: &LedgerConfig) -> u64 {
    u64::from(rules.conversations_per_session).saturating_mul(u64::from(rules.sessions_per_bucket))
}

impl Conversations {
    /// The session's own conversation, of which only the model is known.
    #[must_use]
    pub fn of_model(model: u8) -> Conversations {
        let conversation = Conversation::default();
        Conversations(vec![Remembered {
            conversation,
            settled_ms: 0,
            model,
            prompt_tokens: 0,
            body_bytes: 0,
            warm_tokens: 0,
        }])
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<&Remembered> {
        self.0.first()
    }

    /// The conversation that is remembered as this one: the same, else the last that may be the same.
    fn remembered(&self, conversation: Conversation) -> Option<&Remembered> {
        let same = self.0.iter().find(|other| other.conversation == conversation);
        same.or_else(|| self.0.iter().find(|other| other.conversation.may_be(conversation)))
    }

    /// Under which name a turn of this conversation is settled: the one that is known, where that says more.
    #[must_use]
    pub fn name_of(&self, conversation: Conversation) -> Conversation {
        let known = self.remembered(conversation).map(|known| known.conversation);
        known.filter(|known| known.system != 0).unwrap_or(conversation)
    }

    /// The session as a turn of this conversation sees it.
    #[must_use]
    pub fn see(&self, session: SessionView, conversation: Conversation, now_ms: u64) -> SessionView {
        let Some(known) = self.remembered(conversation) else {
            let begun_alike = |other: &&Remembered| other.conversation.start == conversation.start;
            let likely = self.0.iter().find(begun_alike).or(self.last());
            return SessionView { likely_model: likely.map(|likely| likely.model), ..session };
        };
        let idle_ms = (known.settled_ms > 0).then(|| now_ms.saturating_sub(known.settled_ms));
        SessionView {
            last_model: Some(known.model),
            last_prompt_tokens: known.prompt_tokens.into(),
            last_body_bytes: known.body_bytes.into(),
            warm_tokens: known.warm_tokens.into(),
            idle_ms,
            ..session
        }
    }

    /// A turn of a conversation was settled, which then is the last one.
    pub fn settle(&mut self, conversation: Conversation, turn: &SettledTurn, now_ms: u64) {
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let (prompt_tokens, body_bytes) = (short(turn.prompt_tokens), short(turn.body_bytes));
        let less_known = Conversation { system: 0, ..conversation };
        self.0.retain(|other| other.conversation != conversation && other.conversation != less_known);
        let warm_tokens = short(turn.warm_tokens);
        let (settled_ms, model) = (now_ms, turn.model);
        let settled = Remembered { conversation, settled_ms, model, prompt_tokens, body_bytes, warm_tokens };
        self.0.insert(0, settled);
        self.0.truncate(MAX_CONVERSATIONS);
    }
}

#[cfg(test)]
#[path = "conversations_tests.rs"]
mod tests;
