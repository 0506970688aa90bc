//! Category means, shrunk towards the overall mean by the variances between and within categories (empirical Bayes:
//! Efron and Morris, JASA 1973, in the one-way layout).

use std::collections::HashMap;

/// A shrunk mean per category.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    overall: f64,
    by_category: HashMap<String, f64>,
}

impl Effects {
    /// `None` without values.
    #[must_use]
    pub fn fit(values: &HashMap<String, Vec<f64>>) -> Option<Effects> {
        let count: usize = values.values().map(Vec::len).sum();
        if count == 0 {
            return None;
        }
        let (groups, total) = (values.len() as f64, count as f64);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // Sorted, so that the sums do not depend on the map's order.
        let mut sorted: Vec<_> = values.iter().collect();
        sorted.sort_by_key(|(category, _)| category.as_str());
        let overall = sorted.iter().map(|(_, values)| values.iter().sum::<f64>()).sum::<f64>() / total;
        let within = sorted.iter().flat_map(|(_, values)| {
            let mean = mean(values);
            values.iter().map(move |value| (value - mean).powi(2))
        });
        let within = within.sum::<f64>() / (total - groups).max(1.0);
        let between: f64 =
            sorted.iter().map(|(_, values)| values.len() as f64 * (mean(values) - overall).powi(2)).sum();
        let sizes: f64 = sorted.iter().map(|(_, values)| (values.len() as f64).powi(2)).sum();
        let between = (between - (groups - 1.0) * within) / (total - sizes / total).max(1.0);
        let shrunk = |values: &[f64]| {
            let size = values.len() as f64;
            let weight = if between > 0.0 { size / (size + within / between) } else { 0.0 };
            overall + weight * (mean(values) - overall)
        };
        let by_category =
            sorted.into_iter().map(|(category, values)| (category.clone(), shrunk(values))).collect();
        Some(Effects { overall, by_category })
    }

    /// The mean of a category; the overall mean for an unknown one.
    #[must_use]
    pub fn of(&self, category: &str) -> f64 {
        self.by_category.get(category).copied().unwrap_or(self.overall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &[(&str, &[f64])]) -> HashMap<String, Vec<f64>> {
        of.iter().map(|(name, values)| ((*name).to_owned(), values.to_vec())).collect()
    }

    #[test]
    fn categories_that_differ_only_by_chance_get_the_overall_mean() {
        let effects = Effects::fit(&values(&[("a", &[0.0, 1.0]), ("b", &[1.0, 0.0])])).unwrap();
        assert_eq!((effects.of("a"), effects.of("b")), (0.5, 0.5));
    }

    #[test]
    fn categories_that_clearly_differ_keep_their_means_and_unknown_ones_get_the_overall_mean() {
        let effects = Effects::fit(&values(&[("a", &[0.2; 40]), ("b", &[0.8; 40])])).unwrap();
        assert!((effects.of("a") - 0.2).abs() < 1e-9 && (effects.of("b") - 0.8).abs() < 1e-9);
        assert!((effects.of("c") - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_small_category_is_shrunk_more_than_a_large_one() {
        let large: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 10 < 8))).collect();
        let effects = Effects::fit(&values(&[
            ("large", &large),
            ("small", &[1.0, 0.6]),
            ("other", &[0.0, 0.3, 0.2, 0.1, 0.4, 0.2]),
        ]));
        let effects = effects.unwrap();
        let left = |name: &str, mean: f64| (effects.of(name) - effects.overall) / (mean - effects.overall);
        assert!(left("large", 0.8) > left("small", 0.8) && left("small", 0.8) > 0.0);
    }
}
