//! The compiled filter in the harness.
//!
//! What a scenario can say is a file in `tests/scenarios/`, played here and in a real Envoy. The tests by hand are for
//! what a scenario cannot say; each file begins with what that is.

mod bad_input;
mod chunks;
mod configuration;
mod coverage;
mod host_calls;
mod interleaving;
mod ledger;
mod records;
mod scenarios;
mod support;
mod tenants;
