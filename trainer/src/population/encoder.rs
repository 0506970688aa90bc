//! What a turn's observation says about its answers: predicted quality and length of every model's.
//!
//! The observation is the turn's category and the length of its message. A category's mean is drawn towards the mean
//! of all by the variance between categories and within them (empirical Bayes: Efron and Morris, JASA 1973, in the
//! one-way layout), and a prompt counts once however often the sessions repeat it: 36 questions stay 36.

use std::collections::HashMap;

use seqroute_core::config::ModelConfig;

use crate::session::{Session, Turn};

/// Predicts from observations.
#[derive(Clone, Debug)]
pub struct Encoder {
    quality: Vec<Effects>,
    output_ln: Vec<Effects>,
    /// Mean and standard deviation of every number of a vector.
    scale: Vec<[f64; 2]>,
}

/// One number per category.
#[derive(Clone, Debug, Default)]
struct Effects {
    overall: f64,
    by_category: HashMap<String, f64>,
}

impl Encoder {
    /// Estimates the effects; `None` when a model has no outcome at all.
    #[must_use]
    pub fn fit(sessions: &[Session], models: &[ModelConfig]) -> Option<Encoder> {
        let fit = |of: fn(&crate::session::Outcome) -> f64| -> Option<Vec<Effects>> {
            models.iter().map(|model| Effects::fit(&prompt_means(sessions, &model.name, of))).collect()
        };
        let quality = fit(|outcome| outcome.quality)?;
        let output_ln = fit(|outcome| (outcome.output_tokens as f64).ln_1p())?;
        let mut encoder = Encoder { quality, output_ln, scale: Vec::new() };
        let vectors: Vec<_> =
            sessions.iter().flat_map(|session| &session.turns).map(|turn| encoder.raw(turn)).collect();
        encoder.scale = mean_and_deviation(&vectors);
        Some(encoder)
    }

    /// Predicted quality of `model`'s answer.
    #[must_use]
    pub fn quality(&self, turn: &Turn, model: usize) -> f64 {
        self.quality.get(model).map_or(0.0, |effects| effects.of(turn))
    }

    /// The observation as numbers of equal weight: predicted qualities, predicted length, message length.
    #[must_use]
    pub fn vector(&self, turn: &Turn) -> Vec<f64> {
        let raw = self.raw(turn);
        let scaled = raw.iter().zip(&self.scale).map(|(value, [mean, deviation])| (value - mean) / deviation);
        scaled.collect()
    }

    fn raw(&self, turn: &Turn) -> Vec<f64> {
        let lengths = self.output_ln.iter().map(|effects| effects.of(turn)).sum::<f64>();
        let mut raw: Vec<f64> = self.quality.iter().map(|effects| effects.of(turn)).collect();
        raw.extend([lengths / self.output_ln.len() as f64, (turn.input_tokens as f64).ln_1p()]);
        raw
    }
}

impl Effects {
    /// Shrunk means of the categories; `None` without any value.
    fn fit(values: &HashMap<String, Vec<f64>>) -> Option<Effects> {
        let count: usize = values.values().map(Vec::len).sum();
        if count == 0 {
            return None;
        }
        let (groups, total) = (values.len() as f64, count as f64);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // Sorted, so that the sums do not depend on the map's order.
        let mut sorted: Vec<_> = values.iter().collect();
        sorted.sort_by_key(|(category, _)| category.as_str());
        let overall = sorted.iter().map(|(_, values)| values.iter().sum::<f64>()).sum::<f64>() / total;
        let within = sorted.iter().flat_map(|(_, values)| {
            let mean = mean(values);
            values.iter().map(move |value| (value - mean).powi(2))
        });
        let within = within.sum::<f64>() / (total - groups).max(1.0);
        let between: f64 =
            sorted.iter().map(|(_, values)| values.len() as f64 * (mean(values) - overall).powi(2)).sum();
        let sizes: f64 = sorted.iter().map(|(_, values)| (values.len() as f64).powi(2)).sum();
        let between = (between - (groups - 1.0) * within) / (total - sizes / total).max(1.0);
        let shrunk = |values: &[f64]| {
            let size = values.len() as f64;
            let weight = if between > 0.0 { size / (size + within / between) } else { 0.0 };
            overall + weight * (mean(values) - overall)
        };
        let by_category =
            sorted.into_iter().map(|(category, values)| (category.clone(), shrunk(values))).collect();
        Some(Effects { overall, by_category })
    }

