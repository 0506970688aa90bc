//! The network that all learners train: an MLP with a head for quality to go and one for spend to go.
//!
//! On the host it is [`Parameters`], flat numbers that can be drawn, averaged and exported; on the device it is
//! [`QNetwork`], which exists only to be differentiated. Both heads share one output layer, quality first.
//! The network works on normalised states; [`Normalisation`] becomes part of the exported graph.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, activation};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqroute_core::policy::write::{Layer, NetworkWeights};

/// Divisor of a feature that never varied: whatever it says later, it is not heard.
pub const SILENT_STD: f32 = 1e9;
/// A feature varies when its standard deviation is at least this.
const MIN_STD: f64 = 1e-6;

/// Mean and standard deviation of every feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// Means.
    pub mean: Vec<f32>,
    /// Standard deviations; [`SILENT_STD`] for a feature that never varied.
    pub std: Vec<f32>,
}

impl Normalisation {
    /// Measures rows of `width` features.
    #[must_use]
    pub fn of(rows: &[f32], width: usize) -> Self {
        let count = (rows.len() / width.max(1)).max(1) as f64;
        let mut mean = vec![0.0f64; width];
        for row in rows.chunks_exact(width.max(1)) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        mean.iter_mut().for_each(|sum| *sum /= count);
        let mut variance = vec![0.0f64; width];
        for row in rows.chunks_exact(width.max(1)) {
            for ((sum, value), mean) in variance.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(*value) - mean).powi(2);
            }
        }
        let std = variance.iter().map(|sum| (sum / count).sqrt());
        Normalisation {
            mean: mean.iter().map(|mean| *mean as f32).collect(),
            std: std.map(|std| if std < MIN_STD { SILENT_STD } else { std as f32 }).collect(),
        }
    }

    /// Normalises rows in place.
    pub fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.mean.len().max(1)) {
            for ((value, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *value = (*value - mean) / std;
            }
        }
    }
}

/// One layer on the host: weights `[in, out]` and biases `[out]`.
#[derive(Clone, Debug, PartialEq)]
struct Dense {
    inputs: usize,
    weights: Vec<f32>,
    biases: Vec<f32>,
}

/// The network's numbers on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    layers: Vec<Dense>,
    models: usize,
}

impl Parameters {
    /// Draws a network: He-uniform weights, zero biases, small output weights.
    #[must_use]
    pub fn draw(inputs: usize, hidden: &[usize], models: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let widths: Vec<usize> = [inputs].into_iter().chain(hidden.iter().copied()).collect();
        let mut dense = |inputs: usize, outputs: usize, scale: f32| {
            let limit = scale * (6.0 / inputs.max(1) as f32).sqrt();
            let weights = (0..inputs * outputs).map(|_| limit * (2.0 * rng.random::<f32>() - 1.0)).collect();
            Dense { inputs, weights, biases: vec![0.0; outputs] }
        };
        let mut layers: Vec<Dense> = widths.windows(2).map(|pair| dense(pair[0], pair[1], 1.0)).collect();
        layers.push(dense(widths.last().copied().unwrap_or(inputs), 2 * models, 0.1));
        Parameters { layers, models }
    }

    /// Moves a share `step` of the way to `other`: an exponential average when repeated.
    pub fn approach(&mut self, other: &Parameters, step: f32) {
        for (layer, other) in self.layers.iter_mut().zip(&other.layers) {
            let pairs = layer.weights.iter_mut().zip(&other.weights);
            let pairs = pairs.chain(layer.biases.iter_mut().zip(&other.biases));
            pairs.for_each(|(value, other)| *value += step * (other - *value));
        }
    }

