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
//! [`holding`] holds and ends a turn's money on both levels.

pub mod error;
pub mod holding;
pub mod sessions;
pub mod size;
pub mod store;
pub mod table;
pub mod tenants;
pub mod view;

pub use error::LedgerError;
pub use view::{Ending, Namespace, SessionView, SettledTurn};
