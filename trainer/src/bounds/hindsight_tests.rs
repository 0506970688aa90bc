//! Tests of the hindsight bounds against every path, and against routers.

use super::*;
use crate::baselines::{CoreRouter, Router};
use proptest::prelude::*;
use seqroute_sessions::simulator::{Simulator, tiers};

/// Money and quality of every path of the first `turns` turns, including ends and, optionally, skips.
fn all_paths(session: &Session, models: &[ModelConfig], side: Hindsight) -> Vec<(NanoUsd, f64)> {
    let mut paths = vec![Path { spent: NanoUsd::ZERO, history_tokens: 0, quality: 0.0 }];
    let mut found = vec![(NanoUsd::ZERO, 0.0)];
    for turn in &session.turns {
        paths = paths.iter().flat_map(|path| steps(path, turn, models, side)).collect();
        found.extend(paths.iter().map(|path| (path.spent, path.quality)));
    }
    found
}

fn best_of(paths: &[(NanoUsd, f64)], budget: NanoUsd) -> f64 {
    paths.iter().filter(|(spent, _)| *spent <= budget).map(|(_, quality)| *quality).fold(0.0, f64::max)
}

fn short_session(seed: u64) -> Session {
    let mut session = Simulator::new(seed).sessions(1).remove(0);
    session.turns.truncate(5);
    session
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_frontier_is_that_of_all_paths(seed in any::<u64>(), budgets in proptest::array::uniform8(0u64..30_000_000)) {
        let session = short_session(seed);
        for side in [Hindsight::AtMost, Hindsight::AtLeast] {
            let (found, paths) = (frontier(&session, &tiers(), side), all_paths(&session, &tiers(), side));
            for budget in budgets.map(NanoUsd) {
                prop_assert!((found.within(budget).1 - best_of(&paths, budget)).abs() < 1e-6);
                prop_assert!(found.within(budget).0 <= budget);
            }
        }
    }

    #[test]
    fn thinned_frontiers_bracket_the_truth(seed in any::<u64>(), budget in 0u64..30_000_000) {
        let (session, budget) = (short_session(seed), NanoUsd(budget));
        let of = |side, max_paths| frontier_of(&session, &tiers(), side, max_paths).within(budget).1;
        for max_paths in [3, 20] {
            prop_assert!(of(Hindsight::AtMost, max_paths) >= of(Hindsight::AtMost, MAX_PATHS) - 1e-9);
            prop_assert!(of(Hindsight::AtLeast, max_paths) <= of(Hindsight::AtLeast, MAX_PATHS) + 1e-9);
        }
        prop_assert!(of(Hindsight::AtLeast, MAX_PATHS) <= of(Hindsight::AtMost, MAX_PATHS) + 1e-9);
    }

    #[test]
    fn no_router_is_above_the_bound(seed in any::<u64>(), budget in 0u64..60_000_000) {
        let session = Simulator::new(seed).sessions(1).remove(0);
        let bound = frontier(&session, &tiers(), Hindsight::AtMost).within(NanoUsd(budget)).1;
        let routers = [CoreRouter::myopic(&tiers()).unwrap(), CoreRouter::always(&tiers(), "small").unwrap()];
        for router in routers {
            let played = router.run(0, &session, NanoUsd(budget)).unwrap();
            prop_assert!(played.quality <= bound + 1e-9, "{} > {bound}", played.quality);
        }
    }
}
