//! What relabelling makes of sessions, in numbers.

use seqroute_core::money::NanoUsd;
use serde::Serialize;

use super::Transitions;

/// The rows under one budget, or under the budgets drawn from one part of the range.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BudgetCounts {
    /// Smallest budget.
    pub low_nano_usd: NanoUsd,
    /// Largest budget.
    pub high_nano_usd: NanoUsd,
    /// Rows.
    pub transitions: u64,
    /// Rows after which no model is affordable though a turn follows.
    pub bankrupt: u64,
    /// Rows after which the session ends, bankrupt or not: with all branches, the paths of the tree.
    pub terminal: u64,
    /// Turns of the paths that end in those rows, so that a turn counts once for every path through it.
    pub path_turns: u64,
}

impl BudgetCounts {
    /// Adds the rows of one replay.
    pub(super) fn add(&mut self, budget: NanoUsd, rows: &Transitions) {
        let unused = self.high_nano_usd == NanoUsd::ZERO;
        self.low_nano_usd = if unused { budget } else { self.low_nano_usd.min(budget) };
        self.high_nano_usd = self.high_nano_usd.max(budget);
        self.transitions += rows.len() as u64;
        self.bankrupt += rows.bankrupt.iter().filter(|bankrupt| **bankrupt).count() as u64;
        for (_, logged_turn) in
            rows.terminal.iter().zip(&rows.logged_turns).filter(|(terminal, _)| **terminal)
        {
            self.terminal += 1;
            self.path_turns += (logged_turn & u64::from(u32::MAX)) + 1;
        }
    }
}

#[cfg(test)]
#[path = "counts_tests.rs"]
mod tests;
