//! Which conversation of a session a request belongs to.
//!
//! Agents hold several conversations under one session id: the main loop, sub-agents, a call for a title. They share the
//! session's money, but not its locks: a model that answered a side call has not signed the main loop's thinking. A
//! conversation is told by a header that names the agent (`session.agent_headers`), else by how the request's body begins,
//! which a client must not change as long as it wants its prompt cached. Where neither is known, it is the session's own.
//!
//! The hashes are no secret and not collision-free: a client that forges one confuses the locks of its own session only.

use crate::request::headers::Headers;

/// FNV-1a, 64 bit (draft-eastlake-fnv): offset basis and prime.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// A hash of bytes that come in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Digest(FNV_BASIS)
    }
}

impl Digest {
    /// Adds bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME));
    }

    /// The hash; never 0.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0.max(1)
    }

    /// The hash in 32 bits; never 0.
    #[must_use]
    pub fn short(self) -> u32 {
        let [a, b, c, d, e, f, g, h] = self.0.to_le_bytes();
        (u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])).max(1)
    }
}

/// How a body begins, as far as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Hash of everything up to the end of the first message that is not the system's; `None` where that was not read.
    pub first: Option<u64>,
    /// Hash of the system prompt that stands behind it; `None` while more of it may come.
    pub system: Option<u32>,
}

/// A conversation within its session. By default the session's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Hash of the agent's name, or of how the body begins; 0 where neither is known.
    pub start: u64,
    /// Hash of the system prompt behind the first message; 0 where it was not read, or does not count.
    pub system: u32,
}

impl Conversation {
    /// The conversation of an agent that a header names.
    #[must_use]
    pub fn of_agent(name: &[u8]) -> Conversation {
        let mut digest = Digest::default();
        digest.feed(b"agent ");
        digest.feed(name);
        Conversation { start: digest.value(), system: 0 }
    }

    /// The conversation that begins like this.
    #[must_use]
    pub fn of_opening(opening: Opening) -> Conversation {
        let Opening { first, system } = opening;
        let begins_so = |start| Conversation { start, system: system.unwrap_or(0) };
        first.map(begins_so).unwrap_or_default()
    }

    /// The agent that the first of these headers names.
    #[must_use]
    pub fn named(headers: &impl Headers, names: &[String]) -> Option<Conversation> {
        let mut values = names.iter().filter_map(|name| headers.get(name));
        values.find(|value| !value.is_empty()).map(Conversation::of_agent)
    }

    /// Whether two may be one: a system prompt that was not read decides nothing.
    #[must_use]
    pub fn may_be(self, other: Conversation) -> bool {
        let unread = self.system == 0 || other.system == 0;
        self.start == other.start && (unread || self.system == other.system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unread_system_prompt_fits_every_conversation_that_begins_alike() {
        let of = |first, system| Conversation::of_opening(Opening { first, system });
        assert!(of(Some(5), None).may_be(of(Some(5), Some(7))));
        assert!(!of(Some(5), Some(8)).may_be(of(Some(5), Some(7))));
        assert!(!of(Some(6), None).may_be(of(Some(5), None)));
        assert_eq!(of(None, Some(7)), Conversation::default());
    }

    #[test]
    fn a_header_names_an_agent_and_an_empty_one_does_not() {
        let names = ["x-claude-code-agent-id", "thread-id"].map(str::to_owned);
        let of = |name: &str, value: &str| {
            Conversation::named(&vec![(name.as_bytes().to_vec(), value.as_bytes().to_vec())], &names)
        };
        assert_eq!(of("thread-id", "t1"), Some(Conversation::of_agent(b"t1")));
        assert_ne!(of("thread-id", "t1"), of("thread-id", "t2"));
        assert_eq!((of("thread-id", ""), of("x-other", "t1")), (None, None));
    }
}
