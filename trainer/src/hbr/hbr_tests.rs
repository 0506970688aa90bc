//! Tests of the relabelling: a session computed by hand, and the environment's arithmetic as a property.

use super::*;
use proptest::prelude::*;
use seqroute_core::body::text::TextFeatures;
use seqroute_core::config::Strategy;
use seqroute_core::prices::Prices;
use seqroute_sessions::session::{Outcome, Turn};
use seqroute_sessions::simulator;

fn model(name: &str, pico: u64) -> ModelConfig {
    let mut model = simulator::tiers().remove(0);
    model.name = name.to_owned();
    model.prices = Prices { input_pico_usd_per_token: pico, output_pico_usd_per_token: pico, ..model.prices };
    model.expected_output_tokens = 10;
    model.upper_output_tokens = 10;
    model
}

fn models() -> Vec<ModelConfig> {
    vec![model("small", 1_000), model("large", 10_000)]
}

/// Two turns of 30 and 160 message tokens, answered in 10 tokens by the named models.
fn session(answered_by: [&[&str]; 2]) -> Session {
    let turn = |(input_tokens, names): (u64, &[&str])| Turn {
        prompt_id: None,
        category: None,
        input_tokens,
        text: TextFeatures::default(),
        propensity: None,
        options: names
            .iter()
            .map(|name| Outcome {
                model: (*name).to_owned(),
                quality: if *name == "large" { 1.0 } else { 0.25 },
                output_tokens: 10,
            })
            .collect(),
    };
    Session { session: "s".to_owned(), turns: [30, 160].into_iter().zip(answered_by).map(turn).collect() }
}

/// Prices as they are, and λ = 0.
fn plain() -> HbrConfig {
    HbrConfig { price_factor: 1.0, lambda_share: 0.0, ..HbrConfig::default() }
}

/// Relabels under exactly one budget, given as a share of the reference cost.
fn relabel_at(session: Session, share: f64) -> Transitions {
    let config =
        HbrConfig { budget_min_share: share, budget_max_share: share, budgets_per_session: 1, ..plain() };
    relabel(&[session], &models(), &config, 1).unwrap()
}

const BOTH: &[&str] = &["small", "large"];

#[test]
fn a_budget_for_one_strong_turn_is_bankrupt_after_it_and_not_after_a_cheap_one() {
    // Always `large` costs 400 + 2100 = 2500 nano-USD. With 640, both are allowed first (least costs 60 and 600).
    // After `large` (400) 240 are left, `small` needs 261 + 20 = 281 for the prompt of 200 tokens and twice its
    // expected answer: bankrupt. After `small` 600 are left.
    let found = relabel_at(session([BOTH, BOTH]), 640.0 / 2500.0);
    assert_eq!(found.budget_range_nano_usd, [NanoUsd(640); 2]);
    assert_eq!(found.actions[..2], [0, 1]);
    assert_eq!(found.masks[..4], [true; 4]);
    assert_eq!(found.qualities[..2], [0.25, 1.0]);
    assert_eq!(found.costs[..2], [40.0 / 640.0, 400.0 / 640.0]);
    assert_eq!(found.terminal[..2], [false, true]);
    assert_eq!(found.bankrupt[..2], [false, true]);
    assert_eq!(found.next_masks[..4], [true, false, false, false]);
    assert!(found.next_states[found.features..2 * found.features].iter().all(|value| *value == 0.0));
    if let [.., last] = found.actions[2..] {
        // The rollout continued with `small`: `large` would need 2810 and has no row.
        assert_eq!((last, found.len()), (0, 3));
        assert_eq!(found.states[2 * found.features..], found.next_states[..found.features]);
        assert_eq!((found.terminal[2], found.bankrupt[2]), (true, false));
    }
}

#[test]
fn a_budget_too_small_for_the_first_turn_gives_no_row() {
    assert!(relabel_at(session([BOTH, BOTH]), 59.0 / 2500.0).is_empty());
}

#[test]
fn only_logged_answers_have_rows_and_a_forbidden_one_cuts_without_ending() {
    let path = || session([&["small"], &["large"]]);
    // The logged path costs 40 + 2100 = 2140.
    let whole = relabel_at(path(), 2.0);
    assert_eq!((whole.actions.as_slice(), whole.terminal.as_slice()), (&[0, 1][..], &[false, true][..]));
    let cut = relabel_at(path(), 640.0 / 2140.0);
    assert_eq!((cut.actions.as_slice(), cut.terminal.as_slice()), (&[0][..], &[false][..]));
    assert_eq!(cut.next_masks, [true, false]);
}

#[test]
fn the_same_seed_gives_the_same_rows() {
    let sessions = simulator::Simulator::new(1).sessions(20);
    let run = |seed| relabel(&sessions, &simulator::tiers(), &HbrConfig::default(), seed).unwrap();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).costs, run(2).costs);
}

#[test]
fn every_epoch_draws_anew() {
    let (sessions, models) = (simulator::Simulator::new(1).sessions(5), simulator::tiers());
    let (config, predictions) = (HbrConfig::default(), Predictions::default());
    let guard = GuardConfig::default();
    let relabeller = Relabeller::new(&sessions, &models, &config, guard, predictions).unwrap();
    let rows = |epoch| relabeller.rows(1, epoch).unwrap();
    assert_eq!(rows(0), relabel(&sessions, &models, &config, 1).unwrap());
    assert_ne!(rows(1).costs, rows(0).costs);
    assert!(rows(0).lambdas.iter().any(|lambda| *lambda > 0.0) && rows(0).lambdas.contains(&0.0));
}

