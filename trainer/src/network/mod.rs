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
use seqroute_core::features::TEXT_BLOCK;
use seqroute_core::policy::write::{Front, Layer, NetworkWeights};
use serde::{Deserialize, Serialize};

use crate::text_head::TextHead;

/// Divisor of a feature that never varied: whatever it says later, it is not heard.
pub const SILENT_STD: f32 = 1e9;
/// A feature varies when its standard deviation is at least this.
const MIN_STD: f64 = 1e-6;

/// Mean and standard deviation of every feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Means.
    #[serde(with = "exact")]
    pub mean: Vec<f32>,
    /// Standard deviations; [`SILENT_STD`] for a feature that never varied.
    #[serde(with = "exact")]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Dense {
    inputs: usize,
    #[serde(with = "exact")]
    weights: Vec<f32>,
    #[serde(with = "exact")]
    biases: Vec<f32>,
}

impl Dense {
    /// Some of the outputs, weights `[out, in]`.
    fn rows(&self, outputs: std::ops::Range<usize>) -> Layer {
        let width = self.biases.len();
        let weight = |output: usize, input: usize| self.weights.get(input * width + output).copied();
        Layer {
            weights: outputs
                .clone()
                .flat_map(|output| (0..self.inputs).map(move |input| (output, input)))
                .filter_map(|(output, input)| weight(output, input))
                .collect(),
            biases: self.biases.get(outputs).unwrap_or_default().to_vec(),
        }
    }
}

/// Floats in a checkpoint, bit by bit: a text that is read back may differ in the last digit.
pub(super) mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(values: &[f32], to: S) -> Result<S::Ok, S::Error> {
        values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        Ok(Vec::<u32>::deserialize(from)?.into_iter().map(f32::from_bits).collect())
    }
}

/// The network's numbers on the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    layers: Vec<Dense>,
}

impl Parameters {
    /// Draws a network: He-uniform weights, zero biases, small output weights.
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

    /// As [`Parameters::values`], to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut f32> {
        self.layers.iter_mut().flat_map(|layer| layer.weights.iter_mut().chain(&mut layer.biases))
    }

    /// Moves a share `step` of the way to `other`: an exponential average when repeated.
    pub fn approach(&mut self, other: &Parameters, step: f32) {
        self.values_mut().zip(other.values()).for_each(|(value, other)| *value += step * (other - *value));
    }

    /// A layer as the artifact stores it, weights `[out, in]`.
    #[must_use]
    pub fn layer(&self, number: usize) -> Layer {
        let empty = Layer { weights: Vec::new(), biases: Vec::new() };
        self.layers.get(number).map_or(empty, |dense| dense.rows(0..dense.biases.len()))
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

    /// The network as the artifact stores it: weights `[out, in]`, heads apart; in front the normalisation and the
    /// layer that passes the state on and puts the text head's predictions behind it, which is the learner's state.
    #[must_use]
    pub fn export(&self, normalisation: &Normalisation, head: &TextHead) -> NetworkWeights {
        let models = self.outputs() / 2;
        let empty = Dense { inputs: 0, weights: Vec::new(), biases: Vec::new() };
        let (heads, hidden) = self.layers.split_last().unwrap_or((&empty, &[]));
        let plain = normalisation.mean.len().saturating_sub(2 * models);
        let of_text = |number: f32| vec![number; TEXT_BLOCK];
        let extended = |numbers: &[f32], number: f32| [&numbers[..plain], &of_text(number)].concat();
        NetworkWeights {
            mean: extended(&normalisation.mean, 0.0),
            std: extended(&normalisation.std, 1.0),
            front: Some(front(normalisation, head, plain)),
            hidden: hidden.iter().map(|dense| dense.rows(0..dense.biases.len())).collect(),
            quality: heads.rows(0..models),
            cost: heads.rows(models..2 * models),
        }
    }
}

