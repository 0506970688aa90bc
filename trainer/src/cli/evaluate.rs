//! `seqroute evaluate`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use seqroute::evaluation::{self, Question, table};
use seqroute::session::{self, Session};
use seqroute_core::config::ModelConfig;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Policy archive.
    #[arg(long)]
    policy: PathBuf,
    /// Models file, a JSON array of models as in the plugin configuration.
    #[arg(long)]
    models: PathBuf,
    /// Session file with outcomes of every model; the policy must not have seen it.
    #[arg(long)]
    data: PathBuf,
    /// Session file to tune the threshold heuristic on; without it the threshold is one half.
    #[arg(long)]
    tune: Option<PathBuf>,
    /// Budgets, in percent of the mean cost of always taking the most expensive model.
    #[arg(long, value_delimiter = ',', default_value = "5,10,20,30,50,80,120", value_parser = percent)]
    budgets: Vec<f64>,
    /// λ of the policy: quality given up to save one whole session budget.
    #[arg(long, default_value_t = 0.0, value_parser = lambda)]
    lambda: f32,
    /// Seed of the bootstrap and of the random router.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Bootstrap resamples.
    #[arg(long, default_value_t = 1000)]
    resamples: usize,
    /// Also write the measurements as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Also write the whole report as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let models = seqroute::models::read(&self.models)?;
        let (_, policy) = super::open_policy(&self.policy)?;
        let read = |path: &Path| -> Result<Vec<Session>> {
            let sessions = session::read(path, &models)?.sessions;
            require_all_outcomes(path, &sessions, &models)?;
            Ok(sessions)
        };
        let sessions = read(&self.data)?;
        let tune = self.tune.as_deref().map(read).transpose()?.unwrap_or_default();
        let shares: Vec<f64> = self.budgets.iter().map(|percent| percent / 100.0).collect();
        let question = Question {
            sessions: &sessions,
            tune: &tune,
            models: &models,
            budget_shares: &shares,
            lambda: self.lambda,
            seed: self.seed,
            resamples: self.resamples,
        };
        let bar = super::bar(0, "evaluating");
        let report = evaluation::evaluate(&question, policy, |played, to_play| {
            bar.set_length(to_play as u64);
            bar.set_position(played as u64);
        })?;
        bar.finish_and_clear();
        print!("{}", table::text(&report));
        if let Some(path) = &self.csv {
            super::write(path, table::csv(&report).as_bytes())?;
        }
        if let Some(path) = &self.json {
            super::write(path, &serde_json::to_vec_pretty(&report)?)?;
        }
        Ok(())
    }
}

/// Refuses data in which a policy could choose a model whose answer is not known.
pub fn require_all_outcomes(path: &Path, sessions: &[Session], models: &[ModelConfig]) -> Result<()> {
    if let Some((session, turn, model)) = session::first_gap(sessions, models) {
        bail!(
            "{}: session `{session}`, field `turns[{turn}].options`: found no outcome of `{model}`, expected one of \
             every model: logs with one answer per turn can be trained on but not compared on",
            path.display()
        );
    }
    Ok(())
}

fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.trim().parse().map_err(|_| format!("found `{text}`, expected a number"))?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err(format!("found `{text}`, expected a percentage above 0"))
    }
}

fn lambda(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| format!("found `{text}`, expected a number"))?;
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err(format!("found `{text}`, expected at least 0"))
    }
}
