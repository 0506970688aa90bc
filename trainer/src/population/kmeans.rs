//! K-means (Lloyd 1982) with k-means++ seeds (Arthur and Vassilvitskii, SODA 2007), deterministic by seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Largest number of iterations.
const MAX_ROUNDS: usize = 50;

/// Centres of at most `k` groups of `points`, which have equal lengths; fewer if fewer points are distinct.
#[must_use]
pub fn centres(points: &[Vec<f64>], k: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut centres = seeds(points, k, &mut ChaCha8Rng::seed_from_u64(seed));
    let mut groups: Vec<usize> = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let next: Vec<usize> = points.iter().map(|point| nearest(&centres, point)).collect();
        if next == groups {
            break;
        }
        groups = next;
        move_to_means(&mut centres, points, &groups);
    }
    centres
}

/// The centre nearest to a point; the first of equals.
#[must_use]
pub fn nearest(centres: &[Vec<f64>], point: &[f64]) -> usize {
    let distances = centres.iter().map(|centre| squared_distance(centre, point));
    distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(at, _)| at)
}

/// Every seed is drawn in proportion to its squared distance from the nearest one before it.
fn seeds(points: &[Vec<f64>], k: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    if points.is_empty() {
        return Vec::new();
    }
    let mut seeds = vec![points[rng.random_range(0..points.len())].clone()];
    let mut distances: Vec<f64> = points.iter().map(|point| squared_distance(&seeds[0], point)).collect();
    while seeds.len() < k {
        let sum: f64 = distances.iter().sum();
        if sum <= 0.0 {
            break;
        }
        let mut left = rng.random::<f64>() * sum;
        let drawn = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        let drawn = drawn.unwrap_or(points.len() - 1);
        let seed = points[drawn].clone();
        for (distance, point) in distances.iter_mut().zip(points) {
            *distance = distance.min(squared_distance(&seed, point));
        }
        seeds.push(seed);
    }
    seeds
}

fn move_to_means(centres: &mut [Vec<f64>], points: &[Vec<f64>], groups: &[usize]) {
    let mut counts = vec![0usize; centres.len()];
    let mut sums: Vec<Vec<f64>> = centres.iter().map(|centre| vec![0.0; centre.len()]).collect();
    for (point, group) in points.iter().zip(groups) {
        counts[*group] += 1;
        for (sum, value) in sums[*group].iter_mut().zip(point) {
            *sum += value;
        }
    }
    for ((centre, sum), count) in centres.iter_mut().zip(sums).zip(counts) {
        if count > 0 {
            *centre = sum.iter().map(|value| value / count as f64).collect();
        }
    }
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separate_clusters_are_found_with_their_means() {
        let cluster = |x: f64| [vec![x - 1.0, 0.0], vec![x + 1.0, 0.0], vec![x, 3.0]];
        let points: Vec<_> = [0.0, 100.0, 200.0].into_iter().flat_map(cluster).collect();
        let mut found = centres(&points, 3, 1);
        found.sort_by(|a, b| a[0].total_cmp(&b[0]));
        assert_eq!(found, [[0.0, 1.0], [100.0, 1.0], [200.0, 1.0]]);
        assert_eq!(nearest(&found, &[140.0, 0.0]), 1);
    }

    #[test]
    fn no_more_groups_than_distinct_points() {
        assert_eq!(centres(&vec![vec![1.0]; 9], 4, 1), [[1.0]]);
        assert!(centres(&[], 4, 1).is_empty());
    }
}
