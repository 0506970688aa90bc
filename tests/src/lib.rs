//! What the tests across crates share: [`support`], and [`scenario`]s, which are tests as data.
//!
//! The tests themselves are in `tests/harness/` (the filter in the harness: exact, repeatable, with faults between any
//! two steps) and `tests/envoy/` (the filter in a real Envoy, with model servers that fail in every way).

pub mod attack;
pub mod fuzz_module;
pub mod outcome_table;
pub mod scenario;
pub mod sdk;
pub mod support;
