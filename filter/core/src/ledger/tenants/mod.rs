//! The outer level: what a tenant (team, customer) may spend over all of its sessions, in all or per window of time.
//!
//! A tenant has thousands of turns in flight, so its reservations are not kept one by one: those whose leases end at
//! about the same time share a *hold*, a sum with one end. A turn remembers which hold it is part of, and takes its
//! share out when it ends; a hold that ends is given back as a whole. At most [`MAX_HOLDS`] are alive at once, so a
//! tenant's bytes are bounded. Each level conserves money by itself:
//!
//! ```text
//! tenant granted = tenant settled + tenant refunded + tenant expired + held now
//! ```
//!
//! A turn is charged to the window in which it ends. A tenant without a window is never forgotten before its TTL.
//!
//! Layout of a bucket (little endian): format `u8`, id of the next hold `u64`, then per tenant id `[u8; 16]`, window
//! `u64`, last seen `u64` ms, spent `u64` nano-USD, number of holds `u8`, and per hold id, end in ms and amount `u64`.

use crate::config::TenantConfig;
use crate::counters::{Counter, Counts};
use crate::ledger::sessions::bucket::{BucketError, take, take_u64};
use crate::ledger::store::SharedStore;
use crate::ledger::table::{self as swap, Change, Stored};
use crate::ledger::{Books, Ending, LedgerError};
use crate::money::NanoUsd;
use crate::request::session_id::SessionId;

const FORMAT: u8 = 1;
/// Bytes of a bucket without tenants.
pub const HEADER_BYTES: u64 = 9;
/// Bytes of a tenant without holds.
pub const TENANT_BYTES: u64 = 41;
/// Bytes of a hold.
pub const HOLD_BYTES: u64 = 24;
/// A lease is cut into this many parts; holds whose leases end in the same part are one.
const PARTS_OF_A_LEASE: u64 = 8;
/// Holds of one tenant that can be alive at once: the parts of a lease, and one begun at each end.
pub const MAX_HOLDS: usize = 10;

/// Money of turns in flight whose leases end together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    id: u64,
    end_ms: u64,
    amount: NanoUsd,
}

/// One tenant's account.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    id: SessionId,
    window: u64,
    last_seen_ms: u64,
    spent: NanoUsd,
    holds: Vec<Hold>,
}

impl Account {
    fn held(&self) -> NanoUsd {
        self.holds.iter().map(|hold| hold.amount).fold(NanoUsd::ZERO, NanoUsd::saturating_add)
    }
}

/// The tenants of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantBucket {
    next_hold: u64,
    accounts: Vec<Account>,
}

impl TenantBucket {
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

impl Stored for TenantBucket {
    fn from_bytes(bytes: &[u8]) -> Result<Self, BucketError> {
        if bytes.is_empty() {
            return Ok(TenantBucket::default());
        }
        let mut rest = bytes;
        read_bucket(&mut rest)
            .ok_or(BucketError { bytes: bytes.len(), at: bytes.len().saturating_sub(rest.len()) })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.next_hold.to_le_bytes());
        for account in &self.accounts {
            bytes.extend_from_slice(&account.id.0);
            for number in [account.window, account.last_seen_ms, account.spent.0] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.push(u8::try_from(account.holds.len()).unwrap_or(u8::MAX));
            for hold in account.holds.iter().take(usize::from(u8::MAX)) {
                for number in [hold.id, hold.end_ms, hold.amount.0] {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        bytes
    }
}

fn read_bucket(rest: &mut &[u8]) -> Option<TenantBucket> {
    if take::<1>(rest)? != [FORMAT] {
        return None;
    }
    let mut bucket = TenantBucket { next_hold: take_u64(rest)?, accounts: Vec::new() };
    while !rest.is_empty() {
        let id = SessionId(take::<16>(rest)?);
        let (window, last_seen_ms, spent) = (take_u64(rest)?, take_u64(rest)?, NanoUsd(take_u64(rest)?));
        let [count] = take::<1>(rest)?;
        let mut holds = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (id, end_ms, amount) = (take_u64(rest)?, take_u64(rest)?, NanoUsd(take_u64(rest)?));
            holds.push(Hold { id, end_ms, amount });
        }
        bucket.accounts.push(Account { id, window, last_seen_ms, spent, holds });
    }
    Some(bucket)
}

/// A tenant and what it may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Salted hash of its name.
    pub id: SessionId,
    /// In all, or per window.
    pub budget: NanoUsd,
}

/// A turn's share of a tenant's hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantHold {
    tenant: SessionId,
    hold: u64,
    amount: NanoUsd,
}

