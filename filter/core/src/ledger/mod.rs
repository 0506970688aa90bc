//! The ledger: every session's budget, kept in shared data, which all workers see.
//!
//! A turn reserves its upper cost, and the reservation ends exactly once: it is settled with the true cost, refunded
//! when no answer came, or expires with its lease when its VM died and cannot end it. So at every moment
//!
//! ```text
//! granted = settled + refunded + expired + outstanding
//! ```
//!
//! and `spent + outstanding` of a session exceeds its budget only by what settlements cost beyond their
//! reservations, which is counted as overrun.
//!
//! Sessions live in a table of a fixed number of buckets ([`sessions`]), each one value in shared data
//! ([`sessions::bucket`]), changed only by compare-and-swap ([`table`], [`store`]). The configuration bounds its memory,
//! whatever clients send ([`size`]). A second level, the tenants' budgets, is a table of the same kind ([`tenants`]).
//! [`holding`] holds, renews and ends a turn's money on both levels. What was spent before the process began comes from
//! outside ([`books`]).
//!
//! Against hostile clients:
//!
//! * Ids are free, so a session's budget alone bounds nothing. Above it is the tenant's purse or, for clients without
//!   one, a cap on new sessions per address and window ([`callers`]).
//! * No party fills a table: in a full bucket the party that holds most makes room, each may have half of a bucket's
//!   turns in flight ([`sessions::room`]), and tenants that the configuration names always have a place.
//! * A turn that its client leaves before an answer is refunded a bounded number of times, per session and per tenant
//!   ([`view::Ending::Left`]).
//! * A lease is renewed while the answer comes, so no answer outlives its reservation, however long it takes
//!   ([`holding::Ledger::renew`]).

pub mod books;
pub mod callers;
pub mod error;
pub mod holding;
#[cfg(test)]
mod one_more_call;
pub mod sessions;
pub mod size;
pub mod store;
pub mod table;
pub mod tenants;
pub mod view;
pub mod window;

pub use error::LedgerError;
pub use view::{Ended, Ending, Namespace, SessionView, SettledTurn};
