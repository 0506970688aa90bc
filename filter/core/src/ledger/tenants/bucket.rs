//! One bucket of the tenant table, and its bytes in shared data.
//!
//! Layout (little endian): format `u8`, id of the next lease `u64`, then per tenant id `[u8; 16]`, whether it always has
//! a place `u8` (0 or 1), window `u64`, last seen `u64` ms, spent `u64` nano-USD, early leaves in the window `u32`, number
//! of leases `u8`, and per lease id, end in ms and amount `u64`. Another format is an error, as it is for sessions
//! ([`crate::ledger::sessions::bucket`]).

use std::collections::BTreeMap;

use crate::config::TenantConfig;
use crate::counters::{Counter, Counts};
use crate::ledger::table::{Stored, put_u64, take, take_u64};
use crate::ledger::window;
use crate::money::NanoUsd;
use crate::request::session_id::SessionId;

const FORMAT: u8 = 2;
/// Bytes of a bucket without tenants.
pub const HEADER_BYTES: u64 = 9;
/// Bytes of a tenant without leases.
pub const ACCOUNT_BYTES: u64 = 46;
/// Bytes of a lease.
pub const LEASE_BYTES: u64 = 24;
/// A lease's time is divided into this many parts; turns whose leases would end in the same part share one.
const PARTS_OF_A_LEASE: u64 = 8;
/// Leases of one tenant that can be alive at once: the parts of a lease, and one that has begun at each end.
pub const MAX_LEASES: usize = 10;

/// Money of turns in flight whose leases end together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) id: u64,
    pub(super) end_ms: u64,
    pub(super) amount: NanoUsd,
}

/// One tenant's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) id: SessionId,
    /// The configuration knows it: it is not counted among those that a bucket holds at most.
    pub(super) has_place: bool,
    pub(super) window: u64,
    pub(super) last_seen_ms: u64,
    pub(super) spent: NanoUsd,
    /// Turns of this window that clients left before an answer.
    pub(super) early_leaves: u32,
    pub(super) leases: Vec<Lease>,
}

impl Account {
    pub(super) fn held(&self) -> NanoUsd {
        self.leases.iter().map(|lease| lease.amount).fold(NanoUsd::ZERO, NanoUsd::saturating_add)
    }
}

impl Account {
    /// The lease that a turn joins whose money is held until `end_ms`, made with the number `next` where there is none.
    ///
    /// It is the first that ends no earlier: leases that were cut when the clock was set back end between the parts of
    /// a lease. Where such leases take all places, the last one is held longer, so that nobody is refused for them.
    pub(super) fn lease_until(&mut self, end_ms: u64, next: &mut u64) -> Option<&mut Lease> {
        let later = self.leases.iter().filter(|lease| lease.end_ms >= end_ms);
        let joined = later.min_by_key(|lease| lease.end_ms).map(|lease| lease.id);
        let is_full = self.leases.len() >= MAX_LEASES;
        let last = self.leases.iter().max_by_key(|lease| lease.end_ms).map(|lease| lease.id);
        let id = joined.or(last.filter(|_| is_full)).unwrap_or_else(|| {
            let id = *next;
            *next = id.wrapping_add(1);
            self.leases.push(Lease { id, end_ms, amount: NanoUsd::ZERO });
            id
        });
        let lease = self.leases.iter_mut().find(|lease| lease.id == id)?;
        lease.end_ms = lease.end_ms.max(end_ms);
        Some(lease)
    }
}

/// The tenants of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantBucket {
    pub(super) next_lease: u64,
    pub(super) accounts: Vec<Account>,
}

impl TenantBucket {
    /// Adds a tenant that spent so much in the window in which it was last seen.
    ///
    /// It has a place until its next turn says whether the configuration knows it.
    pub(in crate::ledger) fn add_spent(
        &mut self,
        rules: &TenantRules,
        id: SessionId,
        spent: NanoUsd,
        last_seen_ms: u64,
    ) {
        let window = rules.window(last_seen_ms);
        let account =
            Account { id, has_place: true, window, last_seen_ms, spent, early_leaves: 0, leases: Vec::new() };
        self.accounts.push(account);
    }

    /// Number of tenants.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there is no tenant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The same tenants in the buckets of a table with so many, each with the id of one of its tenants.
    pub(in crate::ledger) fn split(self, buckets: u32) -> impl Iterator<Item = (SessionId, TenantBucket)> {
        let mut split: BTreeMap<u32, (SessionId, TenantBucket)> = BTreeMap::new();
        for account in self.accounts {
            let bucket = split.entry(account.id.bucket(buckets));
            bucket.or_insert_with(|| (account.id, TenantBucket::default())).1.accounts.push(account);
        }
        split.into_values()
    }

    /// What the bucket's tenants hold for turns in flight.
    #[must_use]
    pub fn held(&self) -> NanoUsd {
        self.accounts.iter().map(Account::held).fold(NanoUsd::ZERO, NanoUsd::saturating_add)
    }

    /// What the bucket's tenants have spent in their present windows.
    #[must_use]
    pub fn spent(&self) -> NanoUsd {
        self.accounts.iter().map(|account| account.spent).fold(NanoUsd::ZERO, NanoUsd::saturating_add)
    }
}

/// The settings of the tenant table.
#[derive(Clone, Copy, Debug)]
pub struct TenantRules {
    pub(super) lease_ms: u64,
    pub(super) ttl_ms: u64,
    pub(super) tenants_per_bucket: u32,
    pub(super) free_early_leaves: u32,
    buckets: u32,
    window_ms: Option<u64>,
}

