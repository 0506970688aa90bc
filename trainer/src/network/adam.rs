//! Adam (Kingma, Ba: *Adam: A Method for Stochastic Optimization*, ICLR 2015, arXiv 1412.6980) with decoupled weight
//! decay (Loshchilov, Hutter: *Decoupled Weight Decay Regularization*, ICLR 2019, arXiv 1711.05101).
//!
//! It replaces burn's optimizer because an interrupted training must end in the same artifact, byte for byte. burn keys
//! the moments by parameter ids, which [`QNetwork::load`](super::QNetwork::load) creates anew in every step; these moments
//! are plain numbers, written into a checkpoint bit by bit. The networks are small, so it runs on the host.

use serde::{Deserialize, Serialize};

use super::Parameters;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// First and second moments of every parameter, and the number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    first: Parameters,
    second: Parameters,
    steps: i32,
}

impl Adam {
    /// Zero moments for parameters of this shape.
    #[must_use]
    pub fn new(shape: &Parameters) -> Self {
        Adam { first: shape.zeros(), second: shape.zeros(), steps: 0 }
    }

    /// Applies one update.
    pub fn step(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Parameters,
        rate: f32,
        weight_decay: f32,
    ) {
        self.steps = self.steps.saturating_add(1);
        let corrected_1 = 1.0 - BETA_1.powi(self.steps);
        let corrected_2 = 1.0 - BETA_2.powi(self.steps);
        let moments = self.first.values_mut().zip(self.second.values_mut());
        for ((value, gradient), (first, second)) in
            parameters.values_mut().zip(gradients.values()).zip(moments)
        {
            *first += (1.0 - BETA_1) * (gradient - *first);
            *second += (1.0 - BETA_2) * (gradient * gradient - *second);
            let direction = (*first / corrected_1) / ((*second / corrected_2).sqrt() + EPSILON);
            *value -= rate * (direction + weight_decay * *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_has_the_size_of_the_rate_and_decay_pulls_to_zero() {
        let mut parameters = Parameters::draw(1, &[], 2, 1);
        let before: Vec<f32> = parameters.values().copied().collect();
        let mut gradients = parameters.zeros();
        if let Some(first) = gradients.values_mut().next() {
            *first = -3.0;
        }
        Adam::new(&parameters).step(&mut parameters, &gradients, 0.1, 0.5);
        let after: Vec<f32> = parameters.values().copied().collect();
        assert!((after[0] - (before[0] * 0.95 + 0.1)).abs() < 1e-6);
        assert!((after[1] - before[1] * 0.95).abs() < 1e-6);
    }
}
