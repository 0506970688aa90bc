//! The decision core of SeqRoute: everything that the filter decides, and nothing of the host it runs in.
//!
//! The folders are the steps of a turn:
//!
//! ```text
//! request ──► body ──► decide ──► policy ──► ledger ──► reply        answer ──► ledger ──► reply
//!  headers    facts,    mask,      values    money      headers,      usage      money      record
//!             rewrite   features             is held    local reply              is settled
//! ```
//!
//! [`engine::Engine`] ties them together. The proxy-wasm shell, the trainer and the tests all call this crate, so
//! a feature, a price or the decision rule has one definition and serving cannot drift from training.
//!
//! **Order of imports.** A module imports only from its own folder and from those after it in this list:
//!
//! ```text
//! engine, reply, policy, decide, ledger, answer, body, request, wire, config,
//! then the files at the top: counters, money, usage, one_line, text_enum
//! ```
//!
//! `answer` and `body` do not import each other. Tests may import anything.
//!
//! What must always hold:
//!
//! * No input causes a panic: `unwrap`, `expect`, indexing and unchecked arithmetic are denied below.
//! * Money is integer nano-USD, prices are integer pico-USD per token, every rounding is upwards.
//! * Nothing here depends on proxy-wasm, reads a clock or draws a random number: the caller passes the time in.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unreachable
    )
)]
#![forbid(unsafe_code)]

pub mod answer;
pub mod body;
pub mod config;
pub mod counters;
pub mod decide;
pub mod engine;
pub mod ledger;
pub mod money;
pub mod one_line;
pub mod policy;
pub mod reply;
pub mod request;
mod text_enum;
pub mod usage;
pub mod wire;

/// The largest number of models (actions) one policy may choose from.
pub const MAX_MODELS: usize = 8;