    /// Whether every number is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let mut layers = self.layers.iter();
        layers.all(|layer| layer.weights.iter().chain(&layer.biases).all(|value| value.is_finite()))
    }

    /// The network as the artifact stores it: weights `[out, in]`, heads apart, normalisation in front.
    #[must_use]
    pub fn export(&self, normalisation: &Normalisation) -> NetworkWeights {
        let layer = |dense: &Dense, outputs: std::ops::Range<usize>| {
            let width = dense.biases.len();
            let weight = |output: usize, input: usize| dense.weights.get(input * width + output).copied();
            Layer {
                weights: outputs
                    .clone()
                    .flat_map(|output| (0..dense.inputs).map(move |input| (output, input)))
                    .filter_map(|(output, input)| weight(output, input))
                    .collect(),
                biases: dense.biases.get(outputs).unwrap_or_default().to_vec(),
            }
        };
        let all = |dense: &Dense| layer(dense, 0..dense.biases.len());
        let empty = Dense { inputs: 0, weights: Vec::new(), biases: Vec::new() };
        let (heads, hidden) = self.layers.split_last().unwrap_or((&empty, &[]));
        NetworkWeights {
            mean: normalisation.mean.clone(),
            std: normalisation.std.clone(),
            hidden: hidden.iter().map(all).collect(),
            quality: layer(heads, 0..self.models),
            cost: layer(heads, self.models..2 * self.models),
        }
    }
}

/// The network on a device.
#[derive(Module, Debug)]
pub struct QNetwork {
    hidden: Vec<Linear>,
    heads: Linear,
}

impl QNetwork {
    /// Puts the numbers on a device.
    #[must_use]
    pub fn load(parameters: &Parameters, device: &Device) -> Self {
        let linear = |dense: &Dense| {
            let shape = [dense.inputs, dense.biases.len()];
            let weight = TensorData::new(dense.weights.clone(), shape);
            let bias = TensorData::new(dense.biases.clone(), [dense.biases.len()]);
            Linear { weight: Param::from_data(weight, device), bias: Some(Param::from_data(bias, device)) }
        };
        let mut layers: Vec<Linear> = parameters.layers.iter().map(linear).collect();
        let heads = layers.pop().unwrap_or_else(|| burn::nn::LinearConfig::new(1, 1).init(device));
        QNetwork { hidden: layers, heads }
    }

    /// Reads the numbers back.
    ///
    /// # Errors
    /// The device fails.
    pub fn read(&self, models: usize) -> Result<Parameters, String> {
        let dense = |linear: &Linear| -> Result<Dense, String> {
            let weight = linear.weight.val();
            let [inputs, _] = weight.dims();
            let biases = match &linear.bias {
                Some(bias) => numbers(bias.val())?,
                None => Vec::new(),
            };
            Ok(Dense { inputs, weights: numbers(weight)?, biases })
        };
        let layers = self.hidden.iter().chain([&self.heads]).map(dense).collect::<Result<_, _>>()?;
        Ok(Parameters { layers, models })
    }

    /// `[batch, features]` (normalised) to `[batch, 2 · models]`: qualities to go, then spends to go.
    #[must_use]
    pub fn forward(&self, states: Tensor<2>) -> Tensor<2> {
        let hidden = self.hidden.iter().fold(states, |x, layer| activation::relu(layer.forward(x)));
        self.heads.forward(hidden)
    }

    /// As [`QNetwork::forward`], without a graph for gradients.
    #[must_use]
    pub fn valid_forward(&self, states: Tensor<2>) -> Tensor<2> {
        self.valid().forward(states)
    }
}

/// A tensor's numbers on the host.
///
/// # Errors
/// The device fails.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, String> {
    let data = tensor.try_into_data().map_err(|error| format!("training device: {error:?}"))?;
    data.try_to_vec::<f32>().map_err(|error| format!("training device: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_survive_the_device_and_the_export_transposes() {
        let drawn = Parameters::draw(5, &[4, 3], 2, 1);
        let device = Device::flex();
        assert_eq!(QNetwork::load(&drawn, &device).read(2), Ok(drawn.clone()));
        let normalisation = Normalisation { mean: vec![0.0; 5], std: vec![1.0; 5] };
        let exported = drawn.export(&normalisation);
        assert_eq!(exported.hidden[0].weights[1], drawn.layers[0].weights[4]);
        assert_eq!(exported.hidden.len(), 2);
        assert_eq!((exported.quality.weights.len(), exported.cost.biases.len()), (6, 2));
        assert_eq!(exported.cost.weights[0], drawn.layers[2].weights[2]);
    }

    #[test]
    fn a_feature_that_never_varied_is_silenced() {
        let normalisation = Normalisation::of(&[1.0, 7.0, 3.0, 7.0], 2);
        assert_eq!((normalisation.mean, normalisation.std), (vec![2.0, 7.0], vec![1.0, SILENT_STD]));
    }
}
