//! Measures of played sessions: one line per method and budget, and paired differences.

use seqroute_core::money::NanoUsd;
use serde::Serialize;

use super::bootstrap::{Interval, Resamples};
use super::methods::{MethodKind, Played};
use seqroute_sessions::environment::EpisodeResult;

/// The paper's penalty of a bankrupt session.
pub const ETA: f64 = 5.0;

/// One method under one budget. With several seeds, every number is their mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// The method.
    pub name: String,
    /// Its group.
    pub kind: MethodKind,
    /// Budget as a share of the strongest model's mean cost.
    pub budget_share: f64,
    /// Budget of every session.
    pub budget_nano_usd: NanoUsd,
    /// Quality per turn: Σ quality / Σ turns, with unserved turns and cut answers as 0.
    pub quality: Interval,
    /// Quality per turn by seed.
    pub quality_by_seed: Vec<f64>,
    /// Mean over the sessions of the session's summed quality.
    pub quality_per_session: f64,
    /// Mean over the sessions of the paper's return: summed quality, less [`ETA`] where the session went bankrupt.
    pub return_per_session: f64,
    /// Mean cost of a session.
    pub cost_per_session_usd: f64,
    /// Mean cost of a session as a share of the strongest model's.
    pub cost_share: f64,
    /// Share of the sessions that went bankrupt.
    pub bankrupt_share: f64,
    /// Share of the turns that were not served.
    pub unserved_turn_share: f64,
    /// Share of the sessions that went bankrupt although always taking the cheapest model finishes them.
    pub avoidable_bankrupt_share: f64,
    /// Share of the turns whose answer was cut.
    pub cut_share: f64,
    /// Share of the served turns by model, in the order of the models file.
    pub served_share_by_model: Vec<f64>,
    /// The tuned setting, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setting: Option<f64>,
}

/// The policy in question against another method under one budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Budget as a share of the strongest model's mean cost.
    pub budget_share: f64,
    /// The other.
    pub other: String,
    /// Group of the other.
    pub kind: MethodKind,
    /// Quality per turn of the policy minus that of the other, paired by session.
    pub difference: Interval,
    /// Quality of the policy as a share of the other's.
    pub ratio: f64,
}

/// What all methods have in common under one budget.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// Turns by session.
    pub turns: &'a [f64],
    /// Bootstrap draws, the same for all methods.
    pub resamples: &'a Resamples,
    /// Budget as a share of the reference.
    pub budget_share: f64,
    /// The budget.
    pub budget: NanoUsd,
    /// The strongest model's mean cost of a session.
    pub reference_nano_usd: f64,
    /// By session: always taking the cheapest model finishes it.
    pub finished_cheaply: &'a [bool],
    /// Number of models.
    pub models: usize,
}