/// A tenant's bucket as it was read, and what the tenant may still reserve.
#[derive(Clone, Debug)]
pub struct OpenTenant {
    known: (TenantBucket, u32),
    /// Budget − spent − held.
    pub available: NanoUsd,
}

/// The table of tenants in one store.
#[derive(Clone, Copy, Debug)]
pub struct TenantTable<'a, S> {
    store: &'a S,
    config: &'a TenantConfig,
    lease_ms: u64,
    books: Books,
}

impl<'a, S: SharedStore> TenantTable<'a, S> {
    /// The table that `config` describes.
    #[must_use]
    pub fn new(store: &'a S, config: &'a TenantConfig, lease_ms: u64, books: Books) -> Self {
        TenantTable { store, config, lease_ms, books }
    }

    /// Reads what a tenant may still reserve, before anything is decided.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn open(&self, tenant: Tenant, now_ms: u64) -> Result<OpenTenant, LedgerError> {
        let known = swap::read::<TenantBucket>(self.store, &self.key(tenant.id))?;
        let mut bucket = known.0.clone();
        self.roll(&mut bucket, now_ms, &mut Counts::default());
        let account = bucket.accounts.iter().find(|account| account.id == tenant.id);
        let used = account.map_or(NanoUsd::ZERO, |account| account.spent.saturating_add(account.held()));
        Ok(OpenTenant { known, available: tenant.budget.saturating_sub(used) })
    }

    /// Holds `amount`. `Ok(None)`: the tenant does not have it any more.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing is held.
    pub fn reserve(
        &self,
        tenant: Tenant,
        opened: OpenTenant,
        amount: NanoUsd,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<Option<TenantHold>, LedgerError> {
        self.change(tenant.id, Some(opened.known), now_ms, counts, |bucket, counts| {
            let mut account = self.take(bucket, tenant.id, now_ms)?;
            let used = account.spent.saturating_add(account.held());
            if amount > tenant.budget.saturating_sub(used) {
                return Ok(Change::Keep(None));
            }
            let part_ms = self.part_ms();
            let end_ms = now_ms.saturating_add(self.lease_ms).div_ceil(part_ms).saturating_mul(part_ms);
            let full = account.holds.len() >= MAX_HOLDS;
            let hold = match account.holds.iter_mut().find(|hold| hold.end_ms == end_ms) {
                Some(hold) => {
                    hold.amount = hold.amount.saturating_add(amount);
                    hold.id
                }
                None if full => return Err(LedgerError::Full),
                None => {
                    let id = bucket.next_hold;
                    bucket.next_hold = id.wrapping_add(1);
                    account.holds.push(Hold { id, end_ms, amount });
                    id
                }
            };
            account.last_seen_ms = now_ms;
            bucket.accounts.push(account);
            counts.add(Counter::TenantGrantedNanoUsd, amount.0);
            Ok(Change::Write(Some(TenantHold { tenant: tenant.id, hold, amount })))
        })
    }

    /// Ends a turn's share of a hold: settled at its cost, or given back. After the hold's end only the cost is booked.
    ///
    /// # Errors
    /// [`LedgerError`]; then the share is given back with its hold.
    pub fn end(
        &self,
        share: TenantHold,
        ending: Ending,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Result<(), LedgerError> {
        let cost = match ending {
            Ending::Settle(turn) => turn.cost,
            Ending::Refund => NanoUsd::ZERO,
        };
        self.change(share.tenant, None, now_ms, counts, |bucket, counts| {
            let mut account = self.take(bucket, share.tenant, now_ms)?;
            let position = account.holds.iter().position(|hold| hold.id == share.hold);
            let held = match position.and_then(|position| account.holds.get_mut(position)) {
                Some(hold) => {
                    hold.amount = hold.amount.saturating_sub(share.amount);
                    share.amount
                }
                None if cost == NanoUsd::ZERO => return Ok(Change::Keep(())),
                None => NanoUsd::ZERO,
            };
            account.holds.retain(|hold| hold.amount > NanoUsd::ZERO);
            account.spent = account.spent.saturating_add(cost);
            account.last_seen_ms = now_ms;
            bucket.accounts.push(account);
            counts.add(Counter::TenantSettledNanoUsd, cost.0.min(held.0));
            counts.add(Counter::TenantRefundedNanoUsd, held.saturating_sub(cost).0);
            counts.add(Counter::TenantOverrunNanoUsd, cost.saturating_sub(held).0);
            Ok(Change::Write(()))
        })
    }

    /// The key of a tenant's bucket in shared data.
    #[must_use]
    pub fn key(&self, id: SessionId) -> String {
        let buckets = self.config.buckets;
        format!("{}/tenants/{buckets}/{}", self.books.prefix(), id.bucket(buckets))
    }

    fn part_ms(&self) -> u64 {
        self.lease_ms.div_ceil(PARTS_OF_A_LEASE).max(1)
    }

    fn change<R>(
        &self,
        id: SessionId,
        known: Option<(TenantBucket, u32)>,
        now_ms: u64,
        counts: &mut Counts,
        change: impl FnMut(&mut TenantBucket, &mut Counts) -> Result<Change<R>, LedgerError>,
    ) -> Result<R, LedgerError> {
        let roll = |bucket: &mut TenantBucket, counts: &mut Counts| self.roll(bucket, now_ms, counts);
        swap::update(self.store, &self.key(id), known, counts, roll, change)
    }

    /// Brings a bucket to the present: holds that have ended are given back, windows that have passed begin anew.
    /// Says whether any hold was removed or cut.
    fn roll(&self, bucket: &mut TenantBucket, now_ms: u64, counts: &mut Counts) -> bool {
        let mut changed = false;
        let latest_end_ms = now_ms.saturating_add(self.lease_ms).saturating_add(self.part_ms());
        let window = self.window(now_ms);
        for account in &mut bucket.accounts {
            account.holds.retain_mut(|hold| {
                let keep = hold.end_ms > now_ms;
                changed = changed || !keep || hold.end_ms > latest_end_ms;
                // A later end was made before the clock was set back.
                hold.end_ms = hold.end_ms.min(latest_end_ms);
                if !keep {
                    counts.add(Counter::TenantExpiredNanoUsd, hold.amount.0);
                }
                keep
            });
            if account.window != window {
                account.window = window;
                account.spent = NanoUsd::ZERO;
            }
            account.last_seen_ms = account.last_seen_ms.min(now_ms);
        }
        changed
    }

    fn window(&self, now_ms: u64) -> u64 {
        self.config.window_ms.and_then(|window_ms| now_ms.checked_div(window_ms)).unwrap_or(0)
    }

    /// Takes the tenant's account out of the bucket, or makes one. Only an account that says nothing makes room: one
    /// that has spent nothing in this window and holds nothing, or one past its TTL.
    fn take(&self, bucket: &mut TenantBucket, id: SessionId, now_ms: u64) -> Result<Account, LedgerError> {
        let ttl_ms = self.config.ttl_ms;
        let idle_ms = |account: &Account| now_ms.saturating_sub(account.last_seen_ms);
        bucket.accounts.retain(|account| {
            let says_nothing = account.spent == NanoUsd::ZERO || idle_ms(account) >= ttl_ms;
            account.id == id || !says_nothing || !account.holds.is_empty()
        });
        if let Some(position) = bucket.accounts.iter().position(|account| account.id == id) {
            return Ok(bucket.accounts.swap_remove(position));
        }
        if bucket.accounts.len() as u64 >= u64::from(self.config.tenants_per_bucket) {
            return Err(LedgerError::Full);
        }
        let window = self.window(now_ms);
        Ok(Account { id, window, last_seen_ms: now_ms, spent: NanoUsd::ZERO, holds: Vec::new() })
    }
}

#[cfg(test)]
mod tests;