impl TenantRules {
    pub(in crate::ledger) fn new(config: &TenantConfig, lease_ms: u64) -> TenantRules {
        let TenantConfig { ttl_ms, tenants_per_bucket, free_early_leaves, buckets, window_ms, .. } = *config;
        TenantRules { lease_ms, ttl_ms, tenants_per_bucket, free_early_leaves, buckets, window_ms }
    }

    /// Number of the budget window at this time.
    pub(super) fn window(&self, now_ms: u64) -> u64 {
        self.window_ms.map_or(0, |window_ms| window::number(window_ms, now_ms))
    }

    /// When a lease that begins now ends: at least one lease from now, at the end of a part.
    pub(super) fn lease_end_ms(&self, now_ms: u64) -> u64 {
        let part_ms = self.part_ms();
        now_ms.saturating_add(self.lease_ms).div_ceil(part_ms).saturating_mul(part_ms)
    }

    pub(super) fn part_ms(&self) -> u64 {
        self.lease_ms.div_ceil(PARTS_OF_A_LEASE).max(1)
    }
}

impl Stored for TenantBucket {
    type Rules = TenantRules;

    const NAME: &'static str = "tenants";

    fn buckets(rules: &TenantRules) -> u32 {
        rules.buckets
    }

    fn decode(rest: &mut &[u8]) -> Option<TenantBucket> {
        if take::<1>(rest)? != [FORMAT] {
            return None;
        }
        let mut bucket = TenantBucket { next_lease: take_u64(rest)?, accounts: Vec::new() };
        while !rest.is_empty() {
            let id = SessionId(take::<16>(rest)?);
            let has_place = match take::<1>(rest)? {
                [0] => false,
                [1] => true,
                _ => return None,
            };
            let (window, last_seen_ms, spent) = (take_u64(rest)?, take_u64(rest)?, NanoUsd(take_u64(rest)?));
            let early_leaves = take::<4>(rest).map(u32::from_le_bytes)?;
            let [count] = take::<1>(rest)?;
            let mut leases = Vec::with_capacity(usize::from(count));
            for _ in 0..count {
                let (id, end_ms, amount) = (take_u64(rest)?, take_u64(rest)?, NanoUsd(take_u64(rest)?));
                leases.push(Lease { id, end_ms, amount });
            }
            let account = Account { id, has_place, window, last_seen_ms, spent, early_leaves, leases };
            bucket.accounts.push(account);
        }
        Some(bucket)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        put_u64(&mut bytes, [self.next_lease]);
        for account in &self.accounts {
            bytes.extend_from_slice(&account.id.0);
            bytes.push(u8::from(account.has_place));
            put_u64(&mut bytes, [account.window, account.last_seen_ms, account.spent.0]);
            bytes.extend_from_slice(&account.early_leaves.to_le_bytes());
            bytes.push(u8::try_from(account.leases.len()).unwrap_or(u8::MAX));
            for lease in account.leases.iter().take(usize::from(u8::MAX)) {
                put_u64(&mut bytes, [lease.id, lease.end_ms, lease.amount.0]);
            }
        }
        bytes
    }

    /// Gives back leases that have ended, and begins windows that have come.
    fn refresh(&mut self, rules: &TenantRules, now_ms: u64, counts: &mut Counts) -> bool {
        let mut changed = false;
        let latest_end_ms = now_ms.saturating_add(rules.lease_ms).saturating_add(rules.part_ms());
        let window = rules.window(now_ms);
        for account in &mut self.accounts {
            account.leases.retain_mut(|lease| {
                let keep = lease.end_ms > now_ms;
                changed = changed || !keep || lease.end_ms > latest_end_ms;
                // A later end was computed before the clock was set back.
                lease.end_ms = lease.end_ms.min(latest_end_ms);
                if !keep {
                    counts.add(Counter::TenantExpiredNanoUsd, lease.amount.0);
                }
                keep
            });
            if window::is_over(account.window, window) {
                account.window = window;
                account.spent = NanoUsd::ZERO;
                account.early_leaves = 0;
            }
            account.last_seen_ms = account.last_seen_ms.min(now_ms);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn writing_and_reading_is_the_identity(
            accounts in proptest::collection::vec((any::<[u8; 16]>(), any::<bool>(), any::<([u64; 3], u32)>(), proptest::collection::vec(any::<[u64; 3]>(), 0..4)), 0..4),
            next_lease in any::<u64>(),
        ) {
            let account = |(id, has_place, (numbers, early_leaves), leases): (_, _, ([u64; 3], u32), Vec<[u64; 3]>)| Account {
                id: SessionId(id), has_place, window: numbers[0], last_seen_ms: numbers[1], spent: NanoUsd(numbers[2]), early_leaves,
                leases: leases.into_iter().map(|[id, end_ms, amount]| Lease { id, end_ms, amount: NanoUsd(amount) }).collect(),
            };
            let bucket = TenantBucket { next_lease, accounts: accounts.into_iter().map(account).collect() };
            prop_assert_eq!(TenantBucket::from_bytes(&bucket.to_bytes()), Ok(bucket));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(bucket) = TenantBucket::from_bytes(&bytes) && !bytes.is_empty() {
                prop_assert_eq!(bucket.to_bytes(), bytes);
            }
        }
    }
}
