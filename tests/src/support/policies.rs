//! Policies with made-up weights: valid archives whose choices are arbitrary but fixed by a seed.
//!
//! Parity and hot-update tests need values that would show any difference, not sensible ones.

use anyhow::{Result, anyhow};
use seqroute_core::decide::features;
use seqroute_core::money::{NanoUsd, Prices};
use seqroute_core::policy::manifest::{Manifest, SCHEMA_VERSION, TrainedModel};
use seqroute_core::policy::write::{Front, Layer, NetworkWeights, archive};

/// An archive for the tiers of [`crate::support::settings::plugin`]; another seed gives other choices.
///
/// # Errors
/// When the core refuses to write it.
pub fn arbitrary(seed: u64) -> Result<Vec<u8>> {
    let names = ["small", "medium", "large"];
    let features = features::names(names.len());
    let mut numbers = Numbers(seed.wrapping_mul(2).wrapping_add(1));
    let mut layer = |out: usize, width: usize| Layer {
        weights: (0..out * width).map(|_| numbers.next() / (width as f32).sqrt()).collect(),
        biases: (0..out).map(|_| numbers.next() * 0.1).collect(),
    };
    let front = Some(Front { linear: layer(16, features.len()), detour: None });
    let hidden = vec![layer(64, 16), layer(64, 64)];
    let (quality, cost) = (layer(names.len(), 64), layer(names.len(), 64));
    let network = NetworkWeights {
        mean: (0..features.len()).map(|k| k as f32 * 0.1).collect(),
        std: vec![1.5; features.len()],
        front,
        hidden,
        quality,
        cost,
    };
    let prices = |input, output| Prices {
        input_pico_usd_per_token: input,
        cached_input_pico_usd_per_token: None,
        cache_write_pico_usd_per_token: None,
        output_pico_usd_per_token: output,
    };
    let model = |name: &str, prices| TrainedModel {
        name: name.to_owned(),
        prices,
        expected_output_tokens: 150,
        upper_output_tokens: 600,
    };
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        name: format!("arbitrary-{seed}"),
        features_sha256: features::names_sha256(&features),
        features,
        models: vec![
            model("small", prices(150_000, 600_000)),
            model("medium", prices(800_000, 3_200_000)),
            model("large", prices(3_000_000, 15_000_000)),
        ],
        learner: serde_json::json!({"algorithm": "none"}),
        budget_range_nano_usd: [NanoUsd(1), NanoUsd(1)],
        data_sha256: "0".repeat(64),
        sha256: String::new(),
    };
    archive(&network, manifest).map_err(|error| anyhow!(error))
}

/// Numbers in −1 … 1 from a linear congruential generator (Knuth's MMIX constants): weights need no quality.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }
}
