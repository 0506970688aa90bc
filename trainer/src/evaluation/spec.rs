//! The input of an evaluation.

use seqroute_core::config::ModelConfig;

use super::methods::PolicyMethod;
use seqroute_sessions::session::Session;

/// Which methods to compare, on which sessions and budgets.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationSpec<'a> {
    /// The sessions, with outcomes of every model.
    pub sessions: &'a [Session],
    /// Sessions to estimate statistics on (dynamic program, linear program, remaining turns); may be empty.
    pub train: &'a [Session],
    /// Sessions to tune heuristics on, with outcomes of every model; may be empty.
    pub tune: &'a [Session],
    /// The models.
    pub models: &'a [ModelConfig],
    /// The policies, the one to compare the others with first.
    pub policies: &'a [PolicyMethod],
    /// Budgets, as shares of the mean cost of a session that the strongest model answers alone.
    pub budget_shares: &'a [f64],
    /// Budgets at which the first policy is played under many λ; may be empty.
    pub sweep_shares: &'a [f64],
    /// Seed of the bootstrap and of random methods.
    pub seed: u64,
    /// Bootstrap resamples.
    pub resamples: usize,
}
