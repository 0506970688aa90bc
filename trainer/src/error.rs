//! The one error of this library.

use seqroute_core::policy::PolicyError;
use seqroute_sessions::environment::ReplayError;
use seqroute_sessions::error::{DataError, Invalid};

/// Why a policy could not be trained, evaluated or written.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// An input file is unreadable or holds something unusable.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A setting or record is out of range: field, found, expected.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A session cannot be replayed, or the core refuses the models.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An archive cannot be written or opened.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Relabelling gave no rows.
    #[error("found no transition to train on: no budget of the range pays for a turn")]
    NoTransitions,
    /// An epoch ended before the last step, and no other was prepared.
    #[error("the training ran out of rows")]
    OutOfRows,
    /// Training diverged.
    #[error("step {step}: found weights that are not finite; lower `learning_rate`")]
    Diverged {
        /// The gradient step at which this was found.
        step: usize,
    },
    /// The filter's inference engine computes something else than the training engine.
    #[error(
        "self-check: the filter's engine gives {served}, training gave {trained}, expected a difference of at most {limit}"
    )]
    SelfCheck {
        /// Value of the filter's engine.
        served: f32,
        /// Value of the training engine.
        trained: f32,
        /// Largest difference allowed.
        limit: f32,
    },
    /// The tensor library failed.
    #[error("training device: {0}")]
    Device(String),
    /// One training of a cross-validation failed.
    #[error("settings {setting}, fold {fold}: {error}")]
    Fold {
        /// Number of the settings, from 1.
        setting: usize,
        /// Number of the fold, from 1.
        fold: usize,
        /// Why.
        error: Box<TrainError>,
    },
    /// A thread panicked.
    #[error("a training thread failed")]
    Thread,
    /// A result cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The settings cannot be written as TOML.
    #[error(transparent)]
    Toml(#[from] toml::ser::Error),
    /// A table cannot be written as CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The plotting library failed.
    #[error("drawing `{chart}`: {message}")]
    Drawing {
        /// Label of the chart's vertical axis.
        chart: String,
        /// Message of the library.
        message: String,
    },
}
