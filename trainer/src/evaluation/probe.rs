//! When routers choose the strongest model: the paper's probe.
//!
//! All routers are probed in the same states: those that a random router reaches under every budget and in which the mask
//! allows the strongest model. The slope is that of a least-squares line of "chooses it" (0 or 1) on the base-2 logarithm
//! of the money left: the change of the share per doubling.

use rayon::prelude::*;
use seqroute_core::money::NanoUsd;
use serde::Serialize;

use super::methods::Method;
use super::spec::EvaluationSpec;
use crate::baselines::{RandomRouter, Router};
use crate::error::TrainError;
use seqroute_sessions::environment;

/// Largest number of sessions probed.
const MAX_SESSIONS: usize = 500;
/// Turns from this one on are counted together.
const LAST_TURN: usize = 9;
/// Bins of the money left, each half of the next.
const BINS: usize = 8;

/// One router's choices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// The router.
    pub name: String,
    /// Number of states.
    pub states: usize,
    /// Change of the share per doubling of the money left.
    pub slope_per_doubling: f64,
    /// By money left: upper end of the bin as a share of the strongest model's mean cost of a session, and the share of
    /// the states in which the strongest model is chosen.
    pub by_money: Vec<(f64, f64)>,
    /// By turn, from 0: the same share.
    pub by_turn: Vec<(f64, f64)>,
}

/// A state and the choice.
#[derive(Clone, Copy)]
struct Asked {
    money_share: f64,
    turn: usize,
    strongest: bool,
}

/// Probes every method that is a router.
///
/// # Errors
/// The core refuses the models, or the data lack an answer.
pub fn probe(
    methods: &[Box<dyn Method + '_>],
    spec: &EvaluationSpec<'_>,
    budgets: &[NanoUsd],
    strongest: usize,
    reference_nano_usd: f64,
) -> Result<Vec<Probe>, TrainError> {
    let of = |method: &(dyn Method + '_)| -> Result<Option<Probe>, TrainError> {
        let mut asked = Vec::new();
        for budget in budgets {
            for router in method.routers(*budget)?.routers.iter().take(1) {
                ask(&**router, spec, *budget, strongest, reference_nano_usd, &mut asked)?;
            }
        }
        Ok((!asked.is_empty()).then(|| summary(method.name(), &asked)))
    };
    let found: Vec<Option<Probe>> =
        methods.par_iter().map(|method| of(&**method)).collect::<Result<_, _>>()?;
    Ok(found.into_iter().flatten().collect())
}

fn ask(
    router: &dyn Router,
    spec: &EvaluationSpec<'_>,
    budget: NanoUsd,
    strongest: usize,
    reference_nano_usd: f64,
    asked: &mut Vec<Asked>,
) -> Result<(), TrainError> {
    let walker = RandomRouter::new(spec.models, spec.seed)?;
    for (index, session) in spec.sessions.iter().enumerate().take(MAX_SESSIONS) {
        environment::run(router.engine(), session, budget, router.lambda(), |episode, decision| {
            if decision.mask.allows(strongest) {
                let view = episode.view();
                asked.push(Asked {
                    money_share: view.available().0 as f64 / reference_nano_usd,
                    turn: view.turns as usize,
                    strongest: router.choose(index, episode, decision) == Some(strongest),
                });
            }
            walker.choose(index, episode, decision)
        })?;
    }
    Ok(())
}

fn summary(name: &str, asked: &[Asked]) -> Probe {
    let share_of = |fits: &dyn Fn(&Asked) -> bool| {
        let (sum, count) =
            asked.iter().filter(|asked| fits(asked)).fold((0.0, 0.0), |(sum, count), asked| {
                (sum + f64::from(u8::from(asked.strongest)), count + 1.0)
            });
        (count > 0.0).then_some(sum / count)
    };
    let bins = (0..BINS).rev().filter_map(|halvings| {
        let high = 2f64.powi(1 - halvings as i32);
        let low = if halvings + 1 == BINS { 0.0 } else { high / 2.0 };
        share_of(&|asked| asked.money_share > low && asked.money_share <= high).map(|share| (high, share))
    });
    let turns = (0..=LAST_TURN).filter_map(|turn| {
        share_of(&|asked| asked.turn.min(LAST_TURN) == turn).map(|share| (turn as f64, share))
    });
    Probe {
        name: name.to_owned(),
        states: asked.len(),
        slope_per_doubling: slope(
            asked.iter().map(|asked| (asked.money_share.log2(), f64::from(u8::from(asked.strongest)))),
        ),
        by_money: bins.collect(),
        by_turn: turns.collect(),
    }
}

/// Slope of the least-squares line; 0 where all x are equal.
fn slope(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut n, mut x_sum, mut y_sum, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in points {
        n += 1.0;
        x_sum += x;
        y_sum += y;
        xx += x * x;
        xy += x * y;
    }
    let spread = n * xx - x_sum * x_sum;
    if spread > 1e-9 { (n * xy - x_sum * y_sum) / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_line() {
        assert!((slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)].into_iter()) - 2.0).abs() < 1e-12);
        assert_eq!(slope([(1.0, 0.0), (1.0, 1.0)].into_iter()), 0.0);
    }

    #[test]
    fn a_router_that_spends_more_when_rich_has_a_rising_share() {
        let asked = |money_share: f64, strongest| Asked { money_share, turn: 0, strongest };
        let found =
            summary("x", &[asked(0.25, false), asked(0.25, true), asked(1.0, true), asked(1.0, true)]);
        assert_eq!(found.by_money, [(0.25, 0.5), (1.0, 1.0)]);
        assert_eq!(found.by_turn, [(0.0, 0.75)]);
        assert!((found.slope_per_doubling - 0.25).abs() < 1e-12);
    }
}
