//! Compares settings by cross-validation over the prompts of one set of sessions.

use std::convert::Infallible;
use std::ops::ControlFlow;

use rayon::prelude::*;
use seqroute_core::config::ModelConfig;
use seqroute_sessions::error::Invalid;

use super::folds::Split;
use crate::error::TrainError;
use crate::learner::progress::Progress;
use crate::training::{TrainConfig, Training, TrainingData};

/// Result of one setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Quality per turn, mean over budgets and folds.
    pub quality: Estimate,
    /// Difference of quality from the first settings, paired by fold.
    pub minus_first: Estimate,
    /// By budget, mean over the folds.
    pub by_budget: Vec<f64>,
}

/// A mean over the folds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
}

impl Estimate {
    fn of(values: &[f64]) -> Self {
        let (count, mean) = (values.len() as f64, mean(values));
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Estimate { mean, standard_error: (squares / ((count - 1.0) * count).max(1.0)).sqrt() }
    }
}

/// Trains every setting on every fold, on all cores, and scores it on the fold's validation sessions. `trained` is called
/// after each training.
///
/// # Errors
/// Settings with different validation budgets, or a training that fails.
pub fn crossvalidate(
    configs: &[TrainConfig],
    splits: &[Split],
    models: &[ModelConfig],
    sha256: &str,
    trained: impl Fn() + Sync,
) -> Result<Vec<Score>, TrainError> {
    let budgets = |config: &TrainConfig| config.validation_budget_shares.clone();
    if configs.windows(2).any(|pair| budgets(&pair[0]) != budgets(&pair[1])) {
        let problem = "found different `validation_budget_shares`, expected the same in all settings";
        return Err(Invalid(problem.to_owned()).into());
    }
    let jobs: Vec<_> =
        (0..configs.len()).flat_map(|setting| (0..splits.len()).map(move |fold| (setting, fold))).collect();
    let qualities: Vec<Vec<f64>> = jobs
        .par_iter()
        .map(|(setting, fold)| {
            let split = &splits[*fold];
            let data = TrainingData { train: &split.train, valid: &split.valid, models, sha256 };
            let quality = last_quality(&data, &configs[*setting]);
            trained();
            let failed =
                |error| TrainError::Fold { setting: setting + 1, fold: fold + 1, error: Box::new(error) };
            quality.map_err(failed)
        })
        .collect::<Result<_, _>>()?;
    Ok(scores(&qualities, splits.len()))
}

/// `qualities`: by setting and fold, quality at each budget.
fn scores(qualities: &[Vec<f64>], folds: usize) -> Vec<Score> {
    let by_setting: Vec<&[Vec<f64>]> = qualities.chunks(folds.max(1)).collect();
    let of_folds = |by_fold: &[Vec<f64>]| by_fold.iter().map(|quality| mean(quality)).collect::<Vec<f64>>();
    let first = by_setting.first().map(|by_fold| of_folds(by_fold)).unwrap_or_default();
    let score = |by_fold: &&[Vec<f64>]| {
        let of_fold = of_folds(by_fold);
        let more: Vec<f64> = of_fold.iter().zip(&first).map(|(this, first)| this - first).collect();
        let budgets = by_fold.first().map_or(0, Vec::len);
        let at = |k: usize| {
            mean(&by_fold.iter().filter_map(|quality| quality.get(k).copied()).collect::<Vec<_>>())
        };
        Score {
            quality: Estimate::of(&of_fold),
            minus_first: Estimate::of(&more),
            by_budget: (0..budgets).map(at).collect(),
        }
    };
    by_setting.iter().map(score).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Quality at every budget when the last weights play the validation sessions: no fold chooses its own checkpoint.
fn last_quality(data: &TrainingData<'_>, config: &TrainConfig) -> Result<Vec<f64>, TrainError> {
    let mut last = Vec::new();
    let mut keep_last = |progress: Progress<'_>| -> ControlFlow<Infallible> {
        if let Progress::Checkpoint(metrics) = progress {
            last.clone_from(&metrics.validation.quality_by_budget);
        }
        ControlFlow::Continue(())
    };
    let ControlFlow::Continue(_) = Training::prepare(data, config)?.run("fold", None, &mut keep_last)?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_paired_by_fold_and_errors_are_those_of_the_mean() {
        let found = scores(&[vec![0.2, 0.4], vec![0.4, 0.6], vec![0.3, 0.5], vec![0.5, 0.7]], 2);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(found[0].quality.mean, 0.4);
        near(found[0].quality.standard_error, 0.1);
        near(found[1].minus_first.mean, 0.1);
        near(found[1].minus_first.standard_error, 0.0);
        near(found[1].by_budget[0], 0.4);
        near(found[1].by_budget[1], 0.6);
    }

    #[test]
    fn settings_with_different_budgets_are_refused() {
        let mut other = TrainConfig::default();
        other.validation_budget_shares.pop();
        let found = crossvalidate(&[TrainConfig::default(), other], &[], &[], "", || {});
        assert!(found.unwrap_err().to_string().contains("`validation_budget_shares`"));
    }
}
