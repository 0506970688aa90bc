//! The distinct messages of a set of sessions, on which the text head is fitted.

use std::collections::HashMap;

use seqroute_core::body::text::TextFeatures;
use seqroute_core::config::ModelConfig;

use seqroute_sessions::session::Session;

/// One message: its features, and means over the answers observed.
pub(super) struct Message {
    /// Non-zero features as bucket and value.
    pub(super) row: Vec<(u16, f32)>,
    /// Its turn's category, where the data name one.
    pub(super) category: Option<String>,
    /// Mean quality of each model, then mean ln(1 + tokens) of each model's answer; `None` if never observed.
    pub(super) values: Vec<Option<f64>>,
    /// Number of its fold.
    pub(super) fold: usize,
}

/// Index of each session's first turn, and by turn the index of its message.
pub(super) struct Places {
    pub(super) first: Vec<usize>,
    pub(super) message: Vec<usize>,
}

/// Collects the messages of all turns.
pub(super) fn collect(sessions: &[Session], models: &[ModelConfig], folds: usize) -> (Vec<Message>, Places) {
    let mut known: HashMap<&TextFeatures, usize> = HashMap::new();
    let mut sums: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut texts: Vec<(&TextFeatures, Option<&String>)> = Vec::new();
    let mut places = Places { first: Vec::new(), message: Vec::new() };
    for session in sessions {
        places.first.push(places.message.len());
        for turn in &session.turns {
            let message = *known.entry(&turn.text).or_insert_with(|| {
                texts.push((&turn.text, turn.category.as_ref()));
                sums.push(vec![(0.0, 0.0); 2 * models.len()]);
                texts.len() - 1
            });
            places.message.push(message);
            let (qualities, lengths) = sums[message].split_at_mut(models.len());
            for (model, (quality, length)) in models.iter().zip(qualities.iter_mut().zip(lengths)) {
                if let Some(outcome) = turn.outcome(&model.name) {
                    *quality = (quality.0 + outcome.quality, quality.1 + 1.0);
                    *length = (length.0 + (outcome.output_tokens as f64).ln_1p(), length.1 + 1.0);
                }
            }
        }
    }
    let message = |(at, (text, category)): (usize, &(&TextFeatures, Option<&String>))| {
        let scaled = text.scaled().enumerate().filter(|(_, value)| *value > 0.0);
        Message {
            row: scaled.filter_map(|(k, value)| Some((u16::try_from(k).ok()?, value))).collect(),
            category: category.cloned(),
            values: sums[at].iter().map(|(sum, count)| (*count > 0.0).then(|| sum / count)).collect(),
            fold: fold(text, folds),
        }
    };
    (texts.iter().enumerate().map(message).collect(), places)
}

/// A message's fold depends on its features alone, so that equal messages are in the same fold.
fn fold(text: &TextFeatures, folds: usize) -> usize {
    let mix = |hash: u64, count: &u8| (hash ^ u64::from(*count)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = text.counts().iter().fold(0xcbf2_9ce4_8422_2325, mix);
    ((hash >> 32) as usize) % folds
}

/// Mean of every output over the messages in which it was observed.
pub(super) fn means(messages: &[Message]) -> Vec<f64> {
    let outputs = messages.first().map_or(0, |message| message.values.len());
    let mean = |output: usize| {
        let known: Vec<f64> = messages.iter().filter_map(|message| message.values[output]).collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    };
    (0..outputs).map(mean).collect()
}

/// Qualities, observed and predicted, minus their mean over the models; unchanged if one was not observed.
pub(super) fn gaps(quality: &[Option<f64>], predicted: &[f64]) -> Vec<(f64, f64)> {
    let known: Option<Vec<f64>> = quality.iter().copied().collect();
    match known {
        Some(known) => {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            let (found, expected) = (mean(&known), mean(predicted));
            known.iter().zip(predicted).map(|(a, b)| (a - found, b - expected)).collect()
        }
        None => quality.iter().zip(predicted).filter_map(|(a, b)| Some(((*a)?, *b))).collect(),
    }
}