    fn of(&self, turn: &Turn) -> f64 {
        let category = turn.category.as_deref().unwrap_or_default();
        self.by_category.get(category).copied().unwrap_or(self.overall)
    }
}

/// For every category, the mean over the turns of each of its prompts.
fn prompt_means(
    sessions: &[Session],
    model: &str,
    of: fn(&crate::session::Outcome) -> f64,
) -> HashMap<String, Vec<f64>> {
    let mut prompts: HashMap<(&str, String), (f64, f64)> = HashMap::new();
    for session in sessions {
        for (t, turn) in session.turns.iter().enumerate() {
            let Some(outcome) = turn.outcome(model) else { continue };
            let prompt = turn.prompt_id.clone().unwrap_or_else(|| format!("{}#{t}", session.session));
            let sum = prompts.entry((turn.category.as_deref().unwrap_or_default(), prompt)).or_default();
            sum.0 += of(outcome);
            sum.1 += 1.0;
        }
    }
    let mut sorted: Vec<_> = prompts.into_iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let mut means: HashMap<String, Vec<f64>> = HashMap::new();
    for ((category, _), (sum, count)) in sorted {
        means.entry(category.to_owned()).or_default().push(sum / count);
    }
    means
}

fn mean_and_deviation(vectors: &[Vec<f64>]) -> Vec<[f64; 2]> {
    let width = vectors.first().map_or(0, Vec::len);
    let count = vectors.len().max(1) as f64;
    let column = |i: usize| {
        let mean = vectors.iter().map(|vector| vector[i]).sum::<f64>() / count;
        let variance = vectors.iter().map(|vector| (vector[i] - mean).powi(2)).sum::<f64>() / count;
        // A constant number says nothing; any scale will do.
        [mean, if variance > 1e-12 { variance.sqrt() } else { 1.0 }]
    };
    (0..width).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &[(&str, &[f64])]) -> HashMap<String, Vec<f64>> {
        of.iter().map(|(name, values)| ((*name).to_owned(), values.to_vec())).collect()
    }

    fn turn(category: &str) -> Turn {
        Turn {
            prompt_id: None,
            category: Some(category.to_owned()),
            input_tokens: 1,
            text: Default::default(),
            propensity: None,
            options: Vec::new(),
        }
    }

    #[test]
    fn categories_that_differ_by_chance_only_get_the_common_mean() {
        let effects = Effects::fit(&values(&[("a", &[0.0, 1.0]), ("b", &[1.0, 0.0])])).unwrap();
        assert_eq!((effects.of(&turn("a")), effects.of(&turn("b"))), (0.5, 0.5));
    }

    #[test]
    fn categories_that_differ_surely_keep_their_means_and_unknown_ones_get_the_common_one() {
        let effects = Effects::fit(&values(&[("a", &[0.2; 40]), ("b", &[0.8; 40])])).unwrap();
        assert!((effects.of(&turn("a")) - 0.2).abs() < 1e-9 && (effects.of(&turn("b")) - 0.8).abs() < 1e-9);
        assert!((effects.of(&turn("c")) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_small_category_is_drawn_to_the_mean_more_than_a_large_one() {
        let large: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 10 < 8))).collect();
        let effects = Effects::fit(&values(&[
            ("large", &large),
            ("small", &[1.0, 0.6]),
            ("other", &[0.0, 0.3, 0.2, 0.1, 0.4, 0.2]),
        ]));
        let effects = effects.unwrap();
        let left =
            |name: &str, mean: f64| (effects.of(&turn(name)) - effects.overall) / (mean - effects.overall);
        assert!(left("large", 0.8) > left("small", 0.8) && left("small", 0.8) > 0.0);
    }
}
