//! The models file, and output lengths measured on sessions.
//!
//! A models file is a JSON array of the same objects as `models` in the plugin configuration, validated by the same code.

use std::path::Path;

use seqroute_core::config::{Config, ModelConfig};
use serde::Serialize;
use serde_json::json;

use crate::error::{DataError, Invalid};
use crate::files;
use crate::session::Session;

/// Reads and checks a models file.
///
/// # Errors
/// [`DataError`] that names the file and the field.
pub fn read(path: &Path) -> Result<Vec<ModelConfig>, DataError> {
    let bytes = files::read_file(path)?;
    let models: Vec<ModelConfig> =
        serde_json::from_slice(&bytes).map_err(|error| DataError::line(path, error.line(), error.into()))?;
    match config(&models) {
        Ok(_) => Ok(models),
        Err(Invalid(message)) => Err(DataError::File { path: path.to_owned(), message }),
    }
}

/// A plugin configuration around these models, for offline decisions: turns come one after the other, and answers are as
/// long as is usual.
///
/// # Errors
/// The field that the core refuses.
pub fn config(models: &[ModelConfig]) -> Result<Config, Invalid> {
    let config = json!({
        "version": 1, "salt": "offline, no session id is hashed", "strategy": "best_affordable",
        "budget": {"default_usd": "1", "cap_output": true, "turn_share": 1.0},
        "estimate": {"unlimited_answer": "usual"}, "models": models,
    });
    let config = Config::from_json(config.to_string().as_bytes());
    config.map_err(|error| Invalid(error.to_string().replace("plugin configuration, ", "")))
}

/// Observed answers of one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeasuredModel {
    /// The model.
    pub name: String,
    /// Number of answers.
    pub answers: usize,
    /// Mean quality of the answers.
    pub mean_quality: f64,
    /// Mean output tokens, rounded up: `expected_output_tokens`.
    pub expected_output_tokens: u64,
    /// 99 % quantile of the output tokens: `upper_output_tokens`.
    pub upper_output_tokens: u64,
}

/// Measures mean and 99 % quantile of the output tokens of every model.
#[must_use]
pub fn measure(sessions: &[Session], models: &[ModelConfig]) -> Vec<MeasuredModel> {
    let turns = || sessions.iter().flat_map(|session| &session.turns);
    let measure = |model: &ModelConfig| {
        let outcomes = turns().filter_map(|turn| turn.outcome(&model.name));
        let (mut tokens, mut quality) = (Vec::new(), 0.0);
        for outcome in outcomes {
            tokens.push(outcome.output_tokens);
            quality += outcome.quality;
        }
        tokens.sort_unstable();
        let count = tokens.len().max(1);
        let mean = tokens.iter().sum::<u64>().div_ceil(count as u64).max(1);
        let quantile = tokens.get((count * 99).div_ceil(100) - 1).copied().unwrap_or(1);
        MeasuredModel {
            name: model.name.clone(),
            answers: tokens.len(),
            mean_quality: quality / count as f64,
            expected_output_tokens: mean,
            upper_output_tokens: quantile.max(mean),
        }
    };
    models.iter().map(measure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator;

    #[test]
    fn every_example_is_accepted() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        for name in ["tiers", "knowledge", "mtbench"] {
            let models = read(&directory.join(format!("{name}.models.json"))).unwrap();
            assert!(models.len() >= 2, "{name}");
        }
        assert_eq!(read(&directory.join("tiers.models.json")).unwrap(), simulator::tiers());
    }

    #[test]
    fn a_bad_models_file_is_named_with_the_field() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("models.json");
        let mut value = serde_json::to_value(simulator::tiers()).unwrap();
        value[1]["upper_output_tokens"] = json!(1);
        std::fs::write(&path, value.to_string()).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("models.json: field `models[1].upper_output_tokens`: found"), "{error}");
        std::fs::write(&path, "[{\"nam\": 1}]").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("models.json:1: unknown field `nam`"));
    }

    #[test]
    fn the_quantile_leaves_one_answer_in_a_hundred_above() {
        let mut sessions = simulator::Simulator::new(1).sessions(1);
        let turn = sessions[0].turns[0].clone();
        let with_tokens = |tokens: u64| {
            let mut turn = turn.clone();
            turn.options[0].output_tokens = tokens;
            turn
        };
        sessions[0].turns = (1..=200).map(with_tokens).collect();
        let measured = &measure(&sessions, &simulator::tiers())[0];
        assert_eq!((measured.expected_output_tokens, measured.upper_output_tokens), (101, 198));
    }
}
