//! Tests of the replay against hand-computed sessions.

use super::*;
use crate::simulator;
use proptest::prelude::*;
use seqroute_core::config::{Accepts, ApiName, Strategy};
use seqroute_core::prices::Prices;

fn model(name: &str, pico: u64) -> ModelConfig {
    ModelConfig {
        name: name.to_owned(),
        cluster: name.to_owned(),
        prices: Prices {
            input_pico_usd_per_token: pico,
            output_pico_usd_per_token: pico,
            ..Prices::default()
        },
        apis: ApiName::ALL.to_vec(),
        rank: None,
        free: false,
        context_tokens: 100_000,
        tokens_per_second: None,
        expected_output_tokens: 10,
        upper_output_tokens: 10,
        max_output_tokens: None,
        min_output_tokens: 1,
        image_tokens: ModelConfig::DEFAULT_IMAGE_TOKENS,
        limit_member: seqroute_core::config::LimitMember::default(),
        stream_usage: true,
        accepts: Accepts::default(),
        compat_group: None,
    }
}

fn models() -> Vec<ModelConfig> {
    vec![model("small", 1_000), model("large", 10_000)]
}

/// Two turns of 30 and 60 message tokens; both models answer in 10 tokens.
fn session() -> Session {
    let option = |model: &str, quality: f64| Outcome { model: model.to_owned(), quality, output_tokens: 10 };
    let turn = |input_tokens: u64| Turn {
        prompt_id: None,
        category: None,
        input_tokens,
        text: TextFeatures::default(),
        propensity: None,
        options: vec![option("small", 0.25), option("large", 1.0)],
    };
    Session { session: "s".to_owned(), turns: vec![turn(30), turn(60)] }
}

fn best() -> Engine {
    engine(&models(), Strategy::BestAffordable, None).unwrap()
}

fn follow(_: &Episode<'_>, decision: &Decision) -> Option<usize> {
    decision.chosen
}

#[test]
fn the_prompt_grows_by_messages_and_chosen_answers() {
    let engine = best();
    let traces = replay(&engine, &session(), NanoUsd(10_000), &[0, 1]).unwrap();
    // Turn 0: 30 + 10 tokens at 1 nano-USD; turn 1: 30 + 10 + 60 input and 10 output at 10 nano-USD.
    assert_eq!(traces.iter().map(|trace| trace.cost.0).collect::<Vec<_>>(), [40, 1100]);
    assert_eq!(traces[1].features.as_slice()[2], 101f32.ln());
}

#[test]
fn a_session_that_runs_out_ends_and_its_other_turns_count_nothing() {
    let (engine, mut session) = (best(), session());
    session.turns[1].input_tokens = 160;
    // Turn 0 with `large` reserves (40 + 20) × 10 = 600 and costs 400; what is left cannot pay turn 1 with `small`.
    // Its prompt of 200 tokens is estimated at most at 261 (34 for what was sent before with the margin of an
    // eighth, 227 for 680 new bytes), and the answer at 20.
    let result = run(&engine, &session, NanoUsd(680), 0.0, follow).unwrap();
    assert!(result.bankrupt);
    assert_eq!((result.served, result.turns, result.cost, result.quality), (1, 2, NanoUsd(400), 1.0));
    let result = run(&engine, &session, NanoUsd(681), 0.0, follow).unwrap();
    assert!(!result.bankrupt);
    assert_eq!((result.served, result.cost, result.quality), (2, NanoUsd(610), 1.25));
    assert_eq!(result.served_by[..2], [1, 1]);
}

#[test]
fn an_answer_longer_than_the_money_is_cut_and_counts_nothing() {
    let (engine, mut session) = (best(), session());
    session.turns[0].options[0].output_tokens = 500;
    // `small` may be taken with 60: 40 for the prompt at most and 20 for the answer, which is cut there.
    let result = run(&engine, &session, NanoUsd(60), 0.0, follow).unwrap();
    assert_eq!((result.served, result.cut, result.quality), (1, 1, 0.0));
    assert_eq!(result.cost, NanoUsd(30 + 20));
}

#[test]
fn a_missing_outcome_is_an_error_that_names_it() {
    let mut session = session();
    session.turns[1].options.pop();
    let engine = best();
    let error = run(&engine, &session, NanoUsd(1_000_000), 0.0, follow).unwrap_err();
    assert_eq!(error.to_string(), "session `s`, turn 1: no outcome of `large` was observed");
}

#[test]
fn the_mean_cost_is_that_of_unbounded_sessions() {
    assert_eq!(mean_cost_nano_usd(&best(), &[session()], 1).unwrap(), 400.0 + 1100.0);
}

proptest! {
    #[test]
    fn a_replay_never_reserves_more_than_is_free(seed in any::<u64>(), budget in 1u64..500_000_000) {
        let tiers = simulator::tiers();
        let engine = engine(&tiers, Strategy::BestAffordable, None).unwrap();
        for session in simulator::Simulator::new(seed).sessions(3) {
            let mut reserved_ok = true;
            let result = run(&engine, &session, NanoUsd(budget), 0.0, |episode, decision| {
                let chosen = decision.chosen?;
                reserved_ok &= decision.reserved <= episode.view().available();
                Some(chosen)
            }).unwrap();
            prop_assert!(reserved_ok);
            prop_assert_eq!(result.bankrupt, result.served < result.turns);
            prop_assert!(result.quality <= result.served as f64);
        }
    }
}
