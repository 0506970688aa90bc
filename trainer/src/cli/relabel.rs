//! `seqroute relabel`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use seqroute::hbr::HbrConfig;
use seqroute::relabel::{self, RelabelCounts};
use seqroute::training::TrainConfig;
use seqroute_sessions::session::SessionReader;
use seqroute_sessions::terminal;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Session file, JSON lines, plain, `.gz` or `.zst`; it is streamed, whatever its size.
    #[arg(long)]
    data: PathBuf,
    /// Models file, a JSON array of models as in the plugin configuration.
    #[arg(long)]
    models: PathBuf,
    /// Settings, TOML, as for `train`; its part `[hbr]` counts here.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Fixed budgets in nano-USD instead of drawn ones, such as the paper's grid.
    #[arg(long, value_delimiter = ',')]
    grid: Vec<u64>,
    /// Follow every option of every turn instead of one walk; for short sessions and few models.
    #[arg(long)]
    all_branches: bool,
    /// Leave prices as they are.
    #[arg(long)]
    fixed_prices: bool,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the counts per budget. Training relabels anew in every epoch, so there is no file of rows.
    #[arg(long)]
    stats: bool,
    /// Also write the counts as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        ensure!(self.stats, "expected --stats: training relabels by itself, here it is counted");
        let models = seqroute_sessions::models::read(&self.models)?;
        let config = self.hbr_config()?;
        let bar = terminal::bar(0, "relabelling");
        let open = || SessionReader::open(&self.data, &models);
        let counts = relabel::count(open, &models, &config, self.seed, |done| bar.set_position(done))?;
        bar.finish_and_clear();
        if counts.sessions == 0 {
            bail!("{}: found no session, expected one JSON object per line", self.data.display());
        }
        println!("{}", text(&counts));
        if counts.turns == counts.sessions {
            eprintln!(
                "warning: {}: {}",
                self.data.display(),
                seqroute_sessions::session::DataWarning::AllSessionsHaveOneTurn
            );
        }
        if let Some(path) = &self.json {
            super::write(path, &serde_json::to_vec_pretty(&counts)?)?;
        }
        Ok(())
    }

    fn hbr_config(&self) -> Result<HbrConfig> {
        let mut config = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("{}: cannot be read", path.display()))?;
                let config = TrainConfig::from_toml(&text);
                config.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?.hbr
            }
            None => HbrConfig::default(),
        };
        if !self.grid.is_empty() {
            config.grid_nano_usd.clone_from(&self.grid);
        }
        config.all_branches |= self.all_branches;
        if self.fixed_prices {
            config.price_factor = 1.0;
        }
        Ok(config)
    }
}

fn text(counts: &RelabelCounts) -> String {
    let mut table = terminal::table();
    table.set_header([
        "budget, nano-USD",
        "transitions",
        "per session",
        "bankrupt",
        "last turn",
        "paths",
        "turns of all paths",
    ]);
    let share = |part: u64, whole: u64| format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64);
    for line in &counts.budgets {
        let budget = if line.low_nano_usd == line.high_nano_usd {
            line.low_nano_usd.0.to_string()
        } else {
            format!("{} – {}", line.low_nano_usd.0, line.high_nano_usd.0)
        };
        table.add_row([
            budget,
            line.transitions.to_string(),
            format!("{:.1}", line.transitions as f64 / counts.sessions.max(1) as f64),
            share(line.bankrupt, line.transitions),
            share(line.terminal - line.bankrupt, line.transitions),
            line.paths.to_string(),
            line.path_turns.to_string(),
        ]);
    }
    let sum = |of: fn(&seqroute::relabel::BudgetCounts) -> u64| counts.budgets.iter().map(of).sum::<u64>();
    table.add_row([
        "all".to_owned(),
        sum(|line| line.transitions).to_string(),
        format!("{:.1}", sum(|line| line.transitions) as f64 / counts.sessions.max(1) as f64),
        share(sum(|line| line.bankrupt), sum(|line| line.transitions)),
        share(sum(|line| line.terminal - line.bankrupt), sum(|line| line.transitions)),
        sum(|line| line.paths).to_string(),
        sum(|line| line.path_turns).to_string(),
    ]);
    terminal::align_right(&mut table, 0..7);
    format!("{} sessions, {} turns\n\n{table}", counts.sessions, counts.turns)
}
