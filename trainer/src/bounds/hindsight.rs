//! The best quality of a session with perfect foresight: a knapsack in which every item changes the price of the others,
//! because a long answer makes every later prompt longer.
//!
//! A partial path has money spent, tokens of history and quality so far; one that another path equals or beats in all
//! three is dropped, which loses nothing. The frontier of money and quality answers all budgets at once.
//!
//! Two variants bracket the optimum ([`Hindsight`]):
//!
//! * **at most**: paths may also skip a turn (quality 0, nothing spent, no answer in the history), which is better than
//!   any cut answer, and beyond [`MAX_PATHS`] similar paths are merged into one with the best of each.
//!   No router can do better on the session, whatever it knows, as no session can spend more than its budget.
//! * **at least**: paths give whole answers until they end, and beyond [`MAX_PATHS`] some are dropped. An oracle that
//!   knows all answers, and reserves exact costs, reaches this.

use seqroute_core::config::ModelConfig;
use seqroute_core::money::NanoUsd;
use seqroute_core::usage::Usage;

use seqroute_sessions::session::{Session, Turn};

/// Partial paths that are kept after a turn.
pub const MAX_PATHS: usize = 4000;
/// Smaller differences of quality are rounding: the same numbers summed in another order.
const NEGLIGIBLE: f64 = 1e-9;

/// Which bound to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindsight {
    /// An upper bound of the optimum.
    AtMost,
    /// A lower bound of the optimum.
    AtLeast,
}

/// Money and quality of a session's paths, both rising: the highest quality for at most that money.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frontier {
    points: Vec<(NanoUsd, f64)>,
}

impl Frontier {
    /// Spend and quality of the best path within a budget.
    #[must_use]
    pub fn within(&self, budget: NanoUsd) -> (NanoUsd, f64) {
        let count = self.points.partition_point(|(spent, _)| *spent <= budget);
        count.checked_sub(1).map_or((NanoUsd::ZERO, 0.0), |last| self.points[last])
    }

    /// From the points of all paths.
    fn new(mut points: Vec<(NanoUsd, f64)>) -> Self {
        points.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut highest = f64::MIN;
        points.retain(|(_, quality)| {
            let better = *quality > highest;
            highest = highest.max(*quality);
            better
        });
        Frontier { points }
    }
}

/// A partial path.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Path {
    spent: NanoUsd,
    history_tokens: u64,
    quality: f64,
}

/// The frontier of one session.
#[must_use]
pub fn frontier(session: &Session, models: &[ModelConfig], side: Hindsight) -> Frontier {
    frontier_of(session, models, side, MAX_PATHS)
}

fn frontier_of(session: &Session, models: &[ModelConfig], side: Hindsight, max_paths: usize) -> Frontier {
    let mut paths = vec![Path { spent: NanoUsd::ZERO, history_tokens: 0, quality: 0.0 }];
    let mut points = vec![(NanoUsd::ZERO, 0.0)];
    for turn in &session.turns {
        let next = paths.iter().flat_map(|path| steps(path, turn, models, side)).collect();
        paths = thinned(undominated(next), side, max_paths);
        points.extend(paths.iter().map(|path| (path.spent, path.quality)));
    }
    Frontier::new(points)
}

fn steps(path: &Path, turn: &Turn, models: &[ModelConfig], side: Hindsight) -> impl Iterator<Item = Path> {
    let prompt_tokens = path.history_tokens.saturating_add(turn.input_tokens);
    let skipped = (side == Hindsight::AtMost).then_some(Path { history_tokens: prompt_tokens, ..*path });
    let answered = models.iter().filter_map(move |model| {
        let outcome = turn.outcome(&model.name)?;
        let usage =
            Usage { input_tokens: prompt_tokens, output_tokens: outcome.output_tokens, ..Usage::default() };
        Some(Path {
            spent: path.spent.saturating_add(model.prices.cost(&usage)),
            history_tokens: prompt_tokens.saturating_add(outcome.output_tokens),
            quality: path.quality + outcome.quality,
        })
    });
    skipped.into_iter().chain(answered)
}

/// Drops every path that another one equals or beats in money, history and quality.
fn undominated(mut paths: Vec<Path>) -> Vec<Path> {
    paths.sort_by(|a, b| {
        let by_money = a.spent.cmp(&b.spent);
        by_money.then(a.history_tokens.cmp(&b.history_tokens)).then(b.quality.total_cmp(&a.quality))
    });
    // Pareto front of the cheaper paths: highest quality by history length, both rising.
    let mut stairs: std::collections::BTreeMap<u64, f64> = std::collections::BTreeMap::new();
    paths.retain(|path| {
        let shorter = stairs.range(..=path.history_tokens).next_back();
        if shorter.is_some_and(|(_, quality)| *quality >= path.quality - NEGLIGIBLE) {
            return false;
        }
        let beaten = stairs.range(path.history_tokens..).take_while(|(_, quality)| **quality <= path.quality);
        let beaten: Vec<u64> = beaten.map(|(history, _)| *history).collect();
        for history in beaten {
            stairs.remove(&history);
        }
        stairs.insert(path.history_tokens, path.quality);
        true
    });
    paths
}

/// Reduces to `max_paths` by merging neighbours in quality and money.
fn thinned(mut paths: Vec<Path>, side: Hindsight, max_paths: usize) -> Vec<Path> {
    let per_group = paths.len().div_ceil(max_paths.max(1));
    if per_group <= 1 {
        return paths;
    }
    paths.sort_by(|a, b| a.quality.total_cmp(&b.quality).then(a.spent.cmp(&b.spent)));
    let merge = |group: &[Path]| match side {
        Hindsight::AtLeast => group[0],
        Hindsight::AtMost => group.iter().fold(group[0], |best, path| Path {
            spent: best.spent.min(path.spent),
            history_tokens: best.history_tokens.min(path.history_tokens),
            quality: best.quality.max(path.quality),
        }),
    };
    paths.chunks(per_group).map(merge).collect()
}

#[cfg(test)]
#[path = "hindsight_tests.rs"]
mod tests;
