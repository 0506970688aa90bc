//! What the filter counts, as one list.
//!
//! The core only adds numbers up; the shell turns each into an Envoy counter named `seqroute.<name>`. Envoy
//! counters have no labels, so a fixed dimension is part of the name.

/// One counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// LLM requests that reached a decision.
    Decisions,
    /// Requests passed on untouched (no LLM call, or no session where that means bypass).
    Bypassed,
    /// Requests refused because no model was affordable.
    Exhausted,
    /// Requests refused because the session table had no room.
    TableFull,
    /// Requests refused because a session had too many turns in flight.
    TooManyInFlight,
    /// Requests refused because shared data could not be read or written.
    StoreErrors,
    /// Compare-and-swap attempts that another VM won.
    CasConflicts,
    /// Requests without a session id.
    NoSession,
    /// Bodies that are no JSON object.
    InvalidBody,
    /// Requests for a model that is not configured.
    UnknownModel,
    /// Trusted headers with a value that is no number in range.
    InvalidHeader,
    /// Policies whose output was not finite; the cheapest model was taken.
    PolicyFailures,
    /// Answers without usage, charged by estimate.
    UsageEstimated,
    /// Settlements above their reservation.
    Overruns,
    /// Settlements that came after their lease had expired.
    LateSettlements,
    /// Sessions created in the table.
    SessionsCreated,
    /// Sessions forgotten to make room.
    SessionsEvicted,
    /// Money reserved, nano-USD. Always: granted = settled + refunded + expired + outstanding.
    GrantedNanoUsd,
    /// Reserved money that was spent, nano-USD.
    SettledNanoUsd,
    /// Reserved money given back, nano-USD.
    RefundedNanoUsd,
    /// Reserved money given back because its lease ran out, nano-USD.
    ExpiredNanoUsd,
    /// Money spent beyond a reservation, nano-USD.
    OverrunNanoUsd,
    /// Money spent by settlements whose lease had expired, nano-USD.
    LateNanoUsd,
}

impl Counter {
    /// Every counter, in the order of their numbers.
    pub const ALL: [Counter; 23] = [
        Counter::Decisions,
        Counter::Bypassed,
        Counter::Exhausted,
        Counter::TableFull,
        Counter::TooManyInFlight,
        Counter::StoreErrors,
        Counter::CasConflicts,
        Counter::NoSession,
        Counter::InvalidBody,
        Counter::UnknownModel,
        Counter::InvalidHeader,
        Counter::PolicyFailures,
        Counter::UsageEstimated,
        Counter::Overruns,
        Counter::LateSettlements,
        Counter::SessionsCreated,
        Counter::SessionsEvicted,
        Counter::GrantedNanoUsd,
        Counter::SettledNanoUsd,
        Counter::RefundedNanoUsd,
        Counter::ExpiredNanoUsd,
        Counter::OverrunNanoUsd,
        Counter::LateNanoUsd,
    ];

    /// The counter's name behind `seqroute.`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Counter::Decisions => "decisions",
            Counter::Bypassed => "bypassed",
            Counter::Exhausted => "exhausted",
            Counter::TableFull => "table_full",
            Counter::TooManyInFlight => "too_many_in_flight",
            Counter::StoreErrors => "store_errors",
            Counter::CasConflicts => "cas_conflicts",
            Counter::NoSession => "no_session",
            Counter::InvalidBody => "invalid_body",
            Counter::UnknownModel => "unknown_model",
            Counter::InvalidHeader => "invalid_header",
            Counter::PolicyFailures => "policy_failures",
            Counter::UsageEstimated => "usage_estimated",
            Counter::Overruns => "overruns",
            Counter::LateSettlements => "late_settlements",
            Counter::SessionsCreated => "sessions_created",
            Counter::SessionsEvicted => "sessions_evicted",
            Counter::GrantedNanoUsd => "granted_nano_usd",
            Counter::SettledNanoUsd => "settled_nano_usd",
            Counter::RefundedNanoUsd => "refunded_nano_usd",
            Counter::ExpiredNanoUsd => "expired_nano_usd",
            Counter::OverrunNanoUsd => "overrun_nano_usd",
            Counter::LateNanoUsd => "late_nano_usd",
        }
    }
}

/// Additions to the counters, collected while one request is handled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    sums: [u64; Counter::ALL.len()],
}

impl Counts {
    /// Adds to one counter.
    pub fn add(&mut self, counter: Counter, amount: u64) {
        if let Some(sum) = self.sums.get_mut(counter as usize) {
            *sum = sum.saturating_add(amount);
        }
    }

    /// Adds all of another collection.
    pub fn merge(&mut self, other: &Counts) {
        other.iter().for_each(|(counter, amount)| self.add(counter, amount));
    }

    /// What was added to one counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.sums.get(counter as usize).copied().unwrap_or(0)
    }

    /// The counters that anything was added to.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|counter| (*counter, self.get(*counter))).filter(|(_, amount)| *amount > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_stands_at_its_own_number() {
        for (number, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, number, "{counter:?}");
        }
    }
}
