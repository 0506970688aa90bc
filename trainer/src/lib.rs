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
//!   its own. Whatever replays a session goes through [`Episode`].
//! * Everything follows from data, configuration and seed: the same three give the same artifact, byte by byte.
//!
//! [`Episode`]: seqroute_sessions::environment::Episode
#![forbid(unsafe_code)]

pub mod experiments;
pub mod artifact;
pub mod baselines;
pub mod bounds;
pub mod evaluation;
pub mod hbr;
pub mod ingest;
pub mod learner;
pub mod network;
pub mod population;
pub mod relabel;
pub mod text_head;
pub mod training;
