//! Normalisation of states by the mean and the standard deviation of every feature.

use serde::{Deserialize, Serialize};

use super::exact;

/// Standard deviation given to a feature that never varied: its normalised value is effectively zero.
pub const SILENT_STD: f32 = 1e9;
/// Smallest standard deviation of a feature that counts as varying.
const MIN_STD: f64 = 1e-6;

/// Mean and standard deviation of every feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// By feature.
    #[serde(with = "exact")]
    pub mean: Vec<f32>,
    /// By feature; [`SILENT_STD`] if it never varied.
    #[serde(with = "exact")]
    pub std: Vec<f32>,
}

impl Normalisation {
    /// Statistics of rows of `width` features.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_never_varied_is_silenced() {
        let normalisation = Normalisation::of(&[1.0, 7.0, 3.0, 7.0], 2);
        assert_eq!((normalisation.mean, normalisation.std), (vec![2.0, 7.0], vec![1.0, SILENT_STD]));
    }
}
