//! One bucket of the session table, and its bytes in shared data.
//!
//! Layout (little endian): format version `u8`, id of the next reservation `u64`, number of sessions `u16`, the
//! sessions, then the evicted sessions up to the end.
//!
//! | part | fields | bytes |
//! |---|---|---|
//! | session | id 16, owner `u64`, last seen `u64` ms, budget and spent `u64` nano-USD, turns `u32`, early leaves `u16`, output tokens `u64`, number of conversations `u8`, number of reservations `u8` | 64 |
//! | its conversations, the last one first | start `u64`, system `u32`, last settled `u64` ms, model `u8`, prompt tokens, body bytes and warm tokens `u32` | 33 each |
//! | its reservations | id `u64`, amount `u64` nano-USD, lease end `u64` ms | 24 each |
//! | evicted session | id 16, last seen `u64` ms, budget and spent `u64` nano-USD, turns `u32`, early leaves `u16`, model `u8` (255: none) | 47 |
//!
//! Bytes that do not decode are an error, never an empty bucket: spent money is not forgotten. That holds for another
//! format version too: a module with a new format refuses the sessions of the buckets that an old one left in shared
//! data, until Envoy is started anew or the table gets other keys (`ledger.buckets`).

use crate::config::LedgerConfig;
use crate::counters::{Counter, Counts};
use crate::ledger::sessions::conversations::{Conversations, Remembered};
use crate::ledger::table::{Stored, put_u64, take, take_u64};
use crate::ledger::view::SessionView;
use crate::money::NanoUsd;
use crate::request::conversation::Conversation;
use crate::request::session_id::SessionId;

const FORMAT: u8 = 5;
const NO_MODEL: u8 = u8::MAX;
/// Bytes of a bucket without sessions.
pub const HEADER_BYTES: u64 = 11;
/// Bytes of a session without conversations and reservations.
pub const SESSION_BYTES: u64 = 64;
/// Bytes of a conversation.
pub const CONVERSATION_BYTES: u64 = 33;
/// Bytes of a reservation.
pub const RESERVATION_BYTES: u64 = 24;
/// Bytes of an evicted session.
pub const EVICTED_BYTES: u64 = 47;

/// Whose session it is: the first bytes of the hash of a tenant or of a client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub u64);

impl Owner {
    /// The owner with this hash.
    #[must_use]
    pub fn of(id: SessionId) -> Owner {
        let [a, b, c, d, e, f, g, h, ..] = id.0;
        Owner(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// Money that a turn in flight holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Unique within its bucket over the bucket's whole life, whatever the clock does.
    pub id: u64,
    /// Money that it holds.
    pub amount: NanoUsd,
    /// When it expires, in ms since the epoch.
    pub lease_end_ms: u64,
}

/// Reservations whose lease has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Number of reservations.
    pub leases: u64,
    /// Money that they held.
    pub amount: NanoUsd,
    /// Any lease was removed or cut.
    pub changed: bool,
}

/// One session's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Hash of the session.
    pub id: SessionId,
    /// Who began it.
    pub owner: Owner,
    /// When it was last written, in ms since the epoch.
    pub last_seen_ms: u64,
    /// What all conversations share; everything else of the view is derived.
    pub session: SessionView,
    /// What it knows of its conversations.
    pub conversations: Conversations,
    /// Money of turns in flight.
    pub reservations: Vec<Reservation>,
}

impl Entry {
    /// A new session.
    #[must_use]
    pub fn new(id: SessionId, owner: Owner, budget: NanoUsd, now_ms: u64) -> Self {
        let session = SessionView::new(budget);
        Entry {
            id,
            owner,
            last_seen_ms: now_ms,
            session,
            conversations: Conversations::default(),
            reservations: Vec::new(),
        }
    }

    /// Removes a reservation and returns what it held; `None` when it has ended already.
    pub fn release(&mut self, id: u64) -> Option<NanoUsd> {
        let position = self.reservations.iter().position(|held| held.id == id)?;
        Some(self.reservations.swap_remove(position).amount)
    }

    /// The session with its outstanding money, as a turn of this conversation sees it.
    #[must_use]
    pub fn view(&self, conversation: Conversation, now_ms: u64) -> SessionView {
        let outstanding = self.reservations.iter().map(|reservation| reservation.amount);
        let view = SessionView {
            outstanding: outstanding.fold(NanoUsd::ZERO, NanoUsd::saturating_add),
            in_flight: u32::try_from(self.reservations.len()).unwrap_or(u32::MAX),
            ..self.session
        };
        self.conversations.see(view, conversation, now_ms)
    }

    /// The session as a turn of its last conversation sees it.
    #[must_use]
    pub fn last_view(&self, now_ms: u64) -> SessionView {
        let last = self.conversations.last().map(|last| last.conversation);
        self.view(last.unwrap_or_default(), now_ms)
    }

