//! The manifest of a policy archive, `seqroute.json`: what the policy is, made from what.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::ModelConfig;
use crate::money::NanoUsd;
use crate::policy::error::PolicyError;
use crate::prices::Prices;

/// The manifest's name in the archive.
pub const FILE_NAME: &str = "seqroute.json";
/// Version of the manifest and of the meaning of features and outputs.
pub const SCHEMA_VERSION: u32 = 1;

/// The manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// A short name, for records.
    pub name: String,
    /// Names of the inputs, in order (see [`crate::decide::features`]).
    pub features: Vec<String>,
    /// SHA-256 of the names ([`crate::decide::features::names_sha256`]).
    pub features_sha256: String,
    /// The models, in the order of the outputs.
    pub models: Vec<TrainedModel>,
    /// The learner and all its settings.
    pub learner: Value,
    /// The budgets it was trained for, in nano-USD: smallest and largest.
    pub budget_range_nano_usd: [NanoUsd; 2],
    /// SHA-256 of the training data's bytes.
    pub data_sha256: String,
    /// SHA-256 of the archive's other files ([`crate::policy::archive::Archive::content_sha256`]).
    pub sha256: String,
}

/// A model as it was at training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedModel {
    /// Its name.
    pub name: String,
    /// Its prices then. The features are ratios, so a policy outlives moderate changes of price.
    pub prices: Prices,
    /// Mean output tokens of a turn in the training data.
    pub expected_output_tokens: u64,
    /// Output tokens of a turn that were rarely exceeded.
    pub upper_output_tokens: u64,
}

impl From<&ModelConfig> for TrainedModel {
    fn from(model: &ModelConfig) -> TrainedModel {
        TrainedModel {
            name: model.name.clone(),
            prices: model.prices,
            expected_output_tokens: model.expected_output_tokens,
            upper_output_tokens: model.upper_output_tokens,
        }
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`PolicyError`] when it is not one of this schema, or its name is unfit for records.
    pub fn from_json(json: &[u8]) -> Result<Manifest, PolicyError> {
        let manifest: Manifest = serde_json::from_slice(json)
            .map_err(|error| PolicyError::Manifest(format!("{FILE_NAME}: {error}")))?;
        let name = &manifest.name;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            let expected = "1 to 64 letters, digits, `-`, `_` or `.`";
            return Err(PolicyError::Manifest(format!(
                "manifest `name`: found `{name}`, expected {expected}"
            )));
        }
        Ok(manifest)
    }
}
