//! Estimates of a [`super::Population`], each shrunk towards a coarser one where few turns support it.

use seqroute_core::config::ModelConfig;

use super::encoder::Encoder;
use seqroute_sessions::session::{Session, Turn};

/// Weight, in turns, of a mean or transition over all turn numbers against that of one turn number.
const PRIOR_TURNS: f64 = 50.0;
/// Points that represent a class's distribution of message lengths.
const MESSAGE_POINTS: usize = 6;
/// Points that represent a class's distribution of answer lengths.
const OUTPUT_POINTS: usize = 4;

/// Sessions with the classes of their turns.
pub(super) struct Data<'a> {
    pub sessions: &'a [Session],
    pub models: &'a [ModelConfig],
    pub encoder: &'a Encoder,
    /// By session and turn.
    pub classes: &'a [Vec<usize>],
    /// Number of classes.
    pub count: usize,
}

impl Data<'_> {
    /// By turn t: the share of the sessions with a turn t that have a turn t + 1.
    pub fn go_on(&self) -> Vec<f64> {
        let longest = self.classes.iter().map(Vec::len).max().unwrap_or(0);
        let with = |t: usize| self.classes.iter().filter(|turns| turns.len() > t).count() as f64;
        (0..longest).map(|t| with(t + 1) / with(t)).collect()
    }

    /// Share of the turns by class.
    pub fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.count];
        let total: usize = self.classes.iter().map(Vec::len).sum();
        for class in self.classes.iter().flatten() {
            shares[*class] += 1.0 / total as f64;
        }
        shares
    }

    /// By turn, class z and z': share of z' among the classes that follow z.
    pub fn follows(&self, shares: &[f64]) -> Vec<Vec<Vec<f64>>> {
        let overall = self.follow_counts(None);
        let overall: Vec<_> = overall.iter().map(|counts| drawn(counts, shares, 1.0)).collect();
        let of_turn = |t| {
            let counts = self.follow_counts(Some(t));
            counts.iter().zip(&overall).map(|(counts, prior)| drawn(counts, prior, PRIOR_TURNS)).collect()
        };
        let longest = self.classes.iter().map(Vec::len).max().unwrap_or(0);
        (0..longest).map(of_turn).collect()
    }

    fn follow_counts(&self, only_turn: Option<usize>) -> Vec<Vec<f64>> {
        let mut counts = vec![vec![0.0; self.count]; self.count];
        for turns in self.classes {
            for (t, pair) in turns.windows(2).enumerate() {
                if only_turn.is_none_or(|only| only == t) {
                    counts[pair[0]][pair[1]] += 1.0;
                }
            }
        }
        counts
    }

    /// By turn, class and model: the class's mean prediction plus the mean residual of the turn over all classes.
    pub fn quality(&self) -> Vec<Vec<Vec<f64>>> {
        let mut sums = vec![vec![0.0; self.models.len()]; self.count];
        let mut counts = vec![0.0; self.count];
        for (turn, class) in self.turns() {
            counts[class] += 1.0;
            for (sum, quality) in sums[class].iter_mut().zip(self.encoder.qualities(turn)) {
                *sum += quality;
            }
        }
        let longest = self.classes.iter().map(Vec::len).max().unwrap_or(0);
        let of_turn = |t: usize| {
            let added: Vec<f64> = (0..self.models.len()).map(|model| self.added_quality(t, model)).collect();
            let of_class = |(sums, count): (&Vec<f64>, &f64)| {
                let means = sums.iter().map(|sum| sum / f64::max(*count, 1.0));
                means.zip(&added).map(|(mean, added)| (mean + added).clamp(0.0, 1.0)).collect()
            };
            sums.iter().zip(&counts).map(of_class).collect()
        };
        (0..longest).map(of_turn).collect()
    }

    /// Mean residual of turn t's outcomes, shrunk towards 0.
    fn added_quality(&self, t: usize, model: usize) -> f64 {
        let turns = self.sessions.iter().filter_map(|session| session.turns.get(t));
        let outcomes = turns.filter_map(|turn| Some((turn, turn.outcome(&self.models[model].name)?)));
        let (sum, count) = outcomes.fold((0.0, 0.0), |(sum, count), (turn, outcome)| {
            (sum + outcome.quality - self.encoder.qualities(turn)[model], count + 1.0)
        });
        sum / (count + PRIOR_TURNS)
    }

    /// By class: lengths of the messages after a session's first, which may carry a system prompt.
    pub fn message_tokens(&self) -> Vec<Vec<f64>> {
        let mut lengths = vec![Vec::new(); self.count];
        for (session, classes) in self.sessions.iter().zip(self.classes) {
            for (turn, class) in session.turns.iter().zip(classes).skip(1) {
                lengths[*class].push(turn.input_tokens);
            }
        }
        lengths.into_iter().map(|lengths| points(lengths, MESSAGE_POINTS)).collect()
    }

    /// By class and model: lengths of the answers; those of all classes where a class has none.
    pub fn output_tokens(&self) -> Vec<Vec<Vec<f64>>> {
        let of = |model: &ModelConfig, only: Option<usize>| {
            let turns = self.turns().filter(|(_, class)| only.is_none_or(|only| only == *class));
            let outcomes = turns.filter_map(|(turn, _)| turn.outcome(&model.name));
            outcomes.map(|outcome| outcome.output_tokens).collect::<Vec<_>>()
        };
        let of_class = |class, model: &ModelConfig| {
            let lengths = of(model, Some(class));
            points(if lengths.is_empty() { of(model, None) } else { lengths }, OUTPUT_POINTS)
        };
        (0..self.count)
            .map(|class| self.models.iter().map(|model| of_class(class, model)).collect())
            .collect()
    }

    fn turns(&self) -> impl Iterator<Item = (&Turn, usize)> {
        let turns = self.sessions.iter().flat_map(|session| &session.turns);
        turns.zip(self.classes.iter().flatten().copied())
    }
}

