//! Ablations: variants of one training's settings, each with one thing changed.

use crate::learner::Algorithm;
use crate::training::TrainConfig;

/// A variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Name in files and tables.
    pub name: &'static str,
    /// Settings of the variant.
    pub config: TrainConfig,
}

/// Changes the settings; grid budgets are shares of the given reference in nano-USD.
type Change = fn(&mut TrainConfig, f64);

const CHANGES: [(&str, Change); 21] = [
    ("one budget (no HBR)", |config, _| {
        (config.hbr.budget_min_share, config.hbr.budget_max_share) = (0.5, 0.5);
        config.hbr.budgets_per_session = 1;
    }),
    ("grid of five budgets", |config, reference| {
        config.hbr.grid_nano_usd =
            [0.06, 0.19, 0.38, 0.63, 1.0].map(|share| (share * reference) as u64).to_vec();
        config.hbr.price_factor = 1.0;
    }),
    ("no prices relabelled", |config, _| config.hbr.price_factor = 1.0),
    ("no λ in training", |config, _| config.hbr.lambda_share = 0.0),
    ("no budget in the state", |config, _| config.hbr.budget_in_state = false),
    ("no mask in training", |config, _| config.hbr.masked = false),
    ("no mask, η = 5", |config, _| {
        config.hbr.masked = false;
        config.fqi.eta = 5.0;
    }),
    ("guard 0.9", |config, _| config.guard.quantile = 0.9),
    ("guard 0.95", |config, _| config.guard.quantile = 0.95),
    ("η = 5", |config, _| config.fqi.eta = 5.0),
    ("no paired loss", |config, _| config.fqi.paired_weight = 0.0),
    ("CQL, α = 0.1", |config, _| {
        config.algorithm = Algorithm::Cql;
        config.cql.paired_weight = config.fqi.paired_weight;
    }),
    ("CQL, α = 1", |config, _| {
        config.algorithm = Algorithm::Cql;
        config.cql.paired_weight = config.fqi.paired_weight;
        config.cql.alpha = 1.0;
    }),
    ("behaviour cloning", |config, _| config.algorithm = Algorithm::Bc),
    ("no text", |config, _| config.text.folds = 0),
    ("text without subjects", |config, _| config.text.hidden = 0),
    ("predicted rewards", |config, _| config.hbr.predicted_reward_share = 1.0),
    ("network 16", |config, _| config.fit.hidden = vec![16]),
    ("network 32, 32", |config, _| config.fit.hidden = vec![32, 32]),
    ("network 128, 128", |config, _| config.fit.hidden = vec![128, 128]),
    ("network 512, 256, 256", |config, _| config.fit.hidden = vec![512, 256, 256]),
];

/// The base settings, named `all`, and every variant that differs from them.
#[must_use]
pub fn variants(base: &TrainConfig, reference_nano_usd: f64) -> Vec<Variant> {
    let mut variants = vec![Variant { name: "all", config: base.clone() }];
    for (name, change) in CHANGES {
        let mut config = base.clone();
        change(&mut config, reference_nano_usd);
        if config != *base {
            variants.push(Variant { name, config });
        }
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_can_be_trained_and_differs_from_all_others() {
        let variants = variants(&TrainConfig::default(), 2e7);
        assert_eq!(variants.len(), 1 + CHANGES.len());
        for (at, variant) in variants.iter().enumerate() {
            assert_eq!(variant.config.check(), Ok(()), "{}", variant.name);
            assert!(variants[..at].iter().all(|other| other.config != variant.config), "{}", variant.name);
        }
    }

    #[test]
    fn variants_equal_to_the_base_are_left_out() {
        let mut base = TrainConfig::default();
        base.text.folds = 0;
        assert!(variants(&base, 2e7).iter().all(|variant| variant.name != "no text"));
    }
}
