//! The bill that the model servers keep.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seqroute_core::money::NanoUsd;

/// What one campaign, or one honest session, was billed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// All answers that began.
    pub billed: NanoUsd,
    /// How many they were.
    pub paid_calls: u64,
    /// Paid calls by path, for the report.
    pub paths: BTreeMap<String, u64>,
    /// Things that a model server must never receive.
    pub leaks: u64,
    /// Paid turns that run.
    pub in_flight: u32,
    /// The most that ran at once.
    pub most_in_flight: u32,
}

/// Every account, shared by all model servers.
#[derive(Debug, Default)]
pub struct Bill {
    accounts: Mutex<BTreeMap<String, Account>>,
}

/// A paid turn that runs; dropping it ends the turn, not the bill.
#[derive(Debug)]
pub struct Running {
    bill: Arc<Bill>,
    account: String,
}

impl Bill {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bills an answer that begins.
    #[must_use]
    pub fn begin(self: &Arc<Self>, account: &str, path: &str, cost: NanoUsd) -> Running {
        let mut accounts = self.lock();
        let entry = accounts.entry(account.to_owned()).or_default();
        entry.billed = entry.billed.saturating_add(cost);
        entry.paid_calls += 1;
        *entry.paths.entry(path.chars().take(60).collect()).or_default() += 1;
        entry.in_flight += 1;
        entry.most_in_flight = entry.most_in_flight.max(entry.in_flight);
        Running { bill: Arc::clone(self), account: account.to_owned() }
    }

    /// Notes that a request brought along what belongs to the client or to another provider.
    pub fn leak(&self, account: &str) {
        self.lock().entry(account.to_owned()).or_default().leaks += 1;
    }

    /// All accounts as they stand.
    #[must_use]
    pub fn accounts(&self) -> BTreeMap<String, Account> {
        self.lock().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(entry) = self.bill.lock().get_mut(&self.account) {
            entry.in_flight = entry.in_flight.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_at_once_is_kept_and_a_bill_stays_when_its_turn_ends() {
        let bill = Arc::new(Bill::default());
        let first = bill.begin("a", "/", NanoUsd(2));
        let second = bill.begin("a", "/", NanoUsd(3));
        drop((first, second));
        drop(bill.begin("a", "/", NanoUsd(4)));
        let account = &bill.accounts()["a"];
        assert_eq!((account.billed, account.paid_calls), (NanoUsd(9), 3));
        assert_eq!((account.in_flight, account.most_in_flight), (0, 2));
    }
}
