//! The network that all learners train: an MLP with a head for quality to go and one for spend to go.
//!
//! [`Parameters`] holds the weights on the host, where they are initialised, averaged and exported; [`QNetwork`] is a copy
//! on the device, used to compute values and gradients. Both heads share one output layer, quality first.
//! Inputs are normalised states; [`Normalisation`] becomes part of the exported graph.

pub mod adam;
mod normalisation;
mod q_network;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqroute_core::policy::write::Layer;
use serde::{Deserialize, Serialize};

pub use normalisation::{Normalisation, SILENT_STD};
pub use q_network::{QNetwork, numbers};

/// One layer on the host: weights `[in, out]` and biases `[out]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Dense {
    inputs: usize,
    #[serde(with = "exact")]
    weights: Vec<f32>,
    #[serde(with = "exact")]
    biases: Vec<f32>,
}

impl Dense {
    /// With weights `[out, in]`.
    fn transposed(&self) -> Layer {
        let outputs = self.biases.len();
        let row = |output: usize| self.weights.iter().copied().skip(output).step_by(outputs);
        Layer { weights: (0..outputs).flat_map(row).collect(), biases: self.biases.clone() }
    }
}

/// Serialises floats as their bits: a decimal text that is read back may differ in the last digit.
pub(crate) mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(values: &[f32], to: S) -> Result<S::Ok, S::Error> {
        values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        Ok(Vec::<u32>::deserialize(from)?.into_iter().map(f32::from_bits).collect())
    }
}

/// The network's weights and biases on the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    layers: Vec<Dense>,
}

impl Parameters {
    /// Random initialisation: He-uniform weights, zero biases, small output weights.
    #[must_use]
    pub fn draw(inputs: usize, hidden: &[usize], outputs: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let widths: Vec<usize> = [inputs].into_iter().chain(hidden.iter().copied()).collect();
        let mut dense = |inputs: usize, outputs: usize, scale: f32| {
            let limit = scale * (6.0 / inputs.max(1) as f32).sqrt();
            let weights = (0..inputs * outputs).map(|_| limit * (2.0 * rng.random::<f32>() - 1.0)).collect();
            Dense { inputs, weights, biases: vec![0.0; outputs] }
        };
        let mut layers: Vec<Dense> = widths.windows(2).map(|pair| dense(pair[0], pair[1], 1.0)).collect();
        layers.push(dense(widths.last().copied().unwrap_or(inputs), outputs, 0.1));
        Parameters { layers }
    }

    /// Zeros in the same shapes.
    #[must_use]
    pub fn zeros(&self) -> Self {
        let zero = |dense: &Dense| Dense {
            inputs: dense.inputs,
            weights: vec![0.0; dense.weights.len()],
            biases: vec![0.0; dense.biases.len()],
        };
        Parameters { layers: self.layers.iter().map(zero).collect() }
    }

    /// Every number, in a fixed order.
    pub fn values(&self) -> impl Iterator<Item = &f32> {
        self.layers.iter().flat_map(|layer| layer.weights.iter().chain(&layer.biases))
    }

    /// [`Parameters::values`], mutable.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut f32> {
        self.layers.iter_mut().flat_map(|layer| layer.weights.iter_mut().chain(&mut layer.biases))
    }

    /// Moves by `step` (0 to 1) of the distance to `other`: an exponential moving average if repeated.
    pub fn approach(&mut self, other: &Parameters, step: f32) {
        self.values_mut().zip(other.values()).for_each(|(value, other)| *value += step * (other - *value));
    }

    /// A layer with weights `[out, in]`, as in the archive.
    #[must_use]
    pub fn layer(&self, number: usize) -> Layer {
        let empty = Layer { weights: Vec::new(), biases: Vec::new() };
        self.layers.get(number).map_or(empty, Dense::transposed)
    }

    /// Number of hidden layers: that of the output layer in [`Parameters::layer`].
    #[must_use]
    pub fn hidden_layers(&self) -> usize {
        self.layers.len().saturating_sub(1)
    }

    /// Width of the output layer.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.biases.len())
    }

    /// Whether every number is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.values().all(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_survive_a_checkpoint_bit_by_bit() {
        let drawn = Parameters::draw(7, &[4, 3], 4, 1);
        let text = serde_json::to_string(&drawn).unwrap();
        assert_eq!(serde_json::from_str::<Parameters>(&text).unwrap(), drawn);
    }

    #[test]
    fn a_stored_layer_has_one_row_per_output() {
        let drawn = Parameters::draw(7, &[4, 3], 4, 1);
        assert_eq!((drawn.hidden_layers(), drawn.layer(0).weights.len()), (2, 28));
        assert_eq!(drawn.layer(0).weights[1], drawn.layers[0].weights[4]);
    }
}
