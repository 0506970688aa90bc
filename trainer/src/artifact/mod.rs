//! The policy archive: manifest, bytes, and the check that the filter's engine agrees with the training engine.

mod export;

use burn::tensor::{Device, Tensor, TensorData};
use seqroute_core::body::text::TextFeatures;
use seqroute_core::config::ModelConfig;
use seqroute_core::decide::features;
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::manifest::{Manifest, SCHEMA_VERSION, TrainedModel};
use seqroute_core::policy::{Policy, PolicyError, write};
use serde_json::Value;

use crate::error::TrainError;
use crate::network::{Normalisation, Parameters, QNetwork, numbers};
use crate::text_head::TextHead;

/// Largest difference allowed between a value of the training engine and of the filter's.
pub const MAX_DIFFERENCE: f32 = 1e-4;

/// Provenance of a policy, for its manifest.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Short name of the policy.
    pub name: String,
    /// Learner, settings and seed.
    pub learner: Value,
    /// Smallest and largest budget of the training.
    pub budget_range_nano_usd: [NanoUsd; 2],
    /// SHA-256 of the training data.
    pub data_sha256: String,
}

/// A network and what is exported in front of it.
#[derive(Clone, Copy, Debug)]
pub struct Trained<'a> {
    /// The learner's network.
    pub parameters: &'a Parameters,
    /// Normalisation of its states.
    pub normalisation: &'a Normalisation,
    /// Computes the last entries of its states, from the text.
    pub head: &'a TextHead,
}

/// The bytes of a policy archive.
///
/// # Errors
/// The core refuses the manifest or the shapes.
pub fn archive(
    network: &Trained<'_>,
    models: &[ModelConfig],
    origin: &Origin,
) -> Result<Vec<u8>, PolicyError> {
    let names = features::names(models.len());
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        name: origin.name.clone(),
        features_sha256: features::names_sha256(&names),
        features: names,
        models: models.iter().map(TrainedModel::from).collect(),
        learner: origin.learner.clone(),
        budget_range_nano_usd: origin.budget_range_nano_usd,
        data_sha256: origin.data_sha256.clone(),
        sha256: String::new(),
    };
    write::archive(&export::weights(network), manifest)
}

/// Opens the archive as the filter does and compares its values with the training engine's on `states`: rows of the
/// features without text, and a message for each. Returns the largest difference.
///
/// # Errors
/// The archive does not open, or a value differs by more than [`MAX_DIFFERENCE`].
pub fn self_check(
    archive: &[u8],
    network: &Trained<'_>,
    states: &[(Vec<f32>, TextFeatures)],
) -> Result<f32, TrainError> {
    let policy = Policy::open(archive)?;
    let (width, models) = (network.normalisation.mean.len(), policy.manifest().models.len());
    let mut rows: Vec<f32> = states
        .iter()
        .flat_map(|(plain, text)| [plain.clone(), network.head.predict(text)].concat())
        .collect();
    network.normalisation.apply(&mut rows);
    let device = Device::flex();
    let rows: Tensor<2> = Tensor::from_data(TensorData::new(rows, [states.len(), width]), &device);
    let trained = numbers(QNetwork::load(network.parameters, &device).forward(rows))?;
    let mut largest = 0f32;
    for ((plain, text), trained) in states.iter().zip(trained.chunks_exact(2 * models)) {
        let served = policy.values(&features::with_text(plain, text))?;
        let served = served.quality.iter().take(models).chain(served.cost.iter().take(models));
        for (served, trained) in served.zip(trained) {
            let difference = (served - trained).abs();
            if difference.is_nan() || difference > MAX_DIFFERENCE {
                return Err(TrainError::SelfCheck {
                    served: *served,
                    trained: *trained,
                    limit: MAX_DIFFERENCE,
                });
            }
            largest = largest.max(difference);
        }
    }
    Ok(largest)
}