#[test]
fn relabelled_prices_move_the_models_apart() {
    let one_turn = Session { turns: session([BOTH, BOTH]).turns[..1].to_vec(), session: "s".to_owned() };
    let config = HbrConfig { price_factor: 4.0, budget_min_share: 3.0, budget_max_share: 3.0, ..plain() };
    let found = relabel(&[one_turn], &models(), &config, 1).unwrap();
    // The share of the budget that each model's turn costs: 1/3 for the one that is the most expensive at its drawn price.
    let ratios: Vec<f32> = found.costs.chunks(2).map(|pair| pair[1] / pair[0]).collect();
    assert!(found.costs.chunks(2).all(|pair| (pair[0].max(pair[1]) - 1.0 / 3.0).abs() < 0.01));
    let largest = ratios.iter().copied().fold(0.0, f32::max);
    let smallest = ratios.iter().copied().fold(f32::MAX, f32::min);
    assert!(smallest < 5.0 && largest > 20.0 && largest <= 161.0, "{smallest} to {largest}");
}

#[test]
fn all_branches_are_the_whole_tree() {
    let config = HbrConfig { all_branches: true, grid_nano_usd: vec![1_000_000], ..plain() };
    let found = relabel(&[session([BOTH, BOTH])], &models(), &config, 1).unwrap();
    assert_eq!(found.actions, [0, 1, 0, 1, 0, 1]);
    assert_eq!(found.taken, [true; 6]);
    assert_eq!(found.budget_range_nano_usd, [NanoUsd(1_000_000); 2]);
}

#[test]
fn a_rollout_continues_from_one_row_of_every_state() {
    let found = relabel_at(session([BOTH, BOTH]), 5.0);
    assert_eq!(found.taken.chunks(2).map(|pair| pair.iter().filter(|taken| **taken).count()).max(), Some(1));
    assert_eq!(found.taken.iter().filter(|taken| **taken).count(), 2);
}

#[test]
fn without_the_budget_in_the_state_it_does_not_show_the_money_left() {
    let states = |share: f64| {
        let config = HbrConfig {
            budget_in_state: false,
            budget_min_share: share,
            budget_max_share: share,
            budgets_per_session: 1,
            ..plain()
        };
        relabel(&[session([BOTH, BOTH])], &models(), &config, 1).unwrap()
    };
    let (little, much) = (states(1.0), states(9.0));
    assert_eq!(little.state(0), much.state(0));
    assert!(little.costs[0] > much.costs[0]);
}

#[test]
fn without_the_mask_an_unaffordable_answer_ends_the_session_with_quality_0() {
    let config = HbrConfig { masked: false, grid_nano_usd: vec![640], ..plain() };
    let found = relabel(&[session([BOTH, BOTH])], &models(), &config, 1).unwrap();
    assert!(found.masks.iter().all(|allowed| *allowed));
    // The first state is as with the mask; in the second one `large` would need 2810 nano-USD.
    assert_eq!((found.actions[..2].to_vec(), found.qualities[1]), (vec![0, 1], 1.0));
    if found.len() == 4 {
        assert_eq!((found.actions[3], found.qualities[3], found.costs[3]), (1, 0.0, 0.0));
        assert_eq!((found.terminal[3], found.bankrupt[3], found.new_state[3]), (true, true, false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Every row, replayed by the environment from its own budget, gives the row again.
    #[test]
    fn the_first_rows_are_those_of_the_environment(seed in any::<u64>(), share in 0.02f64..2.0) {
        let sessions = simulator::Simulator::new(seed).sessions(1);
        let tiers = simulator::tiers();
        let engine = environment::engine(&tiers, Strategy::BestAffordable, None).unwrap();
        let config = HbrConfig {
            budget_min_share: share, budget_max_share: share, budgets_per_session: 1, ..plain()
        };
        let found = relabel(&sessions, &tiers, &config, seed).unwrap();
        let budget = found.budget_range_nano_usd[0];
        let (mut row, mut episode) = (0, Episode::new(&engine, &sessions[0], budget));
        while row < found.len() {
            let decision = episode.decide(0.0);
            let plain = decision.features.without_text();
            prop_assert_eq!(plain, &found.state(row)[..plain.len()]);
            prop_assert_eq!(&found.state(row)[plain.len()..], &[0.0; 6][..]);
            let mut following = None;
            for model in decision.mask.allowed() {
                let mut branch = episode;
                let step = branch.take(model).unwrap();
                prop_assert_eq!(found.actions[row] as usize, model);
                prop_assert_eq!(found.costs[row], (step.cost.0 as f64 / budget.0 as f64) as f32);
                let next = branch.turn().map(|_| branch.decide(0.0));
                let bankrupt = next.as_ref().is_some_and(|next| next.mask.allowed().next().is_none());
                prop_assert_eq!(found.bankrupt[row], bankrupt);
                prop_assert_eq!(found.terminal[row], bankrupt || next.is_none());
                let continues = next.filter(|_| !bankrupt).filter(|next| {
                    let rows = decision.mask.allowed().count() - decision.mask.allowed().take_while(|m| *m < model).count();
                    (row + rows) < found.len() && found.state(row + rows).starts_with(next.features.without_text())
                });
                if continues.is_some() { following = Some(branch); }
                row += 1;
            }
            match following {
                Some(branch) => episode = branch,
                None => prop_assert_eq!(row, found.len()),
            }
        }
    }
}
