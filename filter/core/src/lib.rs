//! The decision core of SeqRoute: everything the filter decides, and nothing of the host it runs in.
//!
//! Data flows one way through these modules:
//!
//! ```text
//! request ──► features ──► mask ──► policy ──► reservation ──► record
//! (request,    (features)   (locks,  (policy,   (ledger)        (record)
//!  scan)                     mask)    decide)
//! ```
//!
//! [`engine::Engine`] ties them together. The proxy-wasm shell, the trainer and the tests all call this crate, so
//! a feature, a price or the decision rule has one definition and serving cannot drift from training.
//!
//! What must always hold:
//!
//! * No input reaches a panic: `unwrap`, `expect`, indexing and unchecked arithmetic are denied below.
//! * Money is integer nano-USD, prices are integer pico-USD per token, every rounding is upwards.
//! * Nothing here knows proxy-wasm, reads a clock or draws a random number: the caller passes the time in.
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
pub mod usage;
pub mod wire;

// The former paths, until every user names the new ones.
pub use body::text;
pub use decide::{estimate, features, mask};
pub use reply::record;
pub use request::{api, session_id};

/// The largest number of models (actions) one policy may choose from.
pub const MAX_MODELS: usize = 8;
