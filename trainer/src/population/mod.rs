//! A stochastic model of sessions, estimated on training sessions: the bound by dynamic programming is exact for it, and
//! the adaptive linear program uses it.
//!
//! A turn's *class* groups turns by observation (`encoder`, `kmeans`). The model has, by turn and class, the probability
//! that another turn follows and its class, the distribution of message lengths, and for each model the quality and
//! length of the answer (`estimates`). All else that a router sees (prompt tokens, money) follows by accounting.

mod encoder;
mod estimates;
mod kmeans;

use std::ops::Range;

use seqroute_core::config::ModelConfig;

use crate::error::TrainError;
use encoder::Encoder;
use seqroute_sessions::session::{Session, Turn};

/// Default number of classes.
pub const CLASSES: usize = 24;

/// A population of sessions.
#[derive(Clone, Debug)]
pub struct Population {
    encoder: Encoder,
    centres: Vec<Vec<f64>>,
    /// By turn t: probability that another turn follows; 0 for the last turn of the longest session.
    pub go_on: Vec<f64>,
    /// By turn t, class z, class z': probability that z' in turn t + 1 follows z in turn t.
    pub follows: Vec<Vec<Vec<f64>>>,
    /// Share of the turns by class.
    pub shares: Vec<f64>,
    /// By turn, class and model: expected quality.
    pub quality: Vec<Vec<Vec<f64>>>,
    /// By class: equally likely message lengths of turns after the first.
    pub message_tokens: Vec<Vec<f64>>,
    /// By class and model: equally likely answer lengths.
    pub output_tokens: Vec<Vec<Vec<f64>>>,
}

impl Population {
    /// Estimates the model; `None` without sessions or when a model has no outcome at all.
    #[must_use]
    pub fn fit(
        sessions: &[Session],
        models: &[ModelConfig],
        classes: usize,
        seed: u64,
    ) -> Option<Population> {
        Some(Self::observed(Encoder::of_categories(sessions, models)?, sessions, models, classes, seed))
    }

    /// As [`Population::fit`], with a turn's text observed instead of its category, as by the filter; `None` without
    /// texts too.
    ///
    /// # Errors
    /// The training device fails.
    pub fn fit_by_text(
        sessions: &[Session],
        models: &[ModelConfig],
        classes: usize,
        seed: u64,
    ) -> Result<Option<Population>, TrainError> {
        let encoder = Encoder::of_text(sessions, models)?;
        Ok(encoder.map(|encoder| Self::observed(encoder, sessions, models, classes, seed)))
    }

    fn observed(
        encoder: Encoder,
        sessions: &[Session],
        models: &[ModelConfig],
        classes: usize,
        seed: u64,
    ) -> Population {
        let turns = sessions.iter().flat_map(|session| &session.turns);
        let vectors: Vec<_> = turns.map(|turn| encoder.vector(turn)).collect();
        let centres = kmeans::centres(&vectors, classes, seed);
        let class = |turn: &Turn| kmeans::nearest(&centres, &encoder.vector(turn));
        let classes: Vec<Vec<usize>> =
            sessions.iter().map(|session| session.turns.iter().map(class).collect()).collect();
        let data =
            estimates::Data { sessions, models, encoder: &encoder, classes: &classes, count: centres.len() };
        let shares = data.shares();
        Population {
            go_on: data.go_on(),
            follows: data.follows(&shares),
            quality: data.quality(),
            message_tokens: data.message_tokens(),
            output_tokens: data.output_tokens(),
            shares,
            centres,
            encoder,
        }
    }

    /// The classes.
    #[must_use]
    pub fn classes(&self) -> Range<usize> {
        0..self.centres.len()
    }

    /// Turns of the longest training session.
    #[must_use]
    pub fn turns(&self) -> usize {
        self.go_on.len()
    }

    /// The class of a turn, from what is observed before its answer.
    #[must_use]
    pub fn class(&self, turn: &Turn) -> usize {
        kmeans::nearest(&self.centres, &self.encoder.vector(turn))
    }

    /// Expected number of turns after turn t.
    #[must_use]
    pub fn remaining_turns(&self, t: usize) -> f64 {
        remaining_turns(&self.go_on, t)
    }
}

/// Expected number of turns after turn t, where another follows turn t with probability `go_on[t]`.
fn remaining_turns(go_on: &[f64], t: usize) -> f64 {
    go_on.iter().skip(t).rev().fold(0.0, |later, go_on| go_on * (1.0 + later))
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqroute_sessions::simulator::{Simulator, tiers};

    #[test]
    fn the_remaining_turns_are_those_of_the_sessions() {
        // Sessions of 1, 2 and 4 turns: after turn 0 two of three go on; 1 and 3 more turns come.
        let go_on = [2.0 / 3.0, 1.0 / 2.0, 1.0, 0.0];
        let expected = [4.0 / 3.0, 1.0, 1.0, 0.0, 0.0];
        for (t, expected) in expected.into_iter().enumerate() {
            assert!((remaining_turns(&go_on, t) - expected).abs() < 1e-12, "{t}");
        }
    }

    #[test]
    fn probabilities_sum_to_one_and_means_are_kept() {
        let (sessions, models) = (Simulator::new(4).sessions(400), tiers());
        let population = Population::fit(&sessions, &models, 8, 1).unwrap();
        assert!((population.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        for row in population.follows.iter().flatten() {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        let outcomes = sessions.iter().flat_map(|session| &session.turns);
        let (sum, count) = outcomes.fold((0.0, 0.0), |(sum, count), turn| {
            (sum + turn.outcome("large").unwrap().output_tokens as f64, count + 1.0)
        });
        let mean = |points: &Vec<f64>| points.iter().sum::<f64>() / points.len() as f64;
        let by_class =
            population.classes().map(|z| population.shares[z] * mean(&population.output_tokens[z][2]));
        assert!((by_class.sum::<f64>() / (sum / count) - 1.0).abs() < 0.01);
    }

    #[test]
    fn classes_separate_hard_turns_from_easy_ones() {
        let population = Population::fit(&Simulator::new(4).sessions(400), &tiers(), 8, 1).unwrap();
        let of_small: Vec<f64> = population.quality[0].iter().map(|by_model| by_model[0]).collect();
        let spread = of_small.iter().fold(0.0, |high: f64, x| high.max(*x))
            - of_small.iter().fold(1.0, |low: f64, x| low.min(*x));
        assert!(spread > 0.1, "{of_small:?}");
    }

    #[test]
    fn without_any_outcome_of_a_model_there_is_no_estimate() {
        let mut sessions = Simulator::new(4).sessions(20);
        for turn in sessions.iter_mut().flat_map(|session| &mut session.turns) {
            turn.options.pop();
        }
        assert!(Population::fit(&sessions, &tiers(), 8, 1).is_none());
        assert!(Population::fit(&[], &tiers(), 8, 1).is_none());
    }
}
