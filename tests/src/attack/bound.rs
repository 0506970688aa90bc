//! The constants of the promise, in one place: what a session may be billed beyond its budget.
//!
//! Nothing here depends on what a client or a model server said. A filter that makes them configurable is to be read
//! from its configuration here.

use seqroute_core::money::NanoUsd;
use seqroute_core::prices::Prices;
use seqroute_core::usage::Usage;

/// Input tokens by which one turn may be billed beyond its reservation: chat templates and tokenizers differ.
pub const INPUT_ERROR_TOKENS: u64 = 500;
/// Output tokens by which one turn may be billed beyond its reservation.
pub const OUTPUT_ERROR_TOKENS: u64 = 100;
/// Session budgets that one caller may spend, however many session ids it makes up or leaves out: `callers.new_sessions` of
/// the attack's listeners.
pub const CALLER_BUDGETS: u64 = 8;

/// Who pays together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One session with its own budget.
    Session,
    /// One caller (a tenant or an address) with as many ids as it likes.
    Caller,
}

/// The error of one turn in flight at the prices of the most expensive configured model.
#[must_use]
pub fn per_turn(largest: &Prices) -> NanoUsd {
    let error =
        Usage { input_tokens: INPUT_ERROR_TOKENS, output_tokens: OUTPUT_ERROR_TOKENS, ..Usage::default() };
    largest.cost(&error)
}

/// The most that a session, or a caller, may be billed. `forgiven` is what the one turn had reserved whose client may leave
/// before any answer without paying (`ledger.free_early_leaves`); its server bills it.
#[must_use]
pub fn allowed(
    scope: Scope,
    budget: NanoUsd,
    per_turn: NanoUsd,
    most_in_flight: u32,
    forgiven: NanoUsd,
) -> NanoUsd {
    let budgets = match scope {
        Scope::Session => 1,
        Scope::Caller => CALLER_BUDGETS,
    };
    let errors = per_turn.0.saturating_mul(u64::from(most_in_flight));
    NanoUsd(budget.0.saturating_mul(budgets).saturating_add(errors)).saturating_add(forgiven)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_in_flight_adds_one_error_and_a_caller_has_several_budgets() {
        let (budget, error) = (NanoUsd(50), NanoUsd(3));
        assert_eq!(allowed(Scope::Session, budget, error, 4, NanoUsd(7)), NanoUsd(69));
        assert_eq!(
            allowed(Scope::Caller, budget, error, 4, NanoUsd::ZERO),
            NanoUsd(50 * CALLER_BUDGETS + 12)
        );
    }
}
