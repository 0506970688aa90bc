//! The linear program of budgeted routing, solved exactly.
//!
//! ```text
//! maximise   Σ over contexts c and models k   w_c · x_ck · quality_ck
//! such that  Σ over c and k                   w_c · x_ck · cost_ck  ≤  rate
//!            Σ over k  x_ck = 1 for every c,  x ≥ 0
//! ```
//!
//! It is the relaxed multiple-choice knapsack, whose optimum is greedy (Sinha and Zoltners, Operations Research 1979):
//! per context only the upper hull of (cost, quality) matters, and its edges are bought in the order of quality per
//! cost until the rate is used up. So at most one context is split between two models.

/// The options in one context.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// Its share of the turns.
    pub weight: f64,
    /// Cost and quality by model.
    pub options: Vec<(f64, f64)>,
}

/// An edge of a hull: from one model to a more expensive and better one.
struct Edge {
    context: usize,
    to: usize,
    cost: f64,
    quality: f64,
}

/// By context, the probability of each model. If even the cheapest models cost more than `rate`, they are chosen.
#[must_use]
pub fn solve(contexts: &[Context], rate: f64) -> Vec<Vec<f64>> {
    let hulls: Vec<Vec<usize>> = contexts.iter().map(|context| hull(&context.options)).collect();
    let mut chosen: Vec<usize> = hulls.iter().map(|hull| hull.first().copied().unwrap_or(0)).collect();
    let mut shares: Vec<Vec<f64>> = contexts.iter().map(|context| vec![0.0; context.options.len()]).collect();
    let spent = contexts
        .iter()
        .zip(&chosen)
        .filter_map(|(context, k)| Some(context.weight * context.options.get(*k)?.0));
    let mut left = rate - spent.sum::<f64>();
    let mut split = None;
    for edge in edges(contexts, &hulls) {
        let cost = contexts[edge.context].weight * edge.cost;
        if cost > left {
            // The remainder buys a part of this edge; every later edge gives less quality per cost.
            split = (left > 0.0).then_some((edge.context, edge.to, left / cost));
            break;
        }
        left -= cost;
        chosen[edge.context] = edge.to;
    }
    for ((shares, chosen), context) in shares.iter_mut().zip(&chosen).zip(contexts) {
        if !context.options.is_empty() {
            shares[*chosen] = 1.0;
        }
    }
    if let Some((context, to, part)) = split {
        shares[context][chosen[context]] -= part;
        shares[context][to] += part;
    }
    shares
}

/// The edges of all hulls by falling quality per cost, which within a context is their order on the hull.
fn edges(contexts: &[Context], hulls: &[Vec<usize>]) -> Vec<Edge> {
    let of_context = |(context, hull): (usize, &Vec<usize>)| {
        let options = &contexts[context].options;
        let edge = |pair: &[usize]| Edge {
            context,
            to: pair[1],
            cost: options[pair[1]].0 - options[pair[0]].0,
            quality: options[pair[1]].1 - options[pair[0]].1,
        };
        hull.windows(2).map(edge).collect::<Vec<_>>()
    };
    let mut edges: Vec<Edge> = hulls.iter().enumerate().flat_map(of_context).collect();
    edges.sort_by(|a, b| (b.quality / b.cost).total_cmp(&(a.quality / a.cost)));
    edges
}

/// The models on the upper hull from the cheapest to the best, cost and quality strictly rising.
fn hull(options: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..options.len()).collect();
    order.sort_by(|a, b| {
        options[*a].0.total_cmp(&options[*b].0).then(options[*b].1.total_cmp(&options[*a].1))
    });
    let mut hull: Vec<usize> = Vec::new();
    for k in order {
        if hull.last().is_some_and(|last| options[*last].1 >= options[k].1) {
            continue;
        }
        while let [.., a, b] = hull[..] {
            let slope = |from: usize, to: usize| {
                (options[to].1 - options[from].1) / (options[to].0 - options[from].0)
            };
            if slope(a, b) > slope(b, k) {
                break;
            }
            hull.pop();
        }
        hull.push(k);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(contexts: &[Context], shares: &[Vec<f64>], of: fn(&(f64, f64)) -> f64) -> f64 {
        let context = |(context, shares): (&Context, &Vec<f64>)| {
            context.weight
                * context.options.iter().zip(shares).map(|(option, share)| share * of(option)).sum::<f64>()
        };
        contexts.iter().zip(shares).map(context).sum()
    }

    #[test]
    fn the_rate_is_spent_where_it_buys_most() {
        let contexts = [
            Context { weight: 0.5, options: vec![(1.0, 0.5), (3.0, 0.6)] },
            Context { weight: 0.5, options: vec![(1.0, 0.2), (3.0, 0.9)] },
        ];
        assert_eq!(solve(&contexts, 2.0), [[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(solve(&contexts, 2.5), [[0.5, 0.5], [0.0, 1.0]]);
        assert_eq!(solve(&contexts, 0.1), [[1.0, 0.0], [1.0, 0.0]]);
    }

    #[test]
    fn a_model_under_the_hull_is_never_taken() {
        let contexts =
            [Context { weight: 1.0, options: vec![(1.0, 0.0), (2.0, 0.1), (3.0, 1.0), (4.0, 0.9)] }];
        for rate in [1.5, 2.0, 2.5, 9.0] {
            let shares = &solve(&contexts, rate)[0];
            assert_eq!((shares[1], shares[3]), (0.0, 0.0));
        }
    }

    proptest! {
        /// Strong duality: for a maximum, the primal value is the least of the dual function, whose corners lie at
        /// the slopes between two options.
        #[test]
        fn the_value_is_that_of_the_dual(
            raw in proptest::collection::vec((0.1f64..1.0, proptest::collection::vec((0.1f64..9.0, 0.0f64..1.0), 1..4)), 1..4),
            rate in 0.0f64..20.0,
        ) {
            let contexts: Vec<_> = raw.into_iter().map(|(weight, options)| Context { weight, options }).collect();
            let shares = solve(&contexts, rate);
            for shares in &shares {
                prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9 && shares.iter().all(|share| *share >= -1e-12));
            }
            let least: f64 = contexts.iter().map(|c| c.weight * c.options.iter().map(|o| o.0).fold(f64::MAX, f64::min)).sum();
            prop_assume!(least <= rate);
            prop_assert!(total(&contexts, &shares, |option| option.0) <= rate + 1e-9);
            let dual = |lambda: f64| lambda * rate + contexts.iter().map(|context| {
                context.weight * context.options.iter().map(|(cost, quality)| quality - lambda * cost).fold(f64::MIN, f64::max)
            }).sum::<f64>();
            let mut corners = vec![0.0];
            for context in &contexts {
                for a in &context.options {
                    for b in &context.options {
                        if b.0 > a.0 { corners.push(((b.1 - a.1) / (b.0 - a.0)).max(0.0)); }
                    }
                }
            }
            let bound = corners.into_iter().map(dual).fold(f64::MAX, f64::min);
            let value = total(&contexts, &shares, |option| option.1);
            prop_assert!((value - bound).abs() < 1e-6, "{value} against {bound}");
        }
    }
}
