//! The settings of a training run, and their ranges.

use serde::{Deserialize, Serialize};

use crate::hbr::HbrConfig;
use crate::learner::bc::{Bc, BcConfig};
use crate::learner::cql::{Cql, CqlConfig};
use crate::learner::fqi::{Fqi, FqiConfig};
use crate::learner::training_loop::FitConfig;
use crate::learner::{Algorithm, Learner};
use crate::text_head::TextConfig;
use seqroute_sessions::error::Invalid;
use seqroute_sessions::guard::GuardSettings;

/// All settings of a training run (`--config`, TOML).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Determines everything random.
    pub seed: u64,
    /// The learner.
    pub algorithm: Algorithm,
    /// Budgets of the validation, as shares of the mean cost of a session that the most expensive model answers alone.
    pub validation_budget_shares: Vec<f64>,
    /// Relabelling.
    pub hbr: HbrConfig,
    /// Money kept for later turns, in training as in service.
    pub guard: GuardSettings,
    /// The text head.
    pub text: TextConfig,
    /// The training loop.
    pub fit: FitConfig,
    /// Settings of `fqi`.
    pub fqi: FqiConfig,
    /// Settings of `cql`.
    pub cql: CqlConfig,
    /// Settings of `bc`.
    pub bc: BcConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            seed: 1,
            algorithm: Algorithm::default(),
            validation_budget_shares: vec![0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0],
            hbr: HbrConfig::default(),
            guard: GuardSettings::default(),
            text: TextConfig::default(),
            fit: FitConfig::default(),
            fqi: FqiConfig::default(),
            cql: CqlConfig::default(),
            bc: BcConfig::default(),
        }
    }
}

impl TrainConfig {
    /// Reads TOML; absent settings keep their defaults.
    ///
    /// # Errors
    /// Line, field, found, expected.
    pub fn from_toml(text: &str) -> Result<TrainConfig, Invalid> {
        let config: TrainConfig = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            Invalid(format!(
                "line {}: {}",
                before.matches('\n').count() + 1,
                error.message().replace('\n', " ")
            ))
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks that training can run.
    ///
    /// # Errors
    /// Field, found, expected.
    pub fn check(&self) -> Result<(), Invalid> {
        self.check_hbr()?;
        let shares = &self.validation_budget_shares;
        require(
            !shares.is_empty() && shares.iter().all(|share| share.is_finite() && *share > 0.0),
            "validation_budget_shares",
            shares,
            "numbers above 0",
        )?;
        let quantile = self.guard.quantile;
        require((0.0..=1.0).contains(&quantile), "guard.quantile", &quantile, "0 to 1")?;
        require(self.text.folds != 1, "text.folds", &self.text.folds, "0, or at least 2")?;
        self.check_fit()?;
        for (learner, td) in [("fqi", self.fqi.td()), ("cql", self.cql.td())] {
            let not_negative = |value: f32| value.is_finite() && value >= 0.0;
            let field = |name: &str| format!("{learner}.{name}");
            require((0.0..=1.0).contains(&td.gamma), &field("gamma"), &td.gamma, "0 to 1")?;
            require(not_negative(td.eta), &field("eta"), &td.eta, "at least 0")?;
            let delta = td.huber_delta;
            require(delta.is_finite() && delta > 0.0, &field("huber_delta"), &delta, "above 0")?;
            let paired = td.paired_weight;
            require(not_negative(paired), &field("paired_weight"), &paired, "at least 0")?;
            require(not_negative(td.cost_weight), &field("cost_weight"), &td.cost_weight, "at least 0")?;
        }
        let not_negative = |value: f32| value.is_finite() && value >= 0.0;
        require(not_negative(self.cql.alpha), "cql.alpha", &self.cql.alpha, "at least 0")?;
        let penalty = self.bc.logit_penalty;
        require(not_negative(penalty), "bc.logit_penalty", &penalty, "at least 0")
    }

    fn check_hbr(&self) -> Result<(), Invalid> {
        let hbr = &self.hbr;
        let (low, high) = (hbr.budget_min_share, hbr.budget_max_share);
        let expected = "0 < budget_min_share <= budget_max_share";
        let range = [low, high];
        require(low > 0.0 && low <= high && high.is_finite(), "hbr.budget_min_share", &range, expected)?;
        let budgets = hbr.budgets_per_session;
        require(budgets > 0, "hbr.budgets_per_session", &budgets, "at least 1")?;
        let grid = &hbr.grid_nano_usd;
        require(grid.iter().all(|budget| *budget > 0), "hbr.grid_nano_usd", grid, "budgets above 0")?;
        let spread = hbr.behaviour_spread;
        require((0.0..=10.0).contains(&spread), "hbr.behaviour_spread", &spread, "0 to 10")?;
        let factor = hbr.price_factor;
        require((1.0..=100.0).contains(&factor), "hbr.price_factor", &factor, "1 to 100")?;
        let share = hbr.lambda_share;
        require((0.0..=1.0).contains(&share), "hbr.lambda_share", &share, "0 to 1")?;
        let [low, high] = hbr.lambda_range;
        let fits = low > 0.0 && low <= high && high.is_finite();
        require(fits, "hbr.lambda_range", &hbr.lambda_range, "0 < smallest <= largest")?;
        let share = hbr.predicted_reward_share;
        require((0.0..=1.0).contains(&share), "hbr.predicted_reward_share", &share, "0 to 1")
    }

    fn check_fit(&self) -> Result<(), Invalid> {
        let fit = &self.fit;
        let widths = fit.hidden.iter().all(|width| (1..=1024).contains(width));
        let fits = widths && (1..=4).contains(&fit.hidden.len());
        require(fits, "fit.hidden", &fit.hidden, "1 to 4 widths of 1 to 1024")?;
        for (name, value) in [
            ("steps", fit.steps),
            ("batch", fit.batch),
            ("target_period_steps", fit.target_period_steps),
            ("average_steps", fit.average_steps),
            ("checkpoints", fit.checkpoints),
            ("shards", fit.shards),
        ] {
            require(value > 0, &format!("fit.{name}"), &value, "at least 1")?;
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        require(positive(fit.learning_rate), "fit.learning_rate", &fit.learning_rate, "above 0")?;
        let last = fit.final_learning_rate;
        require(positive(last), "fit.final_learning_rate", &last, "above 0")?;
        let decay = fit.weight_decay;
        require((0.0..=1.0).contains(&decay), "fit.weight_decay", &decay, "0 to 1")
    }

    pub(super) fn learner(&self) -> Box<dyn Learner> {
        match self.algorithm {
            Algorithm::Fqi => Box::new(Fqi(self.fqi.clone())),
            Algorithm::Cql => Box::new(Cql(self.cql.clone())),
            Algorithm::Bc => Box::new(Bc(self.bc.clone())),
        }
    }
}

fn require(ok: bool, field: &str, found: &dyn std::fmt::Debug, expected: &str) -> Result<(), Invalid> {
    if ok { Ok(()) } else { Err(Invalid(format!("field `{field}`: found {found:?}, expected {expected}"))) }
}
