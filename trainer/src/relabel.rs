//! Hindsight Budget Relabeling as a stage of its own: what it makes of a session file, counted while the file streams
//! through.
//!
//! Memory holds [`CHUNK`] sessions and their rows. Where budgets are shares of the reference cost, the file is read
//! twice: once for the reference. The rows themselves are those of [`crate::hbr`], so what is counted here is what a
//! training run sees.

use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::engine::Engine;
use seqroute_core::money::NanoUsd;
use serde::Serialize;

use crate::hbr::{self, HbrConfig};
use seqroute_sessions::environment::{self, Episode, ReplayError};
use seqroute_sessions::session::{DataError, Session};

/// Sessions in memory at once.
pub const CHUNK: usize = 1000;

/// What cannot be relabelled.
#[derive(Debug, thiserror::Error)]
pub enum RelabelError {
    /// The file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The models.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// One budget, or a range that budgets are drawn from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BudgetCounts {
    /// Smallest budget.
    pub low_nano_usd: NanoUsd,
    /// Largest budget.
    pub high_nano_usd: NanoUsd,
    /// Rows.
    pub transitions: u64,
    /// Rows after which no model can be paid though a turn comes.
    pub bankrupt: u64,
    /// Rows after which the session ends, bankrupt or not.
    pub terminal: u64,
    /// With all branches: root-to-end paths of the tree.
    pub paths: u64,
    /// With all branches: their turns, so that a turn counts once for every path through it.
    pub path_turns: u64,
}

impl BudgetCounts {
    fn add(&mut self, rows: &hbr::Transitions) {
        let count = |flags: &[bool]| flags.iter().filter(|flag| **flag).count() as u64;
        self.transitions += rows.len() as u64;
        self.bankrupt += count(&rows.bankrupt);
        self.terminal += count(&rows.terminal);
        let [low, high] = rows.budget_range_nano_usd;
        self.low_nano_usd = low;
        self.high_nano_usd = high;
    }
}

/// The counts of a whole file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelabelCounts {
    /// Sessions read.
    pub sessions: u64,
    /// Their turns.
    pub turns: u64,
    /// Mean cost of a session by its costliest path; 0 with a grid of budgets.
    pub reference_nano_usd: f64,
    /// One entry per budget of the grid, or per equal part of the logarithmic range.
    pub budgets: Vec<BudgetCounts>,
}

/// Relabels sessions as they come. `open` starts the file from its beginning; `progress` hears how many sessions are
/// done.
///
/// # Errors
/// A line that is no session, or models that the core refuses.
pub fn count<I: Iterator<Item = Result<Session, DataError>>>(
    open: impl Fn() -> Result<I, DataError>,
    models: &[ModelConfig],
    config: &HbrConfig,
    seed: u64,
    mut progress: impl FnMut(u64),
) -> Result<RelabelCounts, RelabelError> {
    let engine = environment::engine(models, Strategy::BestAffordable, None)?;
    let grid = config.grid_nano_usd.len();
    let reference_nano_usd = if grid == 0 { reference(open()?, &engine)? } else { 0.0 };
    let budgets = if grid == 0 { config.budgets_per_session } else { grid };
    let mut counts = RelabelCounts {
        sessions: 0,
        turns: 0,
        reference_nano_usd,
        budgets: vec![BudgetCounts::default(); budgets],
    };
    for_each_chunk(open()?, |number, chunk| {
        for (at, of_budget) in counts.budgets.iter_mut().enumerate() {
            let config = one_budget(config, at, reference_nano_usd, &engine, chunk);
            // Another stream of random numbers for every chunk and budget.
            let seed = seed.wrapping_add((number * budgets + at) as u64);
            of_budget.add(&hbr::relabel(chunk, models, &config, seed, |_| {})?);
            if config.all_branches && config.price_factor == 1.0 && config.grid_nano_usd.len() == 1 {
                for session in chunk {
                    let budget = NanoUsd(config.grid_nano_usd[0]);
                    let (paths, turns) = paths(Episode::new(&engine, session, budget), 0)?;
                    of_budget.paths += paths;
                    of_budget.path_turns += turns;
                }
            }
        }
        counts.sessions += chunk.len() as u64;
        counts.turns += chunk.iter().map(|session| session.turns.len() as u64).sum::<u64>();
        progress(counts.sessions);
        Ok(())
    })?;
    Ok(counts)
}

/// The settings for the budget, or part of the range, number `at`. Shares are of the whole file's reference, and
/// relabelling takes them of its own sessions', so they are scaled.
fn one_budget(
    config: &HbrConfig,
    at: usize,
    reference: f64,
    engine: &Engine,
    chunk: &[Session],
) -> HbrConfig {
    if let Some(budget) = config.grid_nano_usd.get(at) {
        return HbrConfig { grid_nano_usd: vec![*budget], ..config.clone() };
    }
    let (low, high) = (config.budget_min_share.ln(), config.budget_max_share.ln());
    let scale = reference / hbr::reference_cost_nano_usd(engine, chunk).max(1.0);
    let end =
        |part: usize| scale * (low + (high - low) * part as f64 / config.budgets_per_session as f64).exp();
    HbrConfig {
        budget_min_share: end(at),
        budget_max_share: end(at + 1),
        budgets_per_session: 1,
        ..config.clone()
    }
}

/// Mean cost of a session by its costliest path, over the whole file.
fn reference(
    sessions: impl Iterator<Item = Result<Session, DataError>>,
    engine: &Engine,
) -> Result<f64, RelabelError> {
    let (mut sum, mut count) = (0.0, 0.0);
    for_each_chunk(sessions, |_, chunk| {
        sum += hbr::reference_cost_nano_usd(engine, chunk) * chunk.len() as f64;
        count += chunk.len() as f64;
        Ok(())
    })?;
    Ok(sum / f64::max(count, 1.0))
}

fn for_each_chunk(
    mut sessions: impl Iterator<Item = Result<Session, DataError>>,
    mut each: impl FnMut(usize, &[Session]) -> Result<(), RelabelError>,
) -> Result<(), RelabelError> {
    for number in 0.. {
        let chunk = sessions.by_ref().take(CHUNK).collect::<Result<Vec<_>, _>>()?;
        if chunk.is_empty() {
            break;
        }
        each(number, &chunk)?;
    }
    Ok(())
}

/// Paths of the tree from here to the end or bankruptcy, and their turns, the `before` ones of each included. A session
/// that cannot start has none.
fn paths(episode: Episode<'_>, before: u64) -> Result<(u64, u64), ReplayError> {
    let mut sum = (0, 0);
    if episode.turn().is_some() {
        let mask = episode.decide(0.0).mask;
        for model in mask.allowed().filter(|model| episode.outcome(*model).is_some()) {
            let mut branch = episode;
            branch.take(model)?;
            let (paths, turns) = paths(branch, before + 1)?;
            sum = (sum.0 + paths, sum.1 + turns);
        }
    }
    Ok(if sum.0 == 0 && before > 0 { (1, before) } else { sum })
}

#[cfg(test)]
#[path = "relabel_tests.rs"]
mod tests;
