//! Logarithmic grids with linear interpolation between their points.

/// Points from a low to a high value, evenly spaced in the logarithm.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    low_ln: f64,
    step: f64,
    last: usize,
}

impl Grid {
    /// A grid of at least two points.
    #[must_use]
    pub fn new(low: f64, high: f64, points: usize) -> Self {
        let last = points.max(2) - 1;
        let low_ln = low.ln();
        Grid { low_ln, step: ((high.ln() - low_ln) / last as f64).max(1e-9), last }
    }

    /// Number of points.
    #[must_use]
    pub fn points(&self) -> usize {
        self.last + 1
    }

    /// The value of a point.
    #[must_use]
    pub fn value(&self, at: usize) -> f64 {
        (self.low_ln + self.step * at as f64).exp()
    }

    /// Position of a value, clamped to the ends.
    #[must_use]
    pub fn place(&self, value: f64) -> Place {
        let position = (value.ln() - self.low_ln) / self.step;
        let at = (position.max(0.0) as usize).min(self.last - 1);
        Place { at, above: (position - at as f64).clamp(0.0, 1.0) as f32 }
    }

    /// Whether a value lies below the first point.
    #[must_use]
    pub fn is_below(&self, value: f64) -> bool {
        value.ln() < self.low_ln
    }
}

/// A position between point `at` and the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The point below.
    pub at: usize,
    /// Weight of the point above, 0 to 1.
    pub above: f32,
}

impl Place {
    /// The value between two of `values`, which has one entry per point.
    #[must_use]
    pub fn of(&self, values: &[f32]) -> f32 {
        values[self.at] + self.above * (values[self.at + 1] - values[self.at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_between_points_is_interpolated_and_one_beyond_is_the_end() {
        let grid = Grid::new(1.0, 100.0, 3);
        let values = [0.0, 1.0, 4.0];
        let close =
            |value: f64, expected: f32| assert!((grid.place(value).of(&values) - expected).abs() < 1e-5);
        close(10.0, 1.0);
        close(10f64.powf(1.5), 2.5);
        close(0.1, 0.0);
        close(1e9, 4.0);
        assert!((grid.value(1) - 10.0).abs() < 1e-9);
        assert!(grid.is_below(0.9) && grid.is_below(0.0) && !grid.is_below(1.0));
    }
}
