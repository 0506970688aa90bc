//! The verdict: what was billed, charged and seen, against the promise.

use std::collections::BTreeMap;

use seqroute_core::money::NanoUsd;

use super::bill::Account;
use super::bound::{Scope, allowed};
use super::charged::{Charged, WITHOUT_SESSION};
use super::kinds::Kind;
use super::world::Seen;

/// What a run added up to, each by account.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// The model servers'.
    pub billed: BTreeMap<String, Account>,
    /// The filter's.
    pub charged: BTreeMap<String, Charged>,
    /// What clients saw.
    pub seen: BTreeMap<String, Seen>,
    /// Budget of a session.
    pub budget: NanoUsd,
    /// Error of one turn in flight.
    pub per_turn: NanoUsd,
}

/// All campaigns of one kind, or all honest sessions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Name of the kind.
    pub name: String,
    /// Number of the known attack.
    pub case: String,
    /// Campaigns.
    pub campaigns: u64,
    /// What clients saw.
    pub seen: Seen,
    /// By the model servers.
    pub billed: NanoUsd,
    /// By the filter; `None` where its records cannot be told apart.
    pub charged: Option<NanoUsd>,
    /// The worst campaign's bill in budgets.
    pub worst_budgets: f64,
    /// Campaigns that were billed or charged beyond what is allowed.
    pub over: u64,
    /// Paid calls without a record.
    pub unaccounted: u64,
    /// The paths of those, with how often.
    pub unaccounted_paths: BTreeMap<String, u64>,
    /// Private things of a client that reached a provider.
    pub leaks: u64,
}

impl Row {
    /// What is wrong; empty where the kind fails to do harm.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut add = |count: u64, what: &str| {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        };
        add(self.over, "over");
        add(self.unaccounted, "unaccounted");
        add(self.leaks, "leaks");
        add(self.seen.harms, "harms");
        faults
    }
}

impl Sums {
    /// A row for each kind.
    #[must_use]
    pub fn rows(&self, kinds: &[Kind]) -> Vec<Row> {
        let mut rows: Vec<Row> =
            kinds.iter().map(|kind| self.row(kind.name, kind.case, kind.scope, kind.has_ids)).collect();
        self.without_ids(kinds, &mut rows);
        rows
    }

    /// The sum of honest sessions of this name.
    #[must_use]
    pub fn row(&self, name: &str, case: &str, scope: Scope, has_ids: bool) -> Row {
        let mut row = Row { name: name.to_owned(), case: case.to_owned(), ..Row::default() };
        let mut charged_sum = NanoUsd::ZERO;
        let of_kind = |account: &&String| account.rsplit_once('-').is_some_and(|(kind, _)| kind == name);
        let mut accounts: Vec<&String> =
            self.seen.keys().chain(self.billed.keys()).chain(self.charged.keys()).filter(of_kind).collect();
        accounts.sort_unstable();
        accounts.dedup();
        for account in accounts {
            row.campaigns += 1;
            let billed = self.billed.get(account).cloned().unwrap_or_default();
            let charged = self.charged.get(account).copied().unwrap_or_default();
            let seen = self.seen.get(account).cloned().unwrap_or_default();
            let most = allowed(scope, self.budget, self.per_turn, billed.most_in_flight, charged.forgiven);
            row.over += u64::from(billed.billed > most || charged.charged > most);
            row.worst_budgets = row.worst_budgets.max(billed.billed.0 as f64 / self.budget.0.max(1) as f64);
            row.billed = row.billed.saturating_add(billed.billed);
            row.leaks += billed.leaks;
            charged_sum = charged_sum.saturating_add(charged.charged);
            row.seen.turns += seen.turns;
            row.seen.served += seen.served;
            row.seen.refused += seen.refused;
            row.seen.harms += seen.harms;
            for (reason, count) in seen.reasons {
                *row.seen.reasons.entry(reason).or_default() += count;
            }
            if has_ids && billed.paid_calls > charged.turns {
                row.unaccounted += billed.paid_calls - charged.turns;
                for (path, count) in billed.paths {
                    *row.unaccounted_paths.entry(path).or_default() += count;
                }
            }
        }
        row.charged = has_ids.then_some(charged_sum);
        row
    }

    /// Turns without an id have records without a session, which count for all kinds without ids together.
    fn without_ids(&self, kinds: &[Kind], rows: &mut [Row]) {
        let paid: u64 = self
            .billed
            .iter()
            .filter(|(account, _)| {
                let kind = account.rsplit_once('-').map_or("", |(kind, _)| kind);
                kinds.iter().any(|known| known.name == kind && !known.has_ids)
            })
            .map(|(_, account)| account.paid_calls)
            .sum();
        let recorded = self.charged.get(WITHOUT_SESSION).map_or(0, |charged| charged.turns);
        let first = kinds.iter().position(|kind| !kind.has_ids);
        if let Some(row) = first.and_then(|first| rows.get_mut(first)) {
            row.unaccounted += paid.saturating_sub(recorded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(billed: u64, most_in_flight: u32, paid_calls: u64, charged: u64, turns: u64) -> Sums {
        let account = Account { billed: NanoUsd(billed), paid_calls, most_in_flight, ..Account::default() };
        Sums {
            billed: [("x-1".to_owned(), account)].into(),
            charged: [(
                "x-1".to_owned(),
                Charged { charged: NanoUsd(charged), turns, forgiven: NanoUsd::ZERO },
            )]
            .into(),
            budget: NanoUsd(100),
            per_turn: NanoUsd(10),
            ..Sums::default()
        }
    }

    fn faults(sums: &Sums) -> Vec<String> {
        sums.row("x", "-", Scope::Session, true).faults()
    }

    #[test]
    fn a_bill_within_the_budget_and_one_error_per_turn_in_flight_is_no_fault() {
        assert_eq!(faults(&sums(120, 2, 2, 100, 2)), Vec::<String>::new());
        assert_eq!(faults(&sums(121, 2, 2, 100, 2)), ["1 over"]);
        assert_eq!(faults(&sums(100, 2, 2, 121, 2)), ["1 over"]);
    }

    #[test]
    fn a_paid_call_without_a_record_is_a_fault() {
        assert_eq!(faults(&sums(10, 1, 3, 10, 2)), ["1 unaccounted"]);
    }
}
