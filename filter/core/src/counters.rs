//! The filter's counters, as one list.
//!
//! The core only adds numbers up; the shell turns each into an Envoy counter named `seqroute.<name>`. Envoy
//! counters have no labels, so a fixed dimension is part of the name.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $counter:ident = $name:literal,)+) => {
        /// One counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Counter {
            $($(#[doc = $doc])+ $counter,)+
        }

        impl Counter {
            /// Every counter, in the order of their numbers.
            pub const ALL: &[Counter] = &[$(Counter::$counter),+];

            /// The counter's name after `seqroute.`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Counter::$counter => $name,)+
                }
            }
        }
    };
}

counters! {
    /// LLM requests that reached a decision.
    Decisions = "decisions",
    /// Requests that passed untouched (not an LLM call, or without a session under `no_session: bypass`).
    Bypassed = "bypassed",
    /// Requests refused because no model was affordable.
    Exhausted = "exhausted",
    /// Requests refused because turns in flight held the money that they needed.
    MoneyInFlight = "money_in_flight",
    /// Of the exhausted, refused because the tenant's budget was used up, not the session's.
    TenantExhausted = "tenant_exhausted",
    /// Requests served with an answer cut shorter than usual, the last resort before a refusal.
    Shortened = "shortened",
    /// Requests kept with a model, or its group, because the conversation could not be taken to another.
    Locked = "locked",
    /// Requests kept with the last model because a switch would not have paid for the lost prompt cache.
    CacheKept = "cache_kept",
    /// Requests refused because the session table had no room.
    TableFull = "table_full",
    /// Requests refused because a session, or the tenant or address that it belongs to, had too many turns in flight.
    TooManyInFlight = "too_many_in_flight",
    /// Requests refused because their caller had begun as many sessions as it may in this window.
    TooManyNewSessions = "too_many_new_sessions",
    /// Callers whose count of new sessions was forgotten before its window ended, for lack of room.
    CallersForgotten = "callers_forgotten",
    /// Requests refused because they name no tenant that has a budget.
    TenantUnknown = "tenant_unknown",
    /// Requests refused because shared data could not be read or written.
    StoreErrors = "store_errors",
    /// Compare-and-swap attempts that lost against another VM.
    CasConflicts = "cas_conflicts",
    /// Requests without a session id.
    NoSession = "no_session",
    /// Bodies that are not a JSON object.
    InvalidBody = "invalid_body",
    /// Requests for something that is not allowed: a member or a tool by which a server bills more than was reserved.
    Forbidden = "forbidden",
    /// Calls that are neither counted nor free, refused.
    RefusedCalls = "refused_calls",
    /// Requests that were reset because the session could not pay for the input that their body turned out to hold.
    InputsNotCovered = "inputs_not_covered",
    /// Requests for a model that is not configured.
    UnknownModel = "unknown_model",
    /// Trusted headers whose value is not a number in range.
    InvalidHeader = "invalid_header",
    /// Policies whose output was not finite; the cheapest model was taken.
    PolicyFailures = "policy_failures",
    /// Answers without final usage, or whose usage cannot be true: charged by estimate, or what was reserved.
    UsageEstimated = "usage_estimated",
    /// Of these, answers whose usage cannot be true.
    ImplausibleUsage = "implausible_usage",
    /// Settlements above their reservation.
    Overruns = "overruns",
    /// Settlements that came after their lease had expired.
    LateSettlements = "late_settlements",
    /// Sessions created in the table.
    SessionsCreated = "sessions_created",
    /// Sessions evicted for others before their TTL.
    SessionsEvicted = "sessions_evicted",
    /// Sessions that were over (unseen for their TTL) and removed.
    SessionsExpired = "sessions_expired",
    /// Evicted sessions that came back with what they had spent.
    SessionsRestored = "sessions_restored",
    /// Evicted sessions whose spending was forgotten before their TTL: should one come back, its budget is new.
    SessionsForgotten = "sessions_forgotten",
    /// Reservations that were not ended within their lease.
    LeasesExpired = "leases_expired",
    /// Turns whose lease was renewed while their answer came.
    LeasesRenewed = "leases_renewed",
    /// Turns that the client left before an answer.
    EarlyLeaves = "early_leaves",
    /// Of these, turns that were charged, since too many were left before.
    EarlyLeavesCharged = "early_leaves_charged",
    /// Money reserved, nano-USD. Always: granted = settled + refunded + expired + outstanding.
    GrantedNanoUsd = "granted_nano_usd",
    /// Reserved money that was spent, nano-USD.
    SettledNanoUsd = "settled_nano_usd",
    /// Reserved money given back, nano-USD.
    RefundedNanoUsd = "refunded_nano_usd",
    /// Reserved money given back because its lease ran out, nano-USD.
    ExpiredNanoUsd = "expired_nano_usd",
    /// Money spent beyond a reservation, nano-USD.
    OverrunNanoUsd = "overrun_nano_usd",
    /// Money spent by settlements whose lease had expired, nano-USD.
    LateNanoUsd = "late_nano_usd",
    /// Money reserved of tenants, nano-USD. Always: granted = settled + refunded + expired + held.
    TenantGrantedNanoUsd = "tenant_granted_nano_usd",
    /// Reserved money of tenants that was spent, nano-USD.
    TenantSettledNanoUsd = "tenant_settled_nano_usd",
    /// Reserved money of tenants given back, nano-USD.
    TenantRefundedNanoUsd = "tenant_refunded_nano_usd",
    /// Reserved money of tenants given back because its lease ran out, nano-USD.
    TenantExpiredNanoUsd = "tenant_expired_nano_usd",
    /// Money of tenants spent beyond a reservation, or after its lease had expired, nano-USD.
    TenantOverrunNanoUsd = "tenant_overrun_nano_usd",
    /// Decisions that were only recorded.
    ShadowDecisions = "shadow_decisions",
    /// Of these, requests that would have been refused.
    ShadowRefusals = "shadow_refusals",
}

/// Additions to the counters, collected while one request is handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    sums: [u64; Counter::ALL.len()],
}

impl Default for Counts {
    fn default() -> Self {
        Counts { sums: [0; Counter::ALL.len()] }
    }
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
    fn every_counter_has_its_own_number() {
        for (number, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, number, "{counter:?}");
        }
    }
}