/// See [`Parameters::export`]. Rows of the first kind copy a feature; those of the second are the text head, already
/// normalised.
fn front(normalisation: &Normalisation, head: &TextHead, plain: usize) -> Front {
    let inputs = plain + TEXT_BLOCK;
    let copies = (0..plain).flat_map(|k| (0..inputs).map(move |input| if input == k { 1.0 } else { 0.0 }));
    let mut linear = Layer { weights: copies.collect(), biases: vec![0.0; plain] };
    let scales: Vec<(f32, f32)> =
        normalisation.mean.iter().copied().zip(normalisation.std.iter().copied()).skip(plain).collect();
    for ((mean, std), ((weights, bias), absent)) in
        scales.iter().zip(head.weights.iter().zip(&head.biases).zip(&head.absent))
    {
        linear.weights.extend(std::iter::repeat_n(0.0, plain));
        linear.weights.push(absent / std);
        linear.weights.extend(weights.iter().map(|weight| weight / std));
        linear.biases.push((bias - mean) / std);
    }
    let detour = head.topics.as_ref().map(|topics| {
        let width = topics.inner.biases.len();
        let words = topics.inner.weights.chunks_exact(topics.inner.weights.len() / width.max(1));
        let silent = vec![0.0; plain + 1];
        let inner = words.flat_map(|row| silent.iter().chain(row).copied()).collect();
        let outer = topics.outer.weights.chunks_exact(width.max(1)).zip(&scales);
        let outer = outer.flat_map(|(row, (_, std))| row.iter().map(move |weight| weight / std));
        let outer_biases = topics.outer.biases.iter().zip(&scales).map(|(bias, (_, std))| bias / std);
        [
            Layer { weights: inner, biases: topics.inner.biases.clone() },
            Layer {
                weights: vec![0.0; plain * width].into_iter().chain(outer).collect(),
                biases: vec![0.0; plain].into_iter().chain(outer_biases).collect(),
            },
        ]
    });
    Front { linear, detour }
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

    /// The gradients of a loss, in the shape of the parameters; zeros where the loss does not reach.
    ///
    /// # Errors
    /// The device fails.
    pub fn gradients(&self, loss: &Tensor<1>, shape: &Parameters) -> Result<Parameters, String> {
        let gradients = loss.backward();
        let mut found = shape.zeros();
        for (linear, layer) in self.hidden.iter().chain([&self.heads]).zip(&mut found.layers) {
            if let Some(gradient) = linear.weight.val().grad(&gradients) {
                layer.weights = numbers(gradient)?;
            }
            if let Some(gradient) = linear.bias.as_ref().and_then(|bias| bias.val().grad(&gradients)) {
                layer.biases = numbers(gradient)?;
            }
        }
        Ok(found)
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
    use crate::text_head::Topics;

    fn head(models: usize) -> TextHead {
        let weights = (0..2 * models).map(|k| vec![0.1 * k as f32; TEXT_BLOCK - 1]).collect();
        let topics = Topics {
            inner: Layer { weights: vec![2.0; 3 * (TEXT_BLOCK - 1)], biases: vec![0.25; 3] },
            outer: Layer { weights: vec![4.0; 2 * models * 3], biases: vec![0.5; 2 * models] },
        };
        TextHead {
            topics: Some(topics),
            weights,
            biases: vec![0.5; 2 * models],
            absent: vec![0.25; 2 * models],
        }
    }

    #[test]
    fn the_export_transposes_and_puts_the_text_head_in_front() {
        let drawn = Parameters::draw(7, &[4, 3], 4, 1);
        let normalisation = Normalisation { mean: vec![1.0; 7], std: vec![2.0; 7] };
        let exported = drawn.export(&normalisation, &head(2));
        assert_eq!(exported.hidden[0].weights[1], drawn.layers[0].weights[4]);
        assert_eq!(exported.hidden.len(), 2);
        assert_eq!((exported.quality.weights.len(), exported.cost.biases.len()), (6, 2));
        assert_eq!(exported.cost.weights[0], drawn.layers[2].weights[2]);
        let (front, inputs) = (exported.front.unwrap(), 3 + TEXT_BLOCK);
        let linear = &front.linear;
        assert_eq!((exported.mean.len(), linear.weights.len(), linear.biases.len()), (inputs, 7 * inputs, 7));
        assert_eq!((linear.weights[0], linear.weights[1], linear.weights[inputs + 1]), (1.0, 0.0, 1.0));
        assert_eq!(linear.weights[4 * inputs..][2..5], [0.0, 0.125, 0.05]);
        assert_eq!(linear.biases[3..], [-0.25; 4]);
        let [inner, outer] = front.detour.unwrap();
        assert_eq!(inner.weights[..5], [0.0, 0.0, 0.0, 0.0, 2.0]);
        assert_eq!((outer.weights.len(), outer.weights[8], outer.weights[9]), (7 * 3, 0.0, 2.0));
        assert_eq!((outer.biases[2], outer.biases[3]), (0.0, 0.25));
    }

    #[test]
    fn gradients_are_those_of_the_loss() {
        let device = Device::flex().autodiff();
        let parameters = Parameters::draw(2, &[], 2, 1);
        let network = QNetwork::load(&parameters, &device);
        let states = Tensor::from_data(TensorData::new(vec![1.0f32, 2.0], [1, 2]), &device);
        let loss = network.forward(states).narrow(1, 0, 1).sum();
        let gradients = network.gradients(&loss, &parameters).unwrap();
        assert_eq!(gradients.values().copied().collect::<Vec<_>>(), [1.0, 0.0, 2.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn parameters_survive_a_checkpoint_bit_by_bit() {
        let drawn = Parameters::draw(7, &[4, 3], 4, 1);
        let text = serde_json::to_string(&drawn).unwrap();
        assert_eq!(serde_json::from_str::<Parameters>(&text).unwrap(), drawn);
    }

    #[test]
    fn a_feature_that_never_varied_is_silenced() {
        let normalisation = Normalisation::of(&[1.0, 7.0, 3.0, 7.0], 2);
        assert_eq!((normalisation.mean, normalisation.std), (vec![2.0, 7.0], vec![1.0, SILENT_STD]));
    }
}