    /// Removes the reservations whose lease has ended.
    ///
    /// A lease that ends later than one lease from now was made before the clock was set back: it is cut, so that
    /// money comes back within one lease whatever the clock does.
    pub fn expire(&mut self, now_ms: u64, lease_ms: u64) -> Expired {
        let mut expired = Expired::default();
        let latest_end_ms = now_ms.saturating_add(lease_ms);
        self.reservations.retain_mut(|reservation| {
            let keep = reservation.lease_end_ms > now_ms;
            if !keep {
                expired.leases = expired.leases.saturating_add(1);
                expired.amount = expired.amount.saturating_add(reservation.amount);
            }
            expired.changed = expired.changed || !keep || reservation.lease_end_ms > latest_end_ms;
            reservation.lease_end_ms = reservation.lease_end_ms.min(latest_end_ms);
            keep
        });
        self.last_seen_ms = self.last_seen_ms.min(now_ms);
        expired
    }

    /// The session was unused for its TTL, and starts anew.
    #[must_use]
    pub fn is_dead(&self, now_ms: u64, rules: &LedgerConfig) -> bool {
        let ttl_ms = rules.ttl_ms(self.session.turns);
        self.reservations.is_empty() && now_ms.saturating_sub(self.last_seen_ms) >= ttl_ms
    }
}

/// What is kept of an evicted session: enough to continue with its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted {
    /// Hash of the session.
    pub id: SessionId,
    /// When it was last written, in ms since the epoch.
    pub last_seen_ms: u64,
    /// What it may spend in all.
    pub budget: NanoUsd,
    /// What its settled turns have cost.
    pub spent: NanoUsd,
    /// Settled turns.
    pub turns: u32,
    /// Turns that the client left before an answer.
    pub early_leaves: u16,
    /// The model of the last settled turn, in whatever conversation.
    pub last_model: Option<u8>,
}

impl Evicted {
    /// The rest of an entry without reservations.
    #[must_use]
    pub fn of(entry: &Entry) -> Evicted {
        let SessionView { budget, spent, turns, early_leaves, .. } = entry.session;
        let last_model = entry.conversations.last().map(|last| last.model);
        let Entry { id, last_seen_ms, .. } = *entry;
        Evicted { id, last_seen_ms, budget, spent, turns, early_leaves, last_model }
    }

    /// The session again, owned by the caller that continues it; what it had learned about its tokens is lost.
    #[must_use]
    pub fn restore(self, owner: Owner) -> Entry {
        let Evicted { id, last_seen_ms, budget, spent, turns, early_leaves, last_model } = self;
        let session = SessionView { spent, turns, early_leaves, ..SessionView::new(budget) };
        let conversations = last_model.map(Conversations::of_model).unwrap_or_default();
        Entry { id, owner, last_seen_ms, session, conversations, reservations: Vec::new() }
    }

    /// The session was unused for its TTL.
    #[must_use]
    pub fn is_dead(&self, now_ms: u64, rules: &LedgerConfig) -> bool {
        now_ms.saturating_sub(self.last_seen_ms) >= rules.ttl_ms(self.turns)
    }
}

/// The sessions of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionBucket {
    /// Id of the next reservation.
    pub next_reservation: u64,
    /// Sessions, in no particular order.
    pub entries: Vec<Entry>,
    /// Evicted sessions, in no particular order.
    pub evicted: Vec<Evicted>,
}

impl SessionBucket {
    /// The number of its bytes: room that is made at once, for a bucket is written twice in a turn.
    fn byte_size(&self) -> usize {
        let sum = |count: fn(&Entry) -> usize| {
            self.entries.iter().fold(0u64, |sum, entry| sum.saturating_add(count(entry) as u64))
        };
        let parts = [
            (self.entries.len() as u64, SESSION_BYTES),
            (sum(|entry| entry.conversations.0.len()), CONVERSATION_BYTES),
            (sum(|entry| entry.reservations.len()), RESERVATION_BYTES),
            (self.evicted.len() as u64, EVICTED_BYTES),
        ];
        let size =
            parts.iter().fold(HEADER_BYTES, |sum, (n, bytes)| sum.saturating_add(n.saturating_mul(*bytes)));
        usize::try_from(size).unwrap_or(0)
    }
}

impl Stored for SessionBucket {
    type Rules = LedgerConfig;

    const NAME: &'static str = "sessions";

    fn buckets(rules: &LedgerConfig) -> u32 {
        rules.buckets
    }

    fn decode(rest: &mut &[u8]) -> Option<SessionBucket> {
        if take::<1>(rest)? != [FORMAT] {
            return None;
        }
        let mut bucket = SessionBucket { next_reservation: take_u64(rest)?, ..SessionBucket::default() };
        let sessions = take::<2>(rest).map(u16::from_le_bytes)?;
        for _ in 0..sessions {
            bucket.entries.push(read_entry(rest)?);
        }
        while !rest.is_empty() {
            bucket.evicted.push(Evicted {
                id: SessionId(take::<16>(rest)?),
                last_seen_ms: take_u64(rest)?,
                budget: NanoUsd(take_u64(rest)?),
                spent: NanoUsd(take_u64(rest)?),
                turns: take::<4>(rest).map(u32::from_le_bytes)?,
                early_leaves: take::<2>(rest).map(u16::from_le_bytes)?,
                last_model: take_model(rest)?,
            });
        }
        Some(bucket)
    }

