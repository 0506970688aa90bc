//! What sessions and tenants have spent, summed up from decision logs, for an Envoy that is started anew.
//!
//! Envoy's shared data ends with its process; the log does not. A session has spent what its first record in the logs says
//! it had before, and what its turns were charged since. Nothing in the sum is lower than what the log shows: of a turn
//! whose end is not known, all that it had reserved counts.
//!
//! Not in the log are turns in flight when the process died, lines that it had not written yet, and whatever was in log files
//! that are not given.

use std::collections::HashMap;
use std::path::Path;

use seqroute_core::config::{Config, LedgerConfig};
use seqroute_core::ledger::books::Books;
use seqroute_core::ledger::sessions::bucket::Evicted;
use seqroute_core::ledger::window;
use seqroute_core::money::NanoUsd;
use seqroute_core::reply::record::{DecisionRecord, Outcome};
use seqroute_core::request::session_id::SessionId;

use crate::error::DataError;
use crate::files;

/// Most sessions of the books: their part of the largest configuration that the filter accepts.
const MAX_SESSIONS: usize = 100_000;

/// Sums over decision logs.
#[derive(Debug)]
pub struct Reader<'a> {
    config: &'a Config,
    now_ms: u64,
    sessions: HashMap<SessionId, Account>,
    tenants: HashMap<SessionId, Purse>,
    unreadable: u64,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sessions in the books.
    pub sessions: usize,
    /// Tenants in the books.
    pub tenants: usize,
    /// Sessions that are left out because there are too many: those that have spent least.
    pub left_out: usize,
    /// Lines that are no decision records, such as one that was cut when the process died.
    pub unreadable: u64,
}

/// One session's records.
#[derive(Debug)]
struct Account {
    last_seen_ms: u64,
    budget: NanoUsd,
    /// Before the first record.
    spent_before: NanoUsd,
    charged: NanoUsd,
    /// The most that a record shows.
    shown: NanoUsd,
    turns: u32,
    early_leaves: u16,
}

/// One tenant's records in the last window that has any.
#[derive(Debug)]
struct Purse {
    window: u64,
    spent: NanoUsd,
    last_seen_ms: u64,
}

impl Account {
    fn new(record: &DecisionRecord) -> Account {
        Account {
            last_seen_ms: record.time_ms,
            budget: record.budget_nano_usd,
            spent_before: record.spent_nano_usd,
            charged: NanoUsd::ZERO,
            shown: NanoUsd::ZERO,
            turns: record.turn,
            early_leaves: 0,
        }
    }

    fn spent(&self) -> NanoUsd {
        self.spent_before.saturating_add(self.charged).max(self.shown)
    }

    /// Whether a record begins the session anew: nothing of it is left in the table after its TTL.
    fn is_over(&self, record: &DecisionRecord, rules: &LedgerConfig) -> bool {
        let idle_ms = record.time_ms.saturating_sub(self.last_seen_ms);
        record.turn == 0 && record.spent_nano_usd == NanoUsd::ZERO && idle_ms >= rules.ttl_ms(self.turns)
    }

    fn add(&mut self, record: &DecisionRecord, charged: NanoUsd) {
        let served = record.outcome != Outcome::Refused;
        self.budget = record.budget_nano_usd;
        self.charged = self.charged.saturating_add(charged);
        self.shown = self.shown.max(record.spent_nano_usd.saturating_add(charged));
        self.turns = self.turns.max(record.turn.saturating_add(u32::from(served)));
        if served {
            self.last_seen_ms = self.last_seen_ms.max(record.time_ms);
        }
        let left_early = record.outcome == Outcome::Refunded && record.status.is_none();
        self.early_leaves = self.early_leaves.saturating_add(u16::from(left_early));
    }
}

