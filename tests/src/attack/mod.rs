//! `make attack`: hostile clients and hostile model servers against the shipped filter in a real Envoy.
//!
//! The promise under test, for every session:
//!
//! ```text
//! billed(session) ≤ budget + Σ over turns in flight of a bounded error
//! ```
//!
//! **Billed** is what the model servers of this module ask for. They keep their own bill, know a session by a
//! marker in the prompt's text (`marker`), read requests as leniently as the servers they stand for
//! ([`server::flavour`]), and bill every answer that began in full, even if the client left. **Charged** is what the filter's
//! decision records say. **Unaccounted** is a paid call for which there is no such record. The error that one turn in
//! flight may cause is a constant of [`bound`].
//!
//! Each kind of attack is one file below [`kinds`]. A campaign is one session, or one caller with many ids, that plays
//! a kind; campaigns of kinds drawn by a seed run at once (`run`), next to honest clients (`honest`), and
//! `judge` compares the three sums at the end.

mod bill;
pub mod bound;
mod charged;
mod gateway;
mod honest;
mod judge;
pub mod kinds;
mod marker;
mod report;
mod run;
pub mod server;
mod wire;
mod world;

pub use report::Report;
pub use run::{Mix, Options, run};
