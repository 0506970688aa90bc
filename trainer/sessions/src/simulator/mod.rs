//! The built-in simulator: sessions of three tiers, `small`, `medium` and `large`.
//!
//! It is a model, not real traffic. With it a policy can be trained, tested and demonstrated without logs; train on your
//! own logs before you trust a number. Its shape follows published data (`README.md`): the gap
//! between a strong and a weak model grows with the turn (.079 → .118, Mixtral against GPT-4 on MT-bench), quality is
//! autocorrelated (81 % of good turns are followed by a good one, 33 % of bad turns), the number of turns is small with a
//! long tail, and lengths are close to lognormal.
//!
//! How a session is generated:
//!
//! 1. A [`Kind`] fixes typical lengths and the base difficulty; a session has its own offset from it.
//! 2. After each turn the session ends with [`STOP_PROBABILITY`], and after 16 turns at the latest.
//! 3. Difficulty of turn t = base + offset + [`GROWTH_PER_TURN`] · t + an AR(1) process + occasionally, and
//!    more often later in the session, a *spike* ([`SPIKE_DIFFICULTY`]).
//! 4. Model k answers with quality σ([`SLOPE`] · (ability_k − difficulty)) plus noise, rounded to tenths as judges do.
//!
//! A gateway observes part of it: spikes have longer messages, difficult turns longer answers, and kinds differ in
//! both. Every session has its own random stream, so session i does not depend on how many are drawn.

mod scenario;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use seqroute_core::body::text::TextFeatures;

use crate::session::{Outcome, Session, Turn};

use scenario::Tier;
pub use scenario::{KINDS, Kind, Scenario, tiers};

/// Turns of the longest session.
pub const MAX_TURNS: usize = 16;
/// Probability that a turn is the last; with at most 16 turns the mean is 6.0.
pub const STOP_PROBABILITY: f64 = 0.155;
/// Standard deviation of a session's own difficulty.
pub const SESSION_SPREAD: f64 = 0.6;
/// Difficulty added by every turn.
pub const GROWTH_PER_TURN: f64 = 0.08;
/// Correlation of the AR(1) part of difficulty between turns.
pub const PERSISTENCE: f64 = 0.7;
/// Standard deviation of the AR(1) part.
pub const TURN_SPREAD: f64 = 0.6;
/// Probability of a spike in turn t is this times t, at most [`MAX_SPIKE_PROBABILITY`].
pub const SPIKE_PROBABILITY_PER_TURN: f64 = 0.05;
/// Largest probability of a spike.
pub const MAX_SPIKE_PROBABILITY: f64 = 0.3;
/// Difficulty added by a spike.
pub const SPIKE_DIFFICULTY: f64 = 1.6;
/// A spike's message is longer by this factor (a stack trace, a long document).
pub const SPIKE_MESSAGE_FACTOR: f64 = 3.0;
/// Steepness of quality in (ability − difficulty).
pub const SLOPE: f64 = 1.5;
/// Noise of a turn's quality that all models share, and of each model's own.
pub const QUALITY_NOISE: [f64; 2] = [0.10, 0.10];
/// Standard deviation of the logarithm of message lengths.
pub const MESSAGE_SPREAD: f64 = 0.7;
/// Standard deviation of the logarithm of answer lengths.
pub const ANSWER_SPREAD: f64 = 0.45;
/// Growth of the logarithm of an answer's length with difficulty.
pub const ANSWER_GROWTH: f64 = 0.15;

/// Generates sessions.
#[derive(Clone, Copy, Debug)]
pub struct Simulator {
    scenario: Scenario,
    seed: u64,
}

impl Simulator {
    /// A simulator of the default scenario; its sessions are determined by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Simulator::of(Scenario::DEFAULT, seed)
    }

    /// A simulator of another scenario.
    #[must_use]
    pub fn of(scenario: Scenario, seed: u64) -> Self {
        Simulator { scenario, seed }
    }

    /// The first `count` sessions.
    #[must_use]
    pub fn sessions(&self, count: usize) -> Vec<Session> {
        self.iter().take(count).collect()
    }

    /// An endless sequence of sessions.
    pub fn iter(&self) -> impl Iterator<Item = Session> + use<> {
        let Simulator { scenario, seed } = *self;
        (0u64..).map(move |index| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index);
            session(&scenario, &mut rng, format!("sim-{seed}-{index:06}"))
        })
    }
}

fn session(scenario: &Scenario, rng: &mut ChaCha8Rng, id: String) -> Session {
    let kind = draw_kind(scenario.kinds, rng);
    let base = kind.difficulty + SESSION_SPREAD * normal(rng);
    let mut wandering = TURN_SPREAD * normal(rng);
    let mut turns = Vec::new();
    for t in 0..scenario.turns.unwrap_or(MAX_TURNS) {
        let spike = t > 0
            && rng.random_bool((scenario.spike_probability_per_turn * t as f64).min(MAX_SPIKE_PROBABILITY));
        let difficulty = base
            + scenario.growth_per_turn * t as f64
            + wandering
            + if spike { SPIKE_DIFFICULTY } else { 0.0 };
        turns.push(turn(scenario, rng, &kind, t, spike, difficulty));
        wandering =
            PERSISTENCE * wandering + TURN_SPREAD * (1.0 - PERSISTENCE * PERSISTENCE).sqrt() * normal(rng);
        if scenario.turns.is_none() && rng.random_bool(scenario.stop_probability) {
            break;
        }
    }
    Session { session: id, turns }
}

