//! Tests of whole, tiny training runs.

use super::*;
use crate::artifact;
use crate::learner::Algorithm;
use crate::learner::progress::Progress;
use crate::learner::training_loop::FitConfig;
use seqroute_core::money::NanoUsd;
use seqroute_sessions::environment;
use seqroute_sessions::session::to_bytes;
use seqroute_sessions::simulator::{Simulator, tiers};
use sha2::{Digest, Sha256};

fn tiny(seed: u64) -> TrainConfig {
    let mut config = TrainConfig { seed, ..TrainConfig::default() };
    config.hbr.budgets_per_session = 4;
    config.fit = FitConfig {
        hidden: vec![24],
        steps: 1500,
        batch: 128,
        checkpoints: 5,
        target_period_steps: 100,
        average_steps: 200,
        learning_rate: 3e-3,
        ..FitConfig::default()
    };
    config
}

/// Trains on simulated sessions; `None` where the observer stops it.
fn observed(
    config: &TrainConfig,
    sessions: usize,
    state: Option<State>,
    observer: Observer<'_, ()>,
) -> Option<Finished> {
    let (train, models) = (Simulator::new(5).sessions(sessions), tiers());
    let sha256 = seqroute_sessions::session::hex(&Sha256::digest(to_bytes(&train, false).unwrap()));
    let valid = Simulator::new(6).sessions(60);
    let data = TrainingData { train: &train, valid: &valid, models: &models, sha256: &sha256 };
    Training::prepare(&data, config).unwrap().run("tiny", state, observer).unwrap().continue_value()
}

