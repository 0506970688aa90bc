//! The offline half of SeqRoute: from logged or simulated sessions to a policy that the filter runs.
//!
//! ```text
//! session ─┐
//!          ├─► environment ─► hbr ─► learner ─► artifact ─► deploy
//! simulator┘        ▲                               │
//!                   └──────── evaluation ◄──────────┘
//! ```
//!
//! What must always hold:
//!
//! * Features, estimates, masks, prices and the decision rule are those of [`seqroute_core`]; this crate has none of
//!   its own. Whatever replays a session goes through [`environment::Episode`].
//! * Everything follows from data, configuration and seed: the same three give the same artifact, byte by byte.
//! * An output file appears whole or not at all ([`files`]).
#![forbid(unsafe_code)]

pub mod ablation;
pub mod artifact;
pub mod baseline;
pub mod bound;
pub mod compression;
pub mod deploy;
pub mod environment;
pub mod evaluation;
pub mod files;
pub mod guard;
pub mod hbr;
pub mod ingest;
pub mod learner;
pub mod models;
pub mod population;
pub mod prompts;
pub mod relabel;
pub mod session;
pub mod simulator;
pub mod split;
pub mod terminal;
pub mod training;
