//! Everything needed to run SeqRoute in a real Envoy, for the demo and for tests.
//!
//! - [`launcher`] starts a real Envoy from the `envoy.yaml` that operators copy, with only addresses and paths changed,
//!   so a test that passes here tests the shipped file.
//! - [`mock_llm`] imitates model servers: honest token usage, and every fault of an upstream that a gateway must handle.
//! - [`gateway`] puts both together with the compiled filter.
//!
//! Three programs drive a gateway, each with traffic of its own: [`demo`] plays conversations, where each turn depends
//! on the answer before it; [`mod@bench`] keeps a fixed number of connections busy to time them; [`load`] sends many turns
//! of one session at once, with faults, to try to overspend budgets.
//!
//! Nothing in this crate runs in production.

pub mod bench;
pub mod chat;
pub mod demo;
pub mod gateway;
pub mod launcher;
pub mod load;
pub mod mock_llm;
