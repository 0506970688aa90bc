//! Predicts quality and length of every model's answer from what is observed of a turn.
//!
//! The observation is the length of the turn's message and either its category or its text. Category means are
//! shrunk ([`Effects`]), and a prompt counts once however often the sessions repeat it. From the text it uses what the
//! policy uses, the predictions of the text head ([`crate::text_head`]), out of fold for messages that the head was fitted
//! on.

use std::collections::HashMap;

use seqroute_core::body::text::TextFeatures;
use seqroute_core::config::ModelConfig;

use crate::error::TrainError;
use crate::text_head::effects::Effects;
use crate::text_head::{self, TextConfig, TextHead};
use seqroute_sessions::session::{Session, Turn};

/// Predicts from observations.
#[derive(Clone, Debug)]
pub struct Encoder {
    source: Source,
    models: usize,
    /// Mean and standard deviation of every number of a vector.
    scale: Vec<[f64; 2]>,
}

/// What is observed of a turn in addition to its length.
#[derive(Clone, Debug)]
enum Source {
    /// Its category: means of quality per model, then of ln(1 + length) per model.
    Category(Vec<Effects>),
    /// Its text: predictions of the text head in the same order.
    Text { head: Box<TextHead>, out_of_fold: HashMap<TextFeatures, Vec<f32>> },
}

impl Encoder {
    /// Estimates category means; `None` if a model has no outcome.
    #[must_use]
    pub fn of_categories(sessions: &[Session], models: &[ModelConfig]) -> Option<Encoder> {
        let fit = |of: fn(&seqroute_sessions::session::Outcome) -> f64| {
            models.iter().map(move |model| Effects::fit(&prompt_means(sessions, &model.name, of)))
        };
        let lengths = fit(|outcome| (outcome.output_tokens as f64).ln_1p());
        let effects: Option<Vec<Effects>> = fit(|outcome| outcome.quality).chain(lengths).collect();
        Some(Encoder::new(Source::Category(effects?), sessions, models))
    }

    /// Fits a text head; `None` if no turn has a text or a model has no outcome.
    ///
    /// # Errors
    /// The training device fails.
    pub fn of_text(sessions: &[Session], models: &[ModelConfig]) -> Result<Option<Encoder>, TrainError> {
        let turns = || sessions.iter().flat_map(|session| &session.turns);
        let observed = models.iter().all(|model| turns().any(|turn| turn.outcome(&model.name).is_some()));
        if !observed || turns().all(|turn| turn.text.is_empty()) {
            return Ok(None);
        }
        let (head, predictions, _) = text_head::fit(sessions, models, &TextConfig::default())?;
        let mut out_of_fold = HashMap::new();
        for (s, session) in sessions.iter().enumerate() {
            for (t, turn) in session.turns.iter().enumerate() {
                out_of_fold.entry(turn.text).or_insert_with(|| predictions.of(s, t).to_vec());
            }
        }
        Ok(Some(Encoder::new(Source::Text { head: Box::new(head), out_of_fold }, sessions, models)))
    }

    fn new(source: Source, sessions: &[Session], models: &[ModelConfig]) -> Encoder {
        let mut encoder = Encoder { source, models: models.len(), scale: Vec::new() };
        let vectors: Vec<_> =
            sessions.iter().flat_map(|session| &session.turns).map(|turn| encoder.raw(turn)).collect();
        encoder.scale = mean_and_deviation(&vectors);
        encoder
    }

    /// Predicted quality of each model's answer.
    #[must_use]
    pub fn qualities(&self, turn: &Turn) -> Vec<f64> {
        let mut predicted = self.predicted(turn);
        predicted.truncate(self.models);
        predicted
    }

    /// Quality per model, then ln(1 + length) per model.
    fn predicted(&self, turn: &Turn) -> Vec<f64> {
        match &self.source {
            Source::Category(effects) => {
                let category = turn.category.as_deref().unwrap_or_default();
                effects.iter().map(|effects| effects.of(category)).collect()
            }
            Source::Text { head, out_of_fold } => {
                let known = out_of_fold.get(&turn.text).cloned();
                known.unwrap_or_else(|| head.predict(&turn.text)).into_iter().map(f64::from).collect()
            }
        }
    }

    /// The observation as standardised numbers: predicted qualities, predicted length, message length.
    #[must_use]
    pub fn vector(&self, turn: &Turn) -> Vec<f64> {
        let raw = self.raw(turn);
        let scaled = raw.iter().zip(&self.scale).map(|(value, [mean, deviation])| (value - mean) / deviation);
        scaled.collect()
    }

    fn raw(&self, turn: &Turn) -> Vec<f64> {
        let mut raw = self.predicted(turn);
        let lengths: f64 = raw.drain(self.models..).sum();
        raw.extend([lengths / self.models as f64, (turn.input_tokens as f64).ln_1p()]);
        raw
    }
}

/// For every category, the mean over the turns of each of its prompts.
fn prompt_means(
    sessions: &[Session],
    model: &str,
    of: fn(&seqroute_sessions::session::Outcome) -> f64,
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
        // Any scale will do for a constant.
        [mean, if variance > 1e-12 { variance.sqrt() } else { 1.0 }]
    };
    (0..width).map(column).collect()
}
