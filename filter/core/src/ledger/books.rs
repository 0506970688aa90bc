//! Books from outside the process: what sessions and tenants had spent before Envoy was started anew.
//!
//! Shared data ends with its process, and then every session would have its whole budget again. The decision log knows
//! what each has spent; `seqroute deploy` sums it up and puts it into the configuration, and the filter enters it here
//! before it serves. Only buckets that do not exist are written, so books that are older than the process, or entered
//! twice, change nothing: what the process has counted itself always wins.
//!
//! The bytes are those of one bucket of evicted sessions and one bucket of tenants, in the formats of shared data
//! ([`crate::ledger::sessions::bucket`], [`crate::ledger::tenants::bucket`]), the first preceded by its length (`u32`).

use std::collections::BTreeMap;

use crate::config::{Config, LedgerConfig};
use crate::ledger::error::{DecodeError, LedgerError};
use crate::ledger::sessions::SessionTable;
use crate::ledger::sessions::bucket::{Evicted, Owner, SessionBucket};
use crate::ledger::store::SharedStore;
use crate::ledger::table::{Stored, take};
use crate::ledger::tenants::TenantTable;
use crate::ledger::tenants::bucket::{TenantBucket, TenantRules};
use crate::ledger::view::Namespace;
use crate::money::NanoUsd;
use crate::request::session_id::SessionId;

/// What sessions and tenants have spent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    sessions: SessionBucket,
    tenants: TenantBucket,
}

/// What was entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Sessions that have what they had spent.
    pub sessions: u64,
    /// Tenants that have what they had spent.
    pub tenants: u64,
    /// Sessions for which their bucket had no room.
    pub forgotten: u64,
}

impl Books {
    /// Adds a session.
    pub fn add_session(&mut self, session: Evicted) {
        self.sessions.evicted.push(session);
    }

    /// Adds what a tenant has spent in the window in which it was last seen.
    pub fn add_tenant(&mut self, config: &Config, id: SessionId, spent: NanoUsd, last_seen_ms: u64) {
        if let Some(tenants) = &config.tenants {
            let rules = TenantRules::new(tenants, config.ledger.lease_ms);
            self.tenants.add_spent(&rules, id, spent, last_seen_ms);
        }
    }

    /// Number of sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.evicted.len()
    }

    /// Number of tenants.
    #[must_use]
    pub fn tenants(&self) -> usize {
        self.tenants.len()
    }

    /// The encoded books.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let sessions = self.sessions.to_bytes();
        let length = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
        [&length.to_le_bytes(), sessions.as_slice(), &self.tenants.to_bytes()].concat()
    }

    /// Decodes books.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Self::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Books, DecodeError> {
        let fault = DecodeError { bytes: bytes.len(), at: 0 };
        let mut rest = bytes;
        let length = take::<4>(&mut rest).map(u32::from_le_bytes).ok_or(fault)?;
        let length = usize::try_from(length).map_err(|_| fault)?;
        let (sessions, tenants) = rest.split_at_checked(length).ok_or(fault)?;
        let sessions = SessionBucket::from_bytes(sessions)?;
        if !sessions.entries.is_empty() {
            return Err(fault);
        }
        Ok(Books { sessions, tenants: TenantBucket::from_bytes(tenants)? })
    }

    /// Enters the books into a store, into buckets that do not exist.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails; a part may have been entered then.
    pub fn restore(self, store: &impl SharedStore, config: &Config) -> Result<Restored, LedgerError> {
        let mut restored = Restored::default();
        let table = SessionTable::new(store, &config.ledger, Namespace::Real);
        let mut buckets: BTreeMap<u32, Vec<Evicted>> = BTreeMap::new();
        for session in self.sessions.evicted {
            buckets.entry(session.id.bucket(config.ledger.buckets)).or_default().push(session);
        }
        for sessions in buckets.into_values() {
            let Some(id) = sessions.first().map(|session| session.id) else { continue };
            let given = sessions.len() as u64;
            let bucket = with_room(sessions, &config.ledger);
            let kept = (bucket.evicted.len() as u64).saturating_add(bucket.entries.len() as u64);
            if table.create(id, &bucket)? {
                restored.sessions = restored.sessions.saturating_add(kept);
                restored.forgotten = restored.forgotten.saturating_add(given.saturating_sub(kept));
            }
        }
        let Some(tenants) = &config.tenants else { return Ok(restored) };
        let table = TenantTable::new(store, tenants, config.ledger.lease_ms, Namespace::Real);
        for (id, bucket) in self.tenants.split(tenants.buckets) {
            if table.create(id, &bucket)? {
                restored.tenants = restored.tenants.saturating_add(bucket.len() as u64);
            }
        }
        Ok(restored)
    }
}

