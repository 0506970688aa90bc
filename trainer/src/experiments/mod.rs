//! Many trainings compared: settings by cross-validation, and ablations.

pub mod ablation;
pub mod crossvalidation;
pub mod folds;
