//! The compiled filter in a real Envoy.
//!
//! What a scenario can say is a file in `tests/scenarios/`, played here and in the harness. The tests by hand are for
//! what a scenario cannot say; each file begins with what that is.

mod attack;
mod bodies;
mod concurrency;
mod crash;
mod hot_update;
mod load;
mod parity;
mod scenarios;
mod sdk;
mod support;
