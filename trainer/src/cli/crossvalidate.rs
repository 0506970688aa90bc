//! `seqroute crossvalidate`.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use comfy_table::Table;
use rayon::prelude::*;
use seqroute::split;
use seqroute::training::{self, Progress, TrainConfig, TrainingData, Wish};
use seqroute_sessions::{session, terminal};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Session file with outcomes of every model and a `prompt_id` for every turn.
    #[arg(long)]
    data: PathBuf,
    /// Models file.
    #[arg(long)]
    models: PathBuf,
    /// Texts of the prompts; may be given more than once.
    #[arg(long)]
    prompts: Vec<PathBuf>,
    /// Settings to compare, TOML; may be given more than once.
    #[arg(long = "config", required = true)]
    configs: Vec<PathBuf>,
    /// Folds of the prompts.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(2..=100))]
    folds: u16,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let models = seqroute_sessions::models::read(&self.models)?;
        let prompts = seqroute_sessions::prompts::read_all(&self.prompts)?;
        let mut data = session::read(&self.data, &models)?;
        super::attach(&prompts, &self.data, &mut data.sessions);
        super::evaluate::require_all_outcomes(&self.data, &data.sessions, &models)?;
        let configs: Vec<TrainConfig> =
            self.configs.iter().map(|path| super::train::read_config(path)).collect::<Result<_>>()?;
        if configs.iter().any(|config| config.validation_budget_shares != configs[0].validation_budget_shares)
        {
            bail!("--config: found different `validation_budget_shares`, expected the same in all settings");
        }
        let folds = usize::from(self.folds);
        let splits = (0..folds).map(|fold| split::fold(&data.sessions, fold, folds));
        let splits: Vec<split::Split> =
            splits.collect::<Result<_, _>>().map_err(|error| anyhow!("{}: {error}", self.data.display()))?;
        for (number, split) in splits.iter().enumerate() {
            println!(
                "fold {}: {} sessions train, {} validate, {} mix both and are left out",
                number + 1,
                split.train.len(),
                split.valid.len(),
                split.left_out
            );
        }
        let jobs: Vec<(usize, usize)> =
            (0..configs.len()).flat_map(|config| (0..folds).map(move |fold| (config, fold))).collect();
        let bar = terminal::bar(jobs.len() as u64, "training");
        let qualities: Vec<Vec<f64>> = jobs
            .par_iter()
            .map(|(config, fold)| {
                let split = &splits[*fold];
                let data = TrainingData {
                    train: &split.train,
                    valid: &split.valid,
                    models: &models,
                    sha256: &data.sha256,
                };
                let found = last_quality(&data, &configs[*config]);
                bar.inc(1);
                found.with_context(|| format!("{}, fold {}", self.configs[*config].display(), fold + 1))
            })
            .collect::<Result<_>>()?;
        bar.finish_and_clear();
        println!("{}", self.table(&configs[0].validation_budget_shares, folds, &qualities));
        Ok(())
    }

    /// Means over the folds: of all budgets with its standard error, what that is more than the first settings have, fold by
    /// fold, and of each budget.
    fn table(&self, shares: &[f64], folds: usize, qualities: &[Vec<f64>]) -> Table {
        let mut table = terminal::table();
        let budgets = shares.iter().map(|share| format!("{} %", (1000.0 * share).round() / 10.0));
        let fixed = ["settings", "mean", "± (folds)", "minus the first", "± (paired)"];
        table.set_header(fixed.map(str::to_owned).into_iter().chain(budgets));
        let of_folds =
            |by_fold: &[Vec<f64>]| by_fold.iter().map(|quality| mean(quality)).collect::<Vec<f64>>();
        let first = of_folds(&qualities[..folds]);
        for (path, by_fold) in self.configs.iter().zip(qualities.chunks(folds)) {
            let of_fold = of_folds(by_fold);
            let more: Vec<f64> = of_fold.iter().zip(&first).map(|(this, first)| this - first).collect();
            let at = |k: usize| {
                mean(&by_fold.iter().filter_map(|quality| quality.get(k).copied()).collect::<Vec<_>>())
            };
            let cells = [
                path.display().to_string(),
                format!("{:.4}", mean(&of_fold)),
                format!("{:.4}", standard_error(&of_fold)),
                format!("{:+.4}", mean(&more)),
                format!("{:.4}", standard_error(&more)),
            ];
            table.add_row(cells.into_iter().chain((0..shares.len()).map(|k| format!("{:.4}", at(k)))));
        }
        table
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Of the mean.
fn standard_error(values: &[f64]) -> f64 {
    let (count, mean) = (values.len() as f64, mean(values));
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / ((count - 1.0) * count).max(1.0)).sqrt()
}

/// Quality at every budget when the last weights play the validation sessions: no fold chooses its own checkpoint.
fn last_quality(data: &TrainingData<'_>, config: &TrainConfig) -> Result<Vec<f64>> {
    let mut last = Vec::new();
    let mut listen = |progress: Progress<'_>| {
        if let Progress::Checkpoint(metrics) = progress {
            last.clone_from(&metrics.validation_quality_by_budget);
        }
        Ok(Wish::GoOn)
    };
    training::train(data, config, "fold", None, &mut listen).map_err(|error| anyhow!(error))?;
    Ok(last)
}