    fn refresh(&mut self, rules: &LedgerConfig, now_ms: u64, counts: &mut Counts) -> bool {
        let mut changed = false;
        for entry in &mut self.entries {
            let expired = entry.expire(now_ms, rules.lease_ms);
            counts.add(Counter::LeasesExpired, expired.leases);
            counts.add(Counter::ExpiredNanoUsd, expired.amount.0);
            changed = changed || expired.changed;
        }
        changed
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.byte_size());
        bytes.push(FORMAT);
        put_u64(&mut bytes, [self.next_reservation]);
        bytes.extend_from_slice(&u16::try_from(self.entries.len()).unwrap_or(u16::MAX).to_le_bytes());
        for entry in self.entries.iter().take(usize::from(u16::MAX)) {
            write_entry(&mut bytes, entry);
        }
        for evicted in &self.evicted {
            bytes.extend_from_slice(&evicted.id.0);
            put_u64(&mut bytes, [evicted.last_seen_ms, evicted.budget.0, evicted.spent.0]);
            bytes.extend_from_slice(&evicted.turns.to_le_bytes());
            bytes.extend_from_slice(&evicted.early_leaves.to_le_bytes());
            bytes.push(evicted.last_model.unwrap_or(NO_MODEL));
        }
        bytes
    }
}

fn write_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    let session = &entry.session;
    bytes.extend_from_slice(&entry.id.0);
    put_u64(bytes, [entry.owner.0, entry.last_seen_ms, session.budget.0, session.spent.0]);
    bytes.extend_from_slice(&session.turns.to_le_bytes());
    bytes.extend_from_slice(&session.early_leaves.to_le_bytes());
    put_u64(bytes, [session.output_tokens]);
    bytes.push(u8::try_from(entry.conversations.0.len()).unwrap_or(u8::MAX));
    bytes.push(u8::try_from(entry.reservations.len()).unwrap_or(u8::MAX));
    for known in entry.conversations.0.iter().take(usize::from(u8::MAX)) {
        put_u64(bytes, [known.conversation.start]);
        bytes.extend_from_slice(&known.conversation.system.to_le_bytes());
        put_u64(bytes, [known.settled_ms]);
        bytes.push(known.model);
        bytes.extend_from_slice(&known.prompt_tokens.to_le_bytes());
        bytes.extend_from_slice(&known.body_bytes.to_le_bytes());
        bytes.extend_from_slice(&known.warm_tokens.to_le_bytes());
    }
    for reservation in entry.reservations.iter().take(usize::from(u8::MAX)) {
        put_u64(bytes, [reservation.id, reservation.amount.0, reservation.lease_end_ms]);
    }
}

fn take_model(rest: &mut &[u8]) -> Option<Option<u8>> {
    let [model] = take::<1>(rest)?;
    Some((model != NO_MODEL).then_some(model))
}

fn read_entry(rest: &mut &[u8]) -> Option<Entry> {
    let (id, owner) = (SessionId(take::<16>(rest)?), Owner(take_u64(rest)?));
    let last_seen_ms = take_u64(rest)?;
    let mut session = SessionView::new(NanoUsd(take_u64(rest)?));
    session.spent = NanoUsd(take_u64(rest)?);
    session.turns = take::<4>(rest).map(u32::from_le_bytes)?;
    session.early_leaves = take::<2>(rest).map(u16::from_le_bytes)?;
    session.output_tokens = take_u64(rest)?;
    let ([known], [count]) = (take::<1>(rest)?, take::<1>(rest)?);
    let mut conversations = Vec::with_capacity(usize::from(known));
    for _ in 0..known {
        conversations.push(read_conversation(rest)?);
    }
    let conversations = Conversations(conversations);
    let mut reservations = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (id, amount, lease_end_ms) = (take_u64(rest)?, NanoUsd(take_u64(rest)?), take_u64(rest)?);
        reservations.push(Reservation { id, amount, lease_end_ms });
    }
    Some(Entry { id, owner, last_seen_ms, session, conversations, reservations })
}

fn read_conversation(rest: &mut &[u8]) -> Option<Remembered> {
    let start = take_u64(rest)?;
    let system = take::<4>(rest).map(u32::from_le_bytes)?;
    let settled_ms = take_u64(rest)?;
    let [model] = take::<1>(rest)?;
    let prompt_tokens = take::<4>(rest).map(u32::from_le_bytes)?;
    let body_bytes = take::<4>(rest).map(u32::from_le_bytes)?;
    let warm_tokens = take::<4>(rest).map(u32::from_le_bytes)?;
    Some(Remembered {
        conversation: Conversation { start, system },
        settled_ms,
        model,
        prompt_tokens,
        body_bytes,
        warm_tokens,
    })
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