fn run(config: &TrainConfig, sessions: usize) -> Finished {
    observed(config, sessions, None, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// The first relabelling of [`run`].
fn relabelled(config: &TrainConfig, sessions: usize) -> RelabelSummary {
    let (train, models) = (Simulator::new(5).sessions(sessions), tiers());
    let data = TrainingData { train: &train, valid: &[], models: &models, sha256: "" };
    Training::prepare(&data, config).unwrap().relabelled
}

fn short() -> TrainConfig {
    let mut config = tiny(3);
    config.fit.steps = 60;
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
    assert_eq!(manifest.learner["algorithm"], "fqi");
    assert_eq!(manifest.learner["config"]["fit"]["steps"], 60);
    assert_eq!(manifest.budget_range_nano_usd, relabelled(&short(), 40).budget_range_nano_usd);
    assert_eq!(manifest.data_sha256.len(), 64);
    assert!(trained.policy_id.starts_with("tiny@"));
    assert!(trained.largest_difference <= artifact::MAX_DIFFERENCE);
    assert_eq!(trained.metrics_jsonl.lines().count(), 5);
    assert_eq!(TrainConfig::from_toml(&trained.config_toml), Ok(short()));
}

#[test]
fn a_short_training_beats_random_choice() {
    use crate::baselines::{CoreRouter, RandomRouter, Router};
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
    let error = |text: &str| TrainConfig::from_toml(text).unwrap_err().0;
    assert!(error("seed = 1\n[cql]\nalfa = 1\n").contains("line 3: unknown field `alfa`"));
    assert!(error("[fit]\nsteps = 0\n").contains("`fit.steps`: found 0, expected at least 1"));
    assert!(error("[hbr]\nbudget_min_share = 3.0\n").contains("`hbr.budget_min_share`: found [3.0, 2.5]"));
    assert!(error("algorithm = \"dqn\"").contains("expected one of `fqi`, `cql`, `bc`"));
}

#[test]
fn the_example_configuration_is_the_default() {
    let text = include_str!("../../examples/train.toml");
    assert_eq!(TrainConfig::from_toml(text), Ok(TrainConfig::default()));
}

#[test]
fn the_papers_settings_are_valid() {
    let config = TrainConfig::from_toml(include_str!("../../examples/paper.toml")).unwrap();
    assert!(TrainConfig::from_toml(include_str!("../../examples/few_prompts.toml")).is_ok());
    assert_eq!(
        (config.algorithm, config.fit.hidden.clone(), config.cql.eta),
        (Algorithm::Cql, vec![512, 256, 256], 5.0)
    );
    let cloned = TrainConfig::from_toml(include_str!("../../examples/paper-bc.toml")).unwrap();
    for config in [config, cloned] {
        assert_eq!(config.hbr.grid_nano_usd, [500, 1500, 3000, 5000, 8000]);
    }
}

#[test]
fn data_that_no_budget_pays_for_is_an_error() {
    let mut config = short();
    config.hbr.budget_min_share = 1e-9;
    config.hbr.budget_max_share = 1e-9;
    let (train, models) = (Simulator::new(5).sessions(5), tiers());
    let data = TrainingData { train: &train, valid: &[], models: &models, sha256: "" };
    let prepared = Training::prepare(&data, &config).unwrap();
    let error = prepared.run("tiny", None, &mut |_| ControlFlow::<()>::Continue(())).unwrap_err();
    assert!(matches!(error, TrainError::NoTransitions), "{error}");
}

#[test]
fn a_break_on_saving_stops_at_once_with_its_value() {
    let (train, models) = (Simulator::new(5).sessions(40), tiers());
    let data = TrainingData { train: &train, valid: &[], models: &models, sha256: "" };
    let (config, mut steps) = (short(), 0);
    let ended =
        Training::prepare(&data, &config).unwrap().run("tiny", None, &mut |progress| match progress {
            Progress::Save(_) => ControlFlow::Break("disk full"),
            Progress::Step(step) => {
                steps = step;
                ControlFlow::Continue(())
            }
            Progress::Checkpoint(_) => ControlFlow::Continue(()),
        });
    assert_eq!((ended.unwrap().break_value(), steps), (Some("disk full"), 12));
}

#[test]
fn a_training_that_is_stopped_and_goes_on_ends_in_the_same_bytes() {
    let mut config = short();
    // Several epochs of about 900 rows, so that the stop at step 37 lies inside a later one.
    config.hbr.budgets_per_session = 2;
    let whole = run(&config, 40);
    let mut kept = None;
    let stopped = observed(&config, 40, None, &mut |progress| {
        if let Progress::Save(state) = &progress {
            kept = Some(serde_json::to_string(state).unwrap());
        }
        if matches!(progress, Progress::Step(37)) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(stopped.is_none());
    let state: State = serde_json::from_str(&kept.unwrap()).unwrap();
    assert_eq!(state.step, 37);
    let resumed = observed(&config, 40, Some(state), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(resumed.archive == whole.archive && resumed.metrics_jsonl == whole.metrics_jsonl);
}

#[test]
fn every_learner_trains_and_shards_change_nothing_but_rounding() {
    for algorithm in [Algorithm::Fqi, Algorithm::Cql, Algorithm::Bc] {
        let config = TrainConfig { algorithm, ..short() };
        let trained = run(&config, 40);
        let policy = Policy::open(&trained.archive).unwrap();
        assert_eq!(policy.manifest().learner["algorithm"], algorithm.name());
        let mut halved = config.clone();
        halved.fit.shards = 2;
        let loss = |trained: &Finished| -> f64 {
            let last: serde_json::Value =
                serde_json::from_str(trained.metrics_jsonl.lines().last().unwrap()).unwrap();
            let measure = if algorithm == Algorithm::Bc { "cross_entropy" } else { "quality_loss" };
            last[measure].as_f64().unwrap()
        };
        assert!((loss(&trained) / loss(&run(&halved, 40)) - 1.0).abs() < 1e-3, "{algorithm:?}");
    }
}

#[test]
fn early_stopping_ends_a_training_without_a_better_checkpoint() {
    let mut config = short();
    config.fit.steps = 3000;
    config.fit.checkpoints = 300;
    config.fit.patience = 3;
    config.fit.learning_rate = 3e-2;
    config.fit.final_learning_rate = 3e-2;
    let lines = run(&config, 40).metrics_jsonl.lines().count();
    assert!(lines < 300, "{lines}");
}

#[test]
fn a_policy_learns_from_the_text_which_turns_need_the_strong_model() {
    use crate::baselines::{CoreRouter, Router};
    use seqroute_core::body::text::TextFeatures;
    use seqroute_sessions::session::{Outcome, Turn};
    let models = vec![tiers().remove(0), tiers().remove(2)];
    // Every other message is hard, which only its words say; the budget pays for half of the turns.
    let turn = |number: usize| {
        let hard = number.is_multiple_of(2);
        let words = if hard { "prove the theorem" } else { "tell me a story" };
        let option =
            |model: &str, quality: f64| Outcome { model: model.to_owned(), quality, output_tokens: 300 };
        Turn {
            prompt_id: None,
            category: None,
            input_tokens: 100,
            text: TextFeatures::of(&format!("{words} about number{}", "abcdefgh".get(number % 7..).unwrap())),
            propensity: None,
            options: vec![option("small", if hard { 0.1 } else { 0.9 }), option("large", 0.9)],
        }
    };
    let session = |k: usize| Session {
        session: k.to_string(),
        turns: (0..4).map(|t| turn(k * 7 + t * (1 + k % 3))).collect(),
    };
    let (train, valid): (Vec<_>, Vec<_>) =
        ((0..300).map(session).collect(), (300..400).map(session).collect());
    let data = TrainingData { train: &train, valid: &valid, models: &models, sha256: "" };
    let config = tiny(1);
    let prepared = Training::prepare(&data, &config).unwrap();
    assert!(prepared.text.explained_gap_share[0] > 0.5, "{:?}", prepared.text);
    let ended = prepared.run("text", None, &mut |_| ControlFlow::<()>::Continue(())).unwrap();
    let trained = ended.continue_value().unwrap();
    let policy = Policy::open(&trained.archive).unwrap();
    let router = CoreRouter::policy(&models, policy).unwrap();
    let myopic = CoreRouter::myopic(&models).unwrap();
    let reference = environment::mean_cost_nano_usd(router.engine(), &valid, 1).unwrap();
    let quality = |router: &dyn Router| -> f64 {
        let budget = NanoUsd((0.8 * reference) as u64);
        valid.iter().enumerate().map(|(k, session)| router.run(k, session, budget).unwrap().quality).sum()
    };
    let (ours, myopic) = (quality(&router), quality(&myopic));
    assert!(ours > 1.05 * myopic, "ours {ours:.1}, myopic {myopic:.1}");
}

#[test]
fn a_policy_trained_behind_a_guard_carries_it_into_evaluation_and_deployment() {
    let mut config = short();
    config.guard.quantile = 0.9;
    let guarded = run(&config, 60);
    let policy = Policy::open(&guarded.archive).unwrap();
    let guard = seqroute_sessions::guard::of(&policy).unwrap();
    assert_eq!(guard, seqroute_sessions::guard::measure(&Simulator::new(5).sessions(60), &config.guard));
    assert!(guard.remaining_turns[0] > 0.0);
    assert!(relabelled(&config, 60).transitions < relabelled(&short(), 60).transitions);
    let plugin = |guard: serde_json::Value| {
        let mut value = serde_json::json!({
            "version": 1, "salt": "a secret of tests", "budget": {"default_usd": "0.05"}, "models": tiers(),
        });
        if !guard.is_null() {
            value["guard"] = guard;
        }
        let text =
            seqroute_sessions::deploy::plugin_config(&value.to_string(), Some(&guarded.archive)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["guard"]["remaining_turns"].clone()
    };
    assert_eq!(plugin(serde_json::Value::Null), serde_json::json!(guard.remaining_turns));
    assert_eq!(plugin(serde_json::json!({"remaining_turns": [1.0]})), serde_json::json!([1.0]));
}
