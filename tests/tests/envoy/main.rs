//! The compiled filter in a real Envoy.

mod bad_input;
mod bodies;
mod concurrency;
mod crash;
mod hot_update;
mod load;
mod outcomes;
mod parity;
mod scenarios;
mod support;
mod turns;
