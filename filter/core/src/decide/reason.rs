//! Why a model was chosen, or a request refused.

use crate::text_enum::text_enum;

text_enum! {
    /// Why a model was chosen, or why the request was refused.
    Reason {
        /// The policy preferred the model.
        Policy = "policy",
        /// The strategy is not a policy.
        Strategy = "strategy",
        /// A switch would not have paid for the prompt cache that it gives up.
        CacheKept = "cache_kept",
        /// The cheapest model, its answer cut short: the last resort before a refusal.
        Shortened = "shortened",
        /// The cheapest model, because the policy failed.
        Fallback = "fallback",
        /// Refused: no model is affordable with what the session has left.
        SessionBudgetExceeded = "session_budget_exceeded",
        /// Refused: turns in flight hold the money that this one needs; it may be tried again.
        MoneyInFlight = "money_in_flight",
        /// Refused: the tenant's budget is used up.
        TenantBudgetExceeded = "tenant_budget_exceeded",
        /// Refused: the prompt exceeds every model's context window.
        ContextLengthExceeded = "context_length_exceeded",
        /// Refused: no available model can take the request.
        NoCapableModel = "no_capable_model",
        /// Refused: the session, or the tenant or address that it belongs to, has too many turns in flight.
        TooManyTurnsInFlight = "too_many_turns_in_flight",
        /// Refused: the caller has begun as many sessions as it may in this window.
        TooManyNewSessions = "too_many_new_sessions",
        /// Refused: the request names no tenant that has a budget.
        TenantUnknown = "tenant_unknown",
        /// Refused: the session table is full or cannot be used.
        SessionTableUnavailable = "session_table_unavailable",
        /// Refused: the request names no session.
        SessionMissing = "session_missing",
        /// Refused: a trusted header has an invalid value.
        InvalidHeader = "invalid_header",
        /// Refused: the body is not a JSON object.
        InvalidBody = "invalid_body",
        /// Refused: the body asks for something that is not allowed.
        RequestNotAllowed = "request_not_allowed",
        /// Refused: the call is neither counted nor free.
        CallNotAllowed = "call_not_allowed",
        /// Refused: the body is compressed, or not JSON.
        UnsupportedBody = "unsupported_body",
        /// Refused: the requested model is not configured.
        ModelNotFound = "model_not_found",
        /// Not decided yet.
        Undecided = "",
        /// A reason of a newer filter's record.
        #[serde(other)]
        Other = "other",
    }
}
