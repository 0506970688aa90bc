//! The offline half of SeqRoute: from logged or simulated sessions to a policy that the filter runs.
//!
//! ```text
//! sessions ─► text_head ─► hbr ─► learner ─► artifact ─► policy archive
//!                          (one training run: training)        │
//!             baselines, bounds ─────────► evaluation ◄────────┘
//! ```
//!
//! What must always hold:
//!
//! * Features, estimates, masks, prices and the decision rule are those of [`seqroute_core`]; this crate has none of
//!   its own. Whatever replays a session goes through [`Episode`].
//! * Everything follows from data, configuration and seed: the same three give the same artifact, byte by byte.
//! * A module imports only modules to its left: error, ingest, network, text_head, population, baselines, bounds, hbr,
//!   learner, artifact, training, evaluation, experiments.
//!
//! [`Episode`]: seqroute_sessions::environment::Episode
#![forbid(unsafe_code)]

pub mod artifact;
pub mod baselines;
pub mod bounds;
pub mod error;
pub mod evaluation;
pub mod experiments;
pub mod hbr;
pub mod ingest;
pub mod learner;
pub mod network;
pub mod population;
pub mod text_head;
pub mod training;
