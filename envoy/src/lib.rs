//! Everything needed to run SeqRoute in a real Envoy, for the demo and for tests.
//!
//! - [`launcher`] starts a real Envoy from the `envoy.yaml` that operators copy, with only addresses and
//!   paths changed. A test that passes here therefore speaks about the shipped file.
//! - [`mock_llm`] plays the models: honest token usage, and every way in which an upstream can let a
//!   gateway down.
//!
//! - [`demo`] plays the same sessions with every policy, [`mod@bench`] measures what the filter adds, [`load`] tries to
//!   overspend budgets.
//!
//! Nothing in this crate runs in production.

pub mod bench;
pub mod demo;
pub mod launcher;
pub mod load;
pub mod mock_llm;