fn turn(
    scenario: &Scenario,
    rng: &mut ChaCha8Rng,
    kind: &Kind,
    t: usize,
    spike: bool,
    difficulty: f64,
) -> Turn {
    let factor = if spike { SPIKE_MESSAGE_FACTOR } else { 1.0 };
    let message = kind.message_tokens * factor * (scenario.message_spread * normal(rng)).exp();
    let system_tokens = if t == 0 { kind.system_tokens } else { 0 };
    let answer = kind.answer_tokens * (ANSWER_SPREAD * normal(rng) + ANSWER_GROWTH * difficulty).exp();
    let shared_noise = QUALITY_NOISE[0] * normal(rng);
    let mut option = |tier: &Tier| {
        let sure = 1.0 / (1.0 + (-SLOPE * (tier.ability - difficulty)).exp());
        let judged = sure + shared_noise + QUALITY_NOISE[1] * normal(rng);
        Outcome {
            model: tier.name.to_owned(),
            quality: (judged.clamp(0.0, 1.0) * 10.0).round() / 10.0,
            output_tokens: tokens(answer * tier.verbosity),
        }
    };
    Turn {
        prompt_id: None,
        category: Some(kind.name.to_owned()),
        input_tokens: system_tokens + tokens(message),
        text: TextFeatures::default(),
        propensity: None,
        options: scenario.tiers.iter().map(&mut option).collect(),
    }
}

fn draw_kind(kinds: &[Kind], rng: &mut ChaCha8Rng) -> Kind {
    let mut left: f64 = rng.random();
    for kind in kinds {
        left -= kind.share;
        if left < 0.0 {
            return *kind;
        }
    }
    kinds[0]
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// A length as a count of tokens, 1 to 20,000.
fn tokens(length: f64) -> u64 {
    length.clamp(1.0, 20_000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sessions_however_many_are_drawn() {
        let few = Simulator::new(7).sessions(5);
        assert_eq!(few, Simulator::new(7).sessions(50)[..5]);
        assert_ne!(few, Simulator::new(8).sessions(5));
    }

    #[test]
    fn measured_lengths_are_those_of_the_tiers() {
        let measured = crate::models::measure(&Simulator::new(99).sessions(5_000), &tiers());
        for (tier, measured) in tiers().iter().zip(measured) {
            let near = |a: u64, b: u64| (a as f64 / b as f64 - 1.0).abs() < 0.05;
            assert!(near(tier.expected_output_tokens, measured.expected_output_tokens), "{measured:?}");
            assert!(near(tier.upper_output_tokens, measured.upper_output_tokens), "{measured:?}");
        }
    }

    /// Mean quality of a model in turns that `fits` accepts.
    fn quality(sessions: &[Session], model: &str, fits: impl Fn(usize) -> bool) -> f64 {
        let turns = sessions.iter().flat_map(|session| session.turns.iter().enumerate());
        let of_model = turns.filter(|(t, _)| fits(*t)).map(|(_, turn)| turn.outcome(model).unwrap().quality);
        let (sum, count) = of_model.fold((0.0, 0.0), |(sum, count), quality| (sum + quality, count + 1.0));
        sum / count
    }

    #[test]
    fn each_scenario_is_what_it_is_named_for() {
        let of = |name| Simulator::of(Scenario::named(name).unwrap(), 5).sessions(2_000);
        let mean_turns = |sessions: &[Session]| {
            sessions.iter().map(|session| session.turns.len()).sum::<usize>() as f64 / sessions.len() as f64
        };
        let longest = |sessions: &[Session]| {
            sessions.iter().flat_map(|session| &session.turns).map(|turn| turn.input_tokens).max()
        };
        let (default, rising, heavy, paper) =
            (of("default"), of("rising-difficulty"), of("heavy-tail"), of("paper"));
        let fall = |sessions: &[Session]| {
            quality(sessions, "small", |t| t == 0) - quality(sessions, "small", |t| t >= 4)
        };
        assert!(fall(&rising) > fall(&default) + 0.1);
        assert!(longest(&heavy) > longest(&default) && mean_turns(&heavy) > mean_turns(&default) + 1.0);
        assert!(paper.iter().all(|session| session.turns.len() == 4));
        for session in &paper {
            assert_eq!(crate::session::check(session, &Scenario::PAPER.models()), Ok(()));
        }
        assert!(Scenario::named("none").is_none());
    }

    #[test]
    fn the_papers_example_models_are_those_of_its_scenario() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/paper.models.json");
        assert_eq!(crate::models::read(&path).unwrap(), Scenario::PAPER.models());
    }

    #[test]
    fn sessions_have_the_published_shape() {
        let sessions = Simulator::new(3).sessions(5_000);
        let mean_turns =
            sessions.iter().map(|session| session.turns.len()).sum::<usize>() as f64 / sessions.len() as f64;
        assert!((mean_turns - 6.0).abs() < 0.2, "{mean_turns} turns");
        let gap =
            |fits: fn(usize) -> bool| quality(&sessions, "large", fits) - quality(&sessions, "medium", fits);
        let (early, late) = (gap(|t| t == 0), gap(|t| t >= 4));
        assert!(early > 0.05 && late > early * 1.3, "gap {early:.3} → {late:.3}");
        let (mut after_good, mut after_bad) = ([0.0; 2], [0.0; 2]);
        for pair in sessions.iter().flat_map(|session| session.turns.windows(2)) {
            let good = |turn: &Turn| turn.outcome("small").unwrap().quality >= 0.5;
            let counts = if good(&pair[0]) { &mut after_good } else { &mut after_bad };
            counts[0] += f64::from(u8::from(good(&pair[1])));
            counts[1] += 1.0;
        }
        let (good, bad) = (after_good[0] / after_good[1], after_bad[0] / after_bad[1]);
        assert!((0.72..0.90).contains(&good) && (0.20..0.46).contains(&bad), "{good:.2} {bad:.2}");
    }
}
