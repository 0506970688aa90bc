//! The network on a device, loaded from [`Parameters`] in every step.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::{Dense, Parameters};
use crate::error::TrainError;

/// The network on a device.
#[derive(Module, Debug)]
pub struct QNetwork {
    hidden: Vec<Linear>,
    heads: Linear,
}

impl QNetwork {
    /// Copies the parameters to a device.
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

    /// The gradients of a loss, in the shape of the parameters; zero for parameters that it does not depend on.
    ///
    /// # Errors
    /// The device fails.
    pub fn gradients(&self, loss: &Tensor<1>, shape: &Parameters) -> Result<Parameters, TrainError> {
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

    /// [`QNetwork::forward`] without a graph for gradients.
    #[must_use]
    pub fn valid_forward(&self, states: Tensor<2>) -> Tensor<2> {
        self.valid().forward(states)
    }
}

/// Copies a tensor to the host.
///
/// # Errors
/// The device fails.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TrainError> {
    let data = tensor.try_into_data().map_err(|error| TrainError::Device(format!("{error:?}")))?;
    data.try_to_vec::<f32>().map_err(|error| TrainError::Device(format!("{error:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
