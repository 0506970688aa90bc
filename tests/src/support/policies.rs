//! Policies with random weights: valid archives whose choices are arbitrary but fixed by a seed.
//!
//! Parity and hot-update tests need values that would show any difference, not sensible ones.

use anyhow::{Result, anyhow};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqroute_core::config::ModelConfig;
use seqroute_core::decide::features;
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::manifest::{Manifest, SCHEMA_VERSION, TrainedModel};
use seqroute_core::policy::write::{Front, Layer, NetworkWeights, archive};

use super::settings;

/// An archive for the tiers of [`settings::models`]; another seed gives other choices.
///
/// # Errors
/// When the core refuses to write it.
pub fn arbitrary(seed: u64) -> Result<Vec<u8>> {
    let models: Vec<ModelConfig> = serde_json::from_value(settings::models())?;
    let models: Vec<_> = models.iter().map(TrainedModel::from).collect();
    let features = features::names(models.len());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut number = move || random.random_range(-1.0..1.0_f32);
    let mut layer = |out: usize, width: usize| Layer {
        weights: (0..out * width).map(|_| number() / (width as f32).sqrt()).collect(),
        biases: (0..out).map(|_| number() * 0.1).collect(),
    };
    let front = Some(Front { linear: layer(16, features.len()), detour: None });
    let hidden = vec![layer(64, 16), layer(64, 64)];
    let (quality, cost) = (layer(models.len(), 64), layer(models.len(), 64));
    let network = NetworkWeights {
        mean: (0..features.len()).map(|k| k as f32 * 0.1).collect(),
        std: vec![1.5; features.len()],
        front,
        hidden,
        quality,
        cost,
    };
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        name: format!("arbitrary-{seed}"),
        features_sha256: features::names_sha256(&features),
        features,
        models,
        learner: serde_json::json!({"algorithm": "none"}),
        budget_range_nano_usd: [NanoUsd(1), NanoUsd(1)],
        data_sha256: "0".repeat(64),
        sha256: String::new(),
    };
    archive(&network, manifest).map_err(|error| anyhow!(error))
}
