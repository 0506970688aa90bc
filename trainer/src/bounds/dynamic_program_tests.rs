//! Tests of the dynamic program against the expectation over everything that can happen, without grids.

use super::*;
use crate::baselines::CoreRouter;
use seqroute_core::body::text::TextFeatures;
use seqroute_sessions::session::{Outcome, Turn as SessionTurn};
use seqroute_sessions::simulator::{self, Simulator, tiers};

fn models() -> Vec<ModelConfig> {
    let mut models = simulator::tiers();
    models.remove(1);
    models
}

/// Sessions of up to three turns of two categories; `small` fails in the hard one.
fn sessions() -> Vec<Session> {
    let turn = |category: &str, input_tokens: u64| {
        let option = |model: &str, quality: f64, output_tokens: u64| Outcome {
            model: model.to_owned(),
            quality,
            output_tokens,
        };
        let of_small = if category == "hard" { 0.1 } else { 0.9 };
        SessionTurn {
            prompt_id: None,
            category: Some(category.to_owned()),
            input_tokens,
            text: TextFeatures::default(),
            propensity: None,
            options: vec![option("small", of_small, 200), option("large", 1.0, 300)],
        }
    };
    let shapes: [&[&str]; 4] =
        [&["easy", "hard", "easy"], &["easy", "easy"], &["hard", "easy", "hard"], &["hard"]];
    let session = |i: usize| Session {
        session: format!("s{i}"),
        turns: shapes[i % 4].iter().map(|category| turn(category, 400 + 10 * (i as u64 % 3))).collect(),
    };
    (0..60).map(session).collect()
}

fn program(resolution: Resolution) -> DynamicProgram {
    let population = Population::fit(&sessions(), &models(), 2, 1).unwrap();
    DynamicProgram::solve(population, &models(), &sessions(), resolution).unwrap()
}

impl DynamicProgram {
    /// `later` without grids: the expectation over classes and messages of the best worth, recursively.
    fn exactly_later(&self, engine: &Engine, t: usize, class: usize, history: u64, money: NanoUsd) -> f64 {
        if t >= self.population.turns() {
            return 0.0;
        }
        let mut sum = 0.0;
        for next in self.population.classes() {
            let messages = &self.population.message_tokens[next];
            for message in messages {
                let share = self.population.follows[t - 1][class][next] / messages.len() as f64;
                let prompt = (history as f64 + message).round() as u64;
                sum += share * self.exactly_best(engine, t, next, prompt, money);
            }
        }
        self.population.go_on[t - 1] * sum
    }

    fn exactly_best(&self, engine: &Engine, t: usize, class: usize, prompt: u64, money: NanoUsd) -> f64 {
        let session = SessionView { budget: money, ..self.typical_session(t, class, prompt) };
        let config = &engine.config().estimate;
        let size =
            RequestSize { body_bytes: Some(prompt * config.bytes_per_token), ..RequestSize::default() };
        let decision = engine.decide(&session, &size, &TextFeatures::default(), 0.0);
        let worth = |k: usize| {
            let (_, cap) = engine.reservation(k, &session, &decision.tokens);
            let outputs = &self.population.output_tokens[class][k];
            let of_output = |output: &f64| {
                let wanted = output.round() as u64;
                let output = cap.map_or(wanted, |cap| cap.min(wanted));
                let left = money.saturating_sub(cost(&self.models[k], prompt, output));
                let quality = if output < wanted { 0.0 } else { self.population.quality[t][class][k] };
                quality + self.exactly_later(engine, t + 1, class, prompt + output, left)
            };
            outputs.iter().map(of_output).sum::<f64>() / outputs.len() as f64
        };
        decision.mask.allowed().map(worth).fold(0.0, f64::max)
    }
}

#[test]
fn the_table_is_the_expectation_over_everything_that_can_happen() {
    let program = program(Resolution { prompts: 60, money: 2000 });
    let engine = environment::engine(&models(), Strategy::BestAffordable, None).unwrap();
    let mut errors = Vec::new();
    for money in (1..60).map(|i| NanoUsd(i * 500_000)) {
        for class in program.population.classes() {
            let exact = program.exactly_later(&engine, 1, class, 700, money);
            errors.push((program.later(1, class, 700, money) - exact).abs());
        }
    }
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    // A step in money lies between two points of the grid: single errors may be large, their mean may not.
    assert!(mean < 0.01, "mean error {mean}, largest {:?}", errors.iter().copied().reduce(f64::max));
}

#[test]
fn more_money_is_never_worth_less() {
    let program = program(Resolution { prompts: 30, money: 200 });
    let worth = |i: u32| program.later(1, 0, 500, NanoUsd(100_000 * u64::from(i)));
    for i in 1..200 {
        assert!(worth(i) >= worth(i - 1) - 0.02, "{i}");
    }
    assert!(worth(199) > worth(3) + 0.3);
}

#[test]
fn played_on_other_sessions_it_beats_the_fixed_routers() {
    let (train, test, models) = (Simulator::new(1).sessions(1500), Simulator::new(2).sessions(400), tiers());
    let population = Population::fit(&train, &models, 12, 1).unwrap();
    let program = DynamicProgram::solve(population, &models, &train, Resolution { prompts: 24, money: 128 });
    let ours = DynamicProgramRouter::new(Arc::new(program.unwrap())).unwrap();
    let quality = |router: &dyn Router, budget: NanoUsd| {
        let run = |(i, session)| router.run(i, session, budget).unwrap().quality;
        test.iter().enumerate().map(run).sum::<f64>()
    };
    for budget in [6_000_000, 20_000_000].map(NanoUsd) {
        let ours = quality(&ours, budget);
        for other in [CoreRouter::myopic(&models), CoreRouter::always(&models, "small")] {
            let other = quality(&other.unwrap(), budget);
            assert!(ours > other, "{budget}: {ours} against {other}");
        }
    }
}