impl Table<'_> {
    /// Sums up what a method played.
    #[must_use]
    pub fn measure(&self, name: &str, kind: MethodKind, played: &Played) -> Measurement {
        let mean = |of: &dyn Fn(usize, &EpisodeResult) -> f64| {
            let results = played.seeds.iter().flat_map(|seed| seed.iter().enumerate());
            let (sum, count) =
                results.fold((0.0, 0.0), |(sum, count), (i, result)| (sum + of(i, result), count + 1.0));
            sum / f64::max(count, 1.0)
        };
        let mean_turns = self.turns.iter().sum::<f64>() / self.turns.len().max(1) as f64;
        let cost_nano_usd = mean(&|_, result| result.cost.0 as f64);
        let served = mean(&|_, result| result.served as f64);
        let of_model = |model: usize| mean(&|_, result| f64::from(result.served_by[model]));
        let total_turns: f64 = self.turns.iter().sum();
        let of_seed =
            |seed: &Vec<EpisodeResult>| seed.iter().map(|result| result.quality).sum::<f64>() / total_turns;
        Measurement {
            name: name.to_owned(),
            kind,
            budget_share: self.budget_share,
            budget_nano_usd: self.budget,
            quality: self.resamples.ratio(&qualities(played), self.turns),
            quality_by_seed: played.seeds.iter().map(of_seed).collect(),
            quality_per_session: mean(&|_, result| result.quality),
            return_per_session: mean(&|_, result| result.quality - ETA * share(result.bankrupt)),
            cost_per_session_usd: cost_nano_usd / 1e9,
            cost_share: cost_nano_usd / self.reference_nano_usd,
            bankrupt_share: mean(&|_, result| share(result.bankrupt)),
            unserved_turn_share: 1.0 - served / mean_turns,
            avoidable_bankrupt_share: mean(&|i, result| share(result.bankrupt && self.finished_cheaply[i])),
            cut_share: mean(&|_, result| result.cut as f64) / mean_turns,
            served_share_by_model: (0..self.models)
                .map(|model| of_model(model) / served.max(1e-12))
                .collect(),
            setting: played.setting,
        }
    }

    /// `ours` minus `other`, paired by session.
    #[must_use]
    pub fn compare(&self, ours: &[f64], name: &str, kind: MethodKind, other: &[f64]) -> Comparison {
        let difference: Vec<f64> = ours.iter().zip(other).map(|(ours, other)| ours - other).collect();
        Comparison {
            budget_share: self.budget_share,
            other: name.to_owned(),
            kind,
            difference: self.resamples.ratio(&difference, self.turns),
            ratio: ours.iter().sum::<f64>() / other.iter().sum::<f64>().max(1e-12),
        }
    }
}

/// By session: the summed quality, mean over the seeds.
#[must_use]
pub fn qualities(played: &Played) -> Vec<f64> {
    let sessions = played.seeds.first().map_or(0, Vec::len);
    let of = |session: usize| played.seeds.iter().map(|seed| seed[session].quality).sum::<f64>();
    (0..sessions).map(|session| of(session) / played.seeds.len() as f64).collect()
}

fn share(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(quality: f64, served: usize, bankrupt: bool) -> EpisodeResult {
        EpisodeResult {
            quality,
            turns: 2,
            served,
            bankrupt,
            cost: NanoUsd(50),
            cut: usize::from(served == 2),
            ..EpisodeResult::default()
        }
    }

    #[test]
    fn every_number_is_the_mean_over_seeds_and_sessions() {
        let (turns, resamples) = (vec![2.0; 2], Resamples::draw(2, 50, 1));
        let table = Table {
            turns: &turns,
            resamples: &resamples,
            budget_share: 0.5,
            budget: NanoUsd(100),
            reference_nano_usd: 200.0,
            finished_cheaply: &[true, false],
            models: 1,
        };
        let played = Played {
            seeds: vec![vec![result(1.0, 1, true), result(1.0, 1, true)], vec![result(2.0, 2, false); 2]],
            setting: Some(0.3),
        };
        let found = table.measure("x", MethodKind::Ours, &played);
        assert_eq!(found.quality.value, 0.75);
        assert_eq!(found.quality_by_seed, [0.5, 1.0]);
        assert_eq!((found.bankrupt_share, found.avoidable_bankrupt_share), (0.5, 0.25));
        assert_eq!((found.unserved_turn_share, found.cut_share, found.cost_share), (0.25, 0.25, 0.25));
    }

    #[test]
    fn a_difference_is_paired() {
        let turns = vec![2.0; 50];
        let resamples = Resamples::draw(50, 100, 1);
        let table = Table {
            turns: &turns,
            resamples: &resamples,
            budget_share: 0.2,
            budget: NanoUsd(1),
            reference_nano_usd: 1.0,
            finished_cheaply: &[true; 50],
            models: 1,
        };
        let ours: Vec<f64> = (0..50).map(f64::from).collect();
        let better: Vec<f64> = ours.iter().map(|quality| quality + 1.0).collect();
        let found = table.compare(&ours, "better", MethodKind::Baseline, &better);
        assert_eq!(found.difference, Interval { value: -0.5, low: -0.5, high: -0.5 });
        assert!((found.ratio - 24.5 / 25.5).abs() < 1e-12);
    }
}
