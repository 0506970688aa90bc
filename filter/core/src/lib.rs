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
//! then the files at the top: counters, prices, money, usage, one_line, pattern, text_enum
//! ```
//!
//! `answer` and `body` do not import each other. Tests may import anything.
//!
//! **The promise**, for every session, whatever clients, model servers and networks do:
//!
//! ```text
//! billed(session) ≤ budget + Σ over its turns that nobody could settle of what each had reserved
//! ```
//!
//! It rests on two bounds. A turn reserves at least what it can be billed: its input by every byte that can be prompt text
//! ([`body::input`]), more as the body proves denser ([`engine::cover`]), its output by every limit that a server may obey
//! ([`body::members`], [`body::edits`]). And a turn whose true cost is not known pays what it reserved
//! ([`engine::conclude`]). Turns that nobody can settle are those whose VM died, whose lease gives the money back, and a
//! configured number whose client left before any answer; `envoy/THREATS.md` lists the constants and what is not
//! defended. `tests/inequality.rs` holds the promise against random clients and servers.
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
pub mod pattern;
pub mod policy;
pub mod prices;
pub mod reply;
pub mod request;
mod text_enum;
pub mod usage;
pub mod wire;

/// The largest number of models (actions) one policy may choose from.
pub const MAX_MODELS: usize = 8;
