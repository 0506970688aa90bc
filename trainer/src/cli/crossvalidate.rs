//! `seqroute crossvalidate`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use comfy_table::Table;
use seqroute::experiments::crossvalidation::{self, Score};
use seqroute::experiments::folds::{self, Split};
use seqroute::training::TrainConfig;
use seqroute_sessions::{session, terminal};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Session file with outcomes of every model and a `prompt_id` for every turn.
    #[arg(long)]
    data: PathBuf,
    /// Models file.
    #[arg(long)]
    models: PathBuf,
    /// Texts of the prompts. Can be repeated.
    #[arg(long)]
    prompts: Vec<PathBuf>,
    /// Settings to compare, TOML. Can be repeated.
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
        let folds = usize::from(self.folds);
        let splits: Vec<Split> = (0..folds)
            .map(|fold| folds::fold(&data.sessions, fold, folds))
            .collect::<Result<_, _>>()
            .with_context(|| self.data.display().to_string())?;
        for (number, split) in splits.iter().enumerate() {
            println!(
                "fold {}: {} sessions train, {} validate, {} mix both and are left out",
                number + 1,
                split.train.len(),
                split.valid.len(),
                split.left_out
            );
        }
        let bar = terminal::bar((configs.len() * folds) as u64, "training");
        let scores = crossvalidation::crossvalidate(&configs, &splits, &models, &data.sha256, || bar.inc(1));
        bar.finish_and_clear();
        println!("{}", self.table(&configs[0].validation_budget_shares, &scores?));
        Ok(())
    }

    fn table(&self, shares: &[f64], scores: &[Score]) -> Table {
        let mut table = terminal::table();
        let budgets = shares.iter().map(|share| format!("{} %", (1000.0 * share).round() / 10.0));
        let fixed = ["settings", "mean", "± (folds)", "minus the first", "± (paired)"];
        table.set_header(fixed.map(str::to_owned).into_iter().chain(budgets));
        for (path, score) in self.configs.iter().zip(scores) {
            let cells = [
                path.display().to_string(),
                format!("{:.4}", score.quality.mean),
                format!("{:.4}", score.quality.standard_error),
                format!("{:+.4}", score.minus_first.mean),
                format!("{:.4}", score.minus_first.standard_error),
            ];
            table.add_row(
                cells.into_iter().chain(score.by_budget.iter().map(|quality| format!("{quality:.4}"))),
            );
        }
        table
    }
}
