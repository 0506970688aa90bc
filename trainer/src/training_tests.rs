//! Tests of whole, tiny training runs.

use super::*;
use crate::session::to_bytes;
use crate::simulator::{Simulator, tiers};
use sha2::{Digest, Sha256};

fn tiny(seed: u64) -> TrainConfig {
    let mut config = TrainConfig { seed, ..TrainConfig::default() };
    config.hbr.budgets_per_session = 4;
    config.cql = CqlConfig {
        hidden: vec![24],
        steps: 1500,
        batch: 128,
        checkpoints: 5,
        target_period_steps: 100,
        average_steps: 200,
        learning_rate: 3e-3,
        ..CqlConfig::default()
    };
    config
}

fn run(config: &TrainConfig, sessions: usize) -> Trained {
    let (train, models) = (Simulator::new(5).sessions(sessions), tiers());
    let sha256 = crate::session::hex(&Sha256::digest(to_bytes(&train, false).unwrap()));
    let valid = Simulator::new(6).sessions(60);
    let data = TrainingData { train: &train, valid: &valid, models: &models, sha256: &sha256 };
    super::train(&data, config, "tiny", |_| {}).unwrap()
}

fn short() -> TrainConfig {
    let mut config = tiny(3);
    config.cql.steps = 60;
    config
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let (one, other) = (run(&short(), 40), run(&short(), 40));
    assert!(one.archive == other.archive && one.metrics_jsonl == other.metrics_jsonl);
    assert!(run(&TrainConfig { seed: 4, ..short() }, 40).archive != one.archive);
}

#[test]
fn the_artifact_opens_and_says_what_it_was_made_from() {
    let trained = run(&short(), 40);
    let policy = Policy::open(&trained.archive).unwrap();
    let manifest = policy.manifest();
    assert_eq!(manifest.learner["algorithm"], "cql");
    assert_eq!(manifest.learner["config"]["cql"]["steps"], 60);
    assert_eq!(manifest.budget_range_nano_usd, trained.data.budget_range_nano_usd);
    assert_eq!(manifest.data_sha256.len(), 64);
    assert!(trained.policy_id.starts_with("tiny@"));
    assert!(trained.largest_difference <= artifact::MAX_DIFFERENCE);
    assert_eq!(trained.metrics_jsonl.lines().count(), 5);
    assert_eq!(TrainConfig::from_toml(&trained.config_toml), Ok(short()));
}

#[test]
fn a_short_training_beats_random_choice() {
    use crate::baseline::{CoreRouter, RandomRouter, Router};
    let (models, held_out) = (tiers(), Simulator::new(77).sessions(300));
    let policy = Policy::open(&run(&tiny(3), 400).archive).unwrap();
    let trained = CoreRouter::policy(&models, policy).unwrap();
    let random = RandomRouter::new(&models, 1).unwrap();
    let budget = NanoUsd(60_000_000);
    let quality = |router: &dyn Router| -> f64 {
        let play = |(index, session)| router.run(index, session, budget).unwrap().quality;
        held_out.iter().enumerate().map(play).sum()
    };
    let (trained, random) = (quality(&trained), quality(&random));
    assert!(trained > random * 1.02, "trained {trained:.1}, random {random:.1}");
}

#[test]
fn a_bad_setting_is_named_with_its_line_or_field() {
    let error = |text: &str| TrainConfig::from_toml(text).unwrap_err();
    assert!(error("seed = 1\n[cql]\nalfa = 1\n").contains("line 3: unknown field `alfa`"));
    assert!(error("[cql]\nsteps = 0\n").contains("`cql.steps`: found 0, expected at least 1"));
    assert!(error("[hbr]\nbudget_min_share = 2.0\n").contains("`hbr.budget_min_share`: found 2 and 1.5"));
}

#[test]
fn the_example_configuration_is_the_default() {
    let text = include_str!("../examples/cql.toml");
    assert_eq!(TrainConfig::from_toml(text), Ok(TrainConfig::default()));
}

#[test]
fn data_that_no_budget_pays_for_is_an_error() {
    let mut config = short();
    config.hbr.budget_min_share = 1e-9;
    config.hbr.budget_max_share = 1e-9;
    let (train, models) = (Simulator::new(5).sessions(5), tiers());
    let data = TrainingData { train: &train, valid: &[], models: &models, sha256: "" };
    let error = super::train(&data, &config, "tiny", |_| {}).unwrap_err();
    assert!(error.contains("found no transition to train on"), "{error}");
}
