//! Sessions: how they are stored, simulated, replayed under a budget and served.
//!
//! The trainer, the Envoy set-up, the harness command and the tests share this crate. It does not depend on a tensor
//! library, so that only the trainer is built with one.
//!
//! Invariants:
//!
//! * Features, estimates, masks, prices and the decision rule are those of [`seqroute_core`]; this crate has none of
//!   its own. Every replay of a session goes through [`environment::Episode`].
//! * An output file appears whole or not at all ([`files`]).
#![forbid(unsafe_code)]

pub mod books;
pub mod compression;
pub mod deploy;
pub mod environment;
pub mod error;
pub mod files;
pub mod guard;
pub mod models;
pub mod prompts;
pub mod session;
pub mod simulator;
pub mod terminal;
