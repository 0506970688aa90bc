//! The demo: the same sessions through the same Envoy, once for every policy and budget.
//!
//! Sessions are drawn from the trainer's simulator with a seed that training never used. The mock servers answer with
//! the lengths that the simulator drew for each model, and an answer has the quality that the simulator drew for the
//! model that the gateway chose. Costs are read from the gateway's own decision records, not computed by the client.

pub mod play;
pub mod report;
