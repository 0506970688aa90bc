//! Tests of the counts against the tree of all paths, and of bankruptcy against the ledger.

use super::*;
use crate::hbr::{HbrConfig, Relabeller};
use crate::text_head::Predictions;
use proptest::prelude::*;
use seqroute_core::config::{GuardConfig, Strategy};
use seqroute_core::engine::Engine;
use seqroute_core::ledger::{SessionView, SettledTurn};
use seqroute_sessions::environment;
use seqroute_sessions::session::Session;
use seqroute_sessions::simulator::{Simulator, tiers};

fn plain(grid: Vec<u64>) -> HbrConfig {
    HbrConfig { grid_nano_usd: grid, price_factor: 1.0, all_branches: true, ..HbrConfig::default() }
}

fn short(seed: u64, count: usize) -> Vec<Session> {
    let mut sessions = Simulator::new(seed).sessions(count);
    sessions.iter_mut().for_each(|session| session.turns.truncate(4));
    sessions
}

fn counted(sessions: &[Session], config: &HbrConfig) -> Vec<BudgetCounts> {
    let (guard, predictions) = (GuardConfig::default(), Predictions::default());
    let models = tiers();
    Relabeller::new(sessions, &models, config, guard, predictions).unwrap().counts(1).unwrap()
}

#[test]
fn with_money_for_everything_the_tree_is_whole() {
    let mut sessions = Simulator::new(1).sessions(400);
    sessions.retain(|session| session.turns.len() >= 4);
    sessions.truncate(30);
    sessions.iter_mut().for_each(|session| session.turns.truncate(4));
    let found = counted(&sessions, &plain(vec![1 << 50]));
    let budget = &found[0];
    // Three models: 3 + 9 + 27 + 81 edges, 81 paths of 4 turns.
    assert_eq!((budget.transitions, budget.terminal, budget.path_turns), (30 * 120, 30 * 81, 30 * 324));
    assert_eq!(budget.bankrupt, 0);
}

#[test]
fn less_money_leaves_fewer_transitions() {
    let found = counted(&short(2, 40), &plain(vec![1_000_000, 4_000_000, 1 << 50]));
    let transitions: Vec<u64> = found.iter().map(|budget| budget.transitions).collect();
    assert!(transitions.is_sorted() && transitions[0] < transitions[2], "{transitions:?}");
    assert!(found[0].bankrupt > 0);
}

#[test]
fn the_parts_of_the_range_are_counted_apart_and_sum_to_all_rows() {
    let sessions = Simulator::new(3).sessions(50);
    let config = HbrConfig { budgets_per_session: 2, price_factor: 1.0, ..HbrConfig::default() };
    let found = counted(&sessions, &config);
    let rows = crate::hbr::relabel(&sessions, &tiers(), &config, 1).unwrap();
    assert_eq!(found.iter().map(|part| part.transitions).sum::<u64>(), rows.len() as u64);
    assert!(found[0].high_nano_usd < found[1].low_nano_usd && found[0].low_nano_usd < found[0].high_nano_usd);
}

/// Where the ledger ends a session: its own view, settled by hand, and the core's estimates for the mask.
fn replay(session: &Session, engine: &Engine, budget: NanoUsd, path: &[usize]) -> (u64, bool) {
    let mut view = SessionView::new(budget);
    let mut history = 0u64;
    for (t, (turn, wanted)) in session.turns.iter().zip(path).enumerate() {
        let prompt_tokens = history + turn.input_tokens;
        let body_bytes = prompt_tokens * engine.config().estimate.bytes_per_token;
        let size = seqroute_core::decide::estimate::RequestSize {
            body_bytes: Some(body_bytes),
            ..Default::default()
        };
        let tokens =
            seqroute_core::decide::estimate::TokenEstimate::new(&engine.config().estimate, &size, &view);
        let can_cut = engine.config().can_cut_answers();
        let least = |model| seqroute_core::decide::estimate::cost(model, &tokens, &view, can_cut).least;
        let payable = |k: usize| least(&engine.config().models[k]) <= view.budget.saturating_sub(view.spent);
        if !(0..3).any(payable) {
            return (t as u64, true);
        }
        if !payable(*wanted) {
            return (t as u64, false);
        }
        let model = engine.model(*wanted).unwrap();
        let output = turn.outcome(&model.name).unwrap().output_tokens;
        let (_, cap) = engine.reservation(*wanted, &view, &tokens);
        let output_tokens = output.min(cap.unwrap_or(u64::MAX));
        let cost = model.prices.cost(&seqroute_core::usage::Usage {
            input_tokens: prompt_tokens,
            output_tokens,
            ..Default::default()
        });
        view.settle(&SettledTurn {
            cost,
            model: *wanted as u8,
            prompt_tokens,
            body_bytes,
            warm_tokens: 0,
            output_tokens,
        });
        history = prompt_tokens + output_tokens;
    }
    (session.turns.len().min(path.len()) as u64, false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Over all paths of the tree, the rows that say "bankrupt" are as many as the distinct paths that the ledger ends.
    #[test]
    fn bankruptcy_and_truncation_are_the_ledgers(seed in any::<u64>(), budget in 200_000u64..20_000_000) {
        let session = short(seed, 1).remove(0);
        let engine = environment::engine(&tiers(), Strategy::BestAffordable, None).unwrap();
        let turns = session.turns.len() as u32;
        let (mut bankrupt, mut ended) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for code in 0..3usize.pow(turns) {
            let path: Vec<usize> = (0..turns).map(|t| code / 3usize.pow(t) % 3).collect();
            let (served, broke) = replay(&session, &engine, NanoUsd(budget), &path);
            let prefix = path[..served as usize].to_vec();
            if broke && served > 0 {
                bankrupt.insert(prefix);
            } else if served == u64::from(turns) {
                ended.insert(prefix);
            }
        }
        let found = counted(&[session], &plain(vec![budget]));
        prop_assert_eq!(found[0].bankrupt, bankrupt.len() as u64);
        prop_assert_eq!(found[0].terminal, (bankrupt.len() + ended.len()) as u64);
        let turns = bankrupt.iter().chain(&ended).map(Vec::len).sum::<usize>();
        prop_assert_eq!(found[0].path_turns, turns as u64);
    }
}