impl<'a> Reader<'a> {
    /// A reader for the logs of a filter with this configuration.
    #[must_use]
    pub fn new(config: &'a Config, now_ms: u64) -> Self {
        Reader { config, now_ms, sessions: HashMap::new(), tenants: HashMap::new(), unreadable: 0 }
    }

    /// Reads a log; of several, the oldest first.
    ///
    /// # Errors
    /// [`DataError::Io`] when the file cannot be read.
    pub fn read(&mut self, log: &Path) -> Result<(), DataError> {
        files::for_each_raw_line(log, |line| match serde_json::from_slice(line) {
            Ok(record) => self.add(&record),
            Err(_) => self.unreadable += 1,
        })
    }

    fn add(&mut self, record: &DecisionRecord) {
        if record.shadow {
            return;
        }
        let charged = match record.outcome {
            Outcome::Settled | Outcome::Estimated | Outcome::Refunded | Outcome::Refused => {
                record.charged_nano_usd
            }
            Outcome::Pending | Outcome::Other => record.charged_nano_usd.max(record.reserved_nano_usd),
        };
        if let Some(id) = record.session.as_deref().and_then(parse_id) {
            let account = self.sessions.entry(id).or_insert_with(|| Account::new(record));
            if account.is_over(record, &self.config.ledger) {
                *account = Account::new(record);
            }
            account.add(record, charged);
        }
        if let (Some(id), Some(tenants)) = (record.tenant.as_deref().and_then(parse_id), &self.config.tenants)
        {
            let number = tenants.window_ms.map_or(0, |window_ms| window::number(window_ms, record.time_ms));
            let purse = self.tenants.entry(id);
            let purse = purse.or_insert(Purse { window: number, spent: NanoUsd::ZERO, last_seen_ms: 0 });
            if number > purse.window {
                (purse.window, purse.spent) = (number, NanoUsd::ZERO);
            }
            if number == purse.window {
                purse.spent = purse.spent.saturating_add(charged);
                purse.last_seen_ms = purse.last_seen_ms.max(record.time_ms);
            }
        }
    }

    /// The books, without sessions and tenants that are over.
    #[must_use]
    pub fn finish(self) -> (Books, Summary) {
        let Reader { config, now_ms, sessions, tenants, unreadable } = self;
        let sessions = sessions.into_iter().map(|(id, account)| Evicted {
            id,
            last_seen_ms: account.last_seen_ms,
            budget: account.budget,
            spent: account.spent(),
            turns: account.turns,
            early_leaves: account.early_leaves,
            last_model: None,
        });
        let begun = |session: &Evicted| session.spent > NanoUsd::ZERO || session.early_leaves > 0;
        let mut sessions: Vec<Evicted> =
            sessions.filter(|session| begun(session) && !session.is_dead(now_ms, &config.ledger)).collect();
        sessions.sort_by_key(|session| (std::cmp::Reverse(session.spent), session.id));
        let left_out = sessions.len().saturating_sub(MAX_SESSIONS);
        sessions.truncate(MAX_SESSIONS);
        let mut books = Books::default();
        sessions.into_iter().for_each(|session| books.add_session(session));
        let mut tenants: Vec<_> = tenants.into_iter().collect();
        tenants.sort_by_key(|(id, _)| *id);
        for (id, purse) in tenants {
            let ttl_ms = config.tenants.as_ref().map_or(0, |tenants| tenants.ttl_ms);
            if now_ms.saturating_sub(purse.last_seen_ms) < ttl_ms {
                books.add_tenant(config, id, purse.spent, purse.last_seen_ms);
            }
        }
        let (sessions, tenants) = (books.sessions(), books.tenants());
        (books, Summary { sessions, tenants, left_out, unreadable })
    }
}

/// The id that [`SessionId`] writes as 32 digits.
fn parse_id(digits: &str) -> Option<SessionId> {
    let number = u128::from_str_radix(digits, 16).ok()?;
    (digits.len() == 32).then(|| SessionId(number.to_be_bytes()))
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
