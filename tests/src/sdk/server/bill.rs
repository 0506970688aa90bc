//! The bill that the strict servers keep, by the case that a prompt names.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sdk::models::Model;

/// What one answer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Input tokens at the full price.
    pub input: u64,
    /// Input tokens from the cache.
    pub cached: u64,
    /// Input tokens written to the cache for minutes.
    pub written: u64,
    /// Input tokens written to the cache for an hour.
    pub written_hour: u64,
    /// Output tokens, thinking included.
    pub output: u64,
    /// Output tokens of thinking.
    pub thinking: u64,
}

impl Used {
    /// All input tokens.
    #[must_use]
    pub fn whole_input(&self) -> u64 {
        self.input + self.cached + self.written + self.written_hour
    }

    /// nano-USD at a model's prices.
    #[must_use]
    pub fn cost(&self, model: &Model) -> u64 {
        self.input * model.input
            + self.cached * model.cached
            + self.written * model.write
            + self.written_hour * model.write_hour
            + self.output * model.output
    }
}

/// What one case was billed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// nano-USD of all answers that began.
    pub billed: u64,
    /// How many they were.
    pub answers: u64,
    /// Requests that were refused, with the reason that the client got.
    pub refused: Vec<String>,
    /// What each answer used, for reports.
    pub used: Vec<(&'static str, Used)>,
}

/// Every account, shared by all servers.
#[derive(Debug, Default)]
pub struct Bill {
    accounts: Mutex<BTreeMap<String, Account>>,
    attempts: Mutex<BTreeMap<String, u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bill {
    /// Bills an answer that begins.
    pub fn charge(&self, case: &str, model: &Model, used: Used) {
        let mut accounts = lock(&self.accounts);
        let account = accounts.entry(case.to_owned()).or_default();
        account.billed += used.cost(model);
        account.answers += 1;
        account.used.push((model.name, used));
    }

    /// Notes a request that costs nothing.
    pub fn refuse(&self, case: &str, reason: &str) {
        lock(&self.accounts).entry(case.to_owned()).or_default().refused.push(reason.to_owned());
    }

    /// How often this was tried before, and counts one more.
    pub fn attempt(&self, what: &str) -> u64 {
        let mut attempts = lock(&self.attempts);
        let count = attempts.entry(what.to_owned()).or_default();
        *count += 1;
        *count - 1
    }

    /// All accounts as they stand.
    #[must_use]
    pub fn accounts(&self) -> BTreeMap<String, Account> {
        lock(&self.accounts).clone()
    }
}
