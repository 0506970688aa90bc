//! What the tests across crates share: [`support`], and [`scenario`]s, which are tests as data.
//!
//! The tests themselves are in `tests/harness/` (the filter in our own host: exact, repeatable, with faults injected
//! between any two steps) and `tests/envoy/` (the same filter in a real Envoy with model servers that misbehave).

pub mod fuzz_module;
pub mod scenario;
pub mod support;