/// Counts as shares, after adding `weight` counts distributed as `prior`.
fn drawn(counts: &[f64], prior: &[f64], weight: f64) -> Vec<f64> {
    let sum = counts.iter().sum::<f64>() + weight;
    counts.iter().zip(prior).map(|(count, prior)| (count + weight * prior) / sum).collect()
}

/// `count` equally likely lengths with the mean of all: the means of the sorted lengths in as many equal parts.
fn points(mut lengths: Vec<u64>, count: usize) -> Vec<f64> {
    lengths.sort_unstable();
    let count = count.min(lengths.len());
    let part = |i: usize| {
        // Weighted ends, so that every part holds the same share even where the lengths do not divide evenly.
        let (from, to) = (i as f64, (i + 1) as f64);
        let scale = lengths.len() as f64 / count as f64;
        let (from, to) = (from * scale, to * scale);
        let overlap = |at: usize| (to.min(at as f64 + 1.0) - from.max(at as f64)).max(0.0);
        let (first, last) = (from as usize, (to.ceil() as usize).min(lengths.len()));
        (first..last).map(|at| overlap(at) * lengths[at] as f64).sum::<f64>() / (to - from)
    };
    (0..count).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_keep_the_mean_and_the_order() {
        assert_eq!(points(vec![9, 1, 2, 4], 2), [1.5, 6.5]);
        let uneven = points(vec![1, 2, 3, 4, 100], 3);
        assert!((uneven.iter().sum::<f64>() / 3.0 - 22.0).abs() < 1e-9, "{uneven:?}");
        assert!(uneven.is_sorted());
        assert_eq!(points(vec![7], 6), [7.0]);
        assert!(points(Vec::new(), 6).is_empty());
    }

    #[test]
    fn counts_are_shrunk_towards_the_prior() {
        assert_eq!(drawn(&[3.0, 1.0], &[0.5, 0.5], 4.0), [0.625, 0.375]);
    }
}
