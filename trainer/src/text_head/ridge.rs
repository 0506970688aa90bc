//! Ridge regression on text features (Hoerl, Kennard: *Ridge Regression: Biased Estimation for Nonorthogonal Problems*,
//! Technometrics 1970), solved by conjugate gradients (Hestenes, Stiefel 1952) on the sparse rows.

use seqroute_core::body::text::TEXT_BUCKETS;

use super::messages::Message;

/// Iterations of the solver; the penalties are large, so the problem is well conditioned.
const SOLVER_STEPS: usize = 24;
/// Smallest standard deviation of a bucket that counts as varying.
const MIN_STD: f64 = 1e-4;

/// A fitted regression: `value = bias + raw · x`.
#[derive(Clone, Debug)]
pub(super) struct Ridge {
    /// Weights of the buckets.
    pub(super) raw: Vec<f64>,
    /// Value for a zero row.
    pub(super) bias: f64,
}

impl Ridge {
    /// Minimises Σ (y − ȳ − A w)² + penalty · n · |w|² over the chosen messages, where y is the output's residual from
    /// `base` and A are the standardised rows. `weights` holds the initial value and becomes the solution.
    pub(super) fn new(
        messages: &[Message],
        output: usize,
        base: &[Vec<f64>],
        chosen: impl Fn(&Message) -> bool,
        penalty: f64,
        weights: &mut [f64],
    ) -> Ridge {
        let rows: Vec<(&[(u16, f32)], f64)> = messages
            .iter()
            .zip(base)
            .filter(|(message, _)| chosen(message) && !message.row.is_empty())
            .filter_map(|(message, base)| {
                Some((message.row.as_slice(), message.values[output]? - base[output]))
            })
            .collect();
        let design = Design::new(&rows);
        let count = rows.len().max(1) as f64;
        let mean = rows.iter().map(|(_, quality)| quality).sum::<f64>() / count;
        let residual: Vec<f64> = rows.iter().map(|(_, quality)| quality - mean).collect();
        let ridge = penalty * count;
        // Conjugate gradients on (AᵀA + ridge) w = Aᵀ residual.
        let product = |w: &[f64]| -> Vec<f64> {
            let mut product = design.transposed(&design.times(w));
            product.iter_mut().zip(w).for_each(|(product, w)| *product += ridge * w);
            product
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let start = product(weights);
        let mut left: Vec<f64> =
            design.transposed(&residual).iter().zip(&start).map(|(b, a)| b - a).collect();
        let mut direction = left.clone();
        let mut size = dot(&left, &left);
        let enough = 1e-12 * size.max(1e-12);
        for _ in 0..SOLVER_STEPS {
            if size <= enough {
                break;
            }
            let along = product(&direction);
            let step = size / dot(&direction, &along);
            weights.iter_mut().zip(&direction).for_each(|(w, direction)| *w += step * direction);
            left.iter_mut().zip(&along).for_each(|(left, along)| *left -= step * along);
            let next = dot(&left, &left);
            direction
                .iter_mut()
                .zip(&left)
                .for_each(|(direction, left)| *direction = left + next / size * *direction);
            size = next;
        }
        let raw: Vec<f64> = weights.iter().zip(&design.scale).map(|(w, scale)| w * scale).collect();
        let bias = mean - dot(&raw, &design.mean);
        Ridge { raw, bias }
    }

    pub(super) fn predict(&self, row: &[(u16, f32)]) -> f64 {
        self.bias + row.iter().map(|(k, value)| self.raw[usize::from(*k)] * f64::from(*value)).sum::<f64>()
    }
}

/// Sparse rows and their standardisation: A = (X − mean) · scale.
struct Design<'a> {
    rows: &'a [(&'a [(u16, f32)], f64)],
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl<'a> Design<'a> {
    fn new(rows: &'a [(&'a [(u16, f32)], f64)]) -> Self {
        let count = rows.len().max(1) as f64;
        let (mut sums, mut squares) = (vec![0.0; TEXT_BUCKETS], vec![0.0; TEXT_BUCKETS]);
        for (k, value) in rows.iter().flat_map(|(row, _)| *row) {
            sums[usize::from(*k)] += f64::from(*value);
            squares[usize::from(*k)] += f64::from(*value).powi(2);
        }
        let mean: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
        let std =
            squares.iter().zip(&mean).map(|(square, mean)| (square / count - mean * mean).max(0.0).sqrt());
        let scale = std.map(|std| if std < MIN_STD { 0.0 } else { 1.0 / std }).collect();
        Design { rows, mean, scale }
    }

    /// A w
    fn times(&self, w: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64> = w.iter().zip(&self.scale).map(|(w, scale)| w * scale).collect();
        let shift: f64 = scaled.iter().zip(&self.mean).map(|(w, mean)| w * mean).sum();
        let row = |row: &[(u16, f32)]| -> f64 {
            row.iter().map(|(k, value)| scaled[usize::from(*k)] * f64::from(*value)).sum()
        };
        self.rows.iter().map(|(entries, _)| row(entries) - shift).collect()
    }

    /// Aᵀ r
    fn transposed(&self, r: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; TEXT_BUCKETS];
        for ((row, _), r) in self.rows.iter().zip(r) {
            row.iter().for_each(|(k, value)| sums[usize::from(*k)] += f64::from(*value) * r);
        }
        let total: f64 = r.iter().sum();
        let of_bucket = |((sum, mean), scale): ((&f64, &f64), &f64)| (sum - mean * total) * scale;
        sums.iter().zip(&self.mean).zip(&self.scale).map(of_bucket).collect()
    }
}