/// The bucket that holds as many of these sessions as it may; those that have spent most come first.
fn with_room(mut sessions: Vec<Evicted>, rules: &LedgerConfig) -> SessionBucket {
    sessions.sort_by_key(|session| std::cmp::Reverse(session.spent));
    let mut sessions = sessions.into_iter();
    let evicted = usize::try_from(rules.evicted_per_bucket).unwrap_or(0);
    let places = usize::try_from(rules.sessions_per_bucket).unwrap_or(0);
    SessionBucket {
        next_reservation: 0,
        evicted: sessions.by_ref().take(evicted).collect(),
        entries: sessions.take(places).map(|session| session.restore(Owner::default())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::changed_example;
    use crate::counters::Counts;
    use crate::ledger::store::MemoryStore;
    use crate::request::conversation::Conversation;
    use crate::request::identity::Tenant;
    use proptest::prelude::*;
    use serde_json::json;

    fn id(number: u64) -> SessionId {
        SessionId::new(b"salt", b"", &number.to_le_bytes())
    }

    fn spent(number: u64, nano_usd: u64) -> Evicted {
        Evicted {
            id: id(number),
            last_seen_ms: 1000,
            budget: NanoUsd(100),
            spent: NanoUsd(nano_usd),
            turns: 3,
            early_leaves: 1,
            last_model: Some(1),
        }
    }

    fn config() -> Config {
        changed_example(|v| {
            v["ledger"] = json!({"buckets": 4, "sessions_per_bucket": 8, "evicted_per_bucket": 8});
            v["session"] = json!({"tenant_header": "x-team"});
            v["tenants"] = json!({"default_usd": "1", "window_ms": 10_000});
        })
    }

    /// What a session may still spend, and whether it is a new one.
    fn open(store: &MemoryStore, config: &Config, number: u64) -> (NanoUsd, bool) {
        let table = SessionTable::new(store, &config.ledger, Namespace::Real);
        let owner = || Owner(7);
        let open = table
            .open(id(number), Conversation::default(), NanoUsd(100), owner, 2000, &mut Counts::default())
            .unwrap();
        (open.view.available(), open.is_new)
    }

    #[test]
    fn a_session_continues_with_what_it_had_spent() {
        let (store, config) = (MemoryStore::default(), config());
        let mut books = Books::default();
        books.add_session(spent(1, 60));
        let books = Books::from_bytes(&books.to_bytes()).unwrap();
        let restored = books.restore(&store, &config).unwrap();
        assert_eq!(restored, Restored { sessions: 1, ..Restored::default() });
        assert_eq!(open(&store, &config, 1), (NanoUsd(40), false));
        assert_eq!(open(&store, &config, 2), (NanoUsd(100), true));
    }

    #[test]
    fn what_the_process_has_counted_wins_over_books() {
        let (store, config) = (MemoryStore::default(), config());
        let books = |nano_usd| {
            let mut books = Books::default();
            books.add_session(spent(1, nano_usd));
            books
        };
        books(60).restore(&store, &config).unwrap();
        assert_eq!(books(10).restore(&store, &config).unwrap(), Restored::default());
        assert_eq!(open(&store, &config, 1), (NanoUsd(40), false));
    }

    #[test]
    fn where_a_bucket_is_full_the_sessions_that_have_spent_least_are_forgotten() {
        let config = changed_example(|v| {
            v["ledger"] = json!({"buckets": 1, "sessions_per_bucket": 2, "evicted_per_bucket": 3})
        });
        let store = MemoryStore::default();
        let mut books = Books::default();
        (0..7).for_each(|number| books.add_session(spent(number, 10 * number)));
        let restored = books.restore(&store, &config).unwrap();
        assert_eq!(restored, Restored { sessions: 5, forgotten: 2, ..Restored::default() });
        let left = |number| open(&store, &config, number).0;
        assert_eq!((2..7).map(left).collect::<Vec<_>>(), [80, 70, 60, 50, 40].map(NanoUsd));
        assert_eq!(left(1), NanoUsd(100));
    }

    #[test]
    fn a_tenant_has_what_it_had_spent_in_this_window_only() {
        let (store, config) = (MemoryStore::default(), config());
        let mut books = Books::default();
        books.add_tenant(&config, id(1), NanoUsd(30), 9_000);
        books.add_tenant(&config, id(2), NanoUsd(30), 19_000);
        let books = Books::from_bytes(&books.to_bytes()).unwrap();
        assert_eq!((books.sessions(), books.tenants()), (0, 2));
        assert_eq!(books.restore(&store, &config).unwrap().tenants, 2);
        let tenants = config.tenants.as_ref().unwrap();
        let table = TenantTable::new(&store, tenants, config.ledger.lease_ms, Namespace::Real);
        let available = |number| {
            let tenant = Tenant { id: id(number), budget: NanoUsd(100), has_place: false };
            table.open(tenant, 19_500).unwrap().available
        };
        assert_eq!((available(1), available(2)), (NanoUsd(100), NanoUsd(70)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(books) = Books::from_bytes(&bytes) {
                prop_assert_eq!(Books::from_bytes(&books.to_bytes()), Ok(books));
            }
        }
    }
}
