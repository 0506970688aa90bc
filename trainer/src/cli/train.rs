//! `seqroute train`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use seqroute::session::{self, Dataset};
use seqroute::simulator::{self, Simulator};
use seqroute::training::{self, Progress, TrainConfig, TrainingData};
use seqroute_core::config::ModelConfig;
use sha2::{Digest, Sha256};

/// Validation sessions of a simulated run come from this far along the simulator's sessions: never training ones.
const VALIDATION_STREAM: u64 = 0x5eed_0000_0000_0000;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Session file to learn from, JSON lines, plain or `.gz`.
    #[arg(long, required_unless_present = "simulate", requires = "models")]
    data: Option<PathBuf>,
    /// Models file, a JSON array of models as in the plugin configuration.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Learn from this many sessions of the built-in simulator instead of a file; a tenth as many others validate.
    #[arg(long, conflicts_with_all = ["data", "valid"], value_parser = clap::value_parser!(u32).range(10..))]
    simulate: Option<u32>,
    /// Session file to choose the best checkpoint by; needs outcomes of every model.
    #[arg(long)]
    valid: Option<PathBuf>,
    /// Settings, TOML; see `examples/cql.toml`.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Overrides the settings' seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The policy's name in its manifest and in decision records.
    #[arg(long, default_value = "cql")]
    name: String,
    /// The archive to write; `<out>.config.toml` and `<out>.metrics.jsonl` go beside it.
    #[arg(long)]
    out: PathBuf,
}

/// Sessions and models of a run.
struct Inputs {
    models: Vec<ModelConfig>,
    train: Dataset,
    valid: Vec<session::Session>,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let started = Instant::now();
        let mut config = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("{}: cannot be read", path.display()))?;
                TrainConfig::from_toml(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?
            }
            None => TrainConfig::default(),
        };
        config.seed = self.seed.unwrap_or(config.seed);
        let inputs = self.inputs(config.seed)?;
        let data = TrainingData {
            train: &inputs.train.sessions,
            valid: &inputs.valid,
            models: &inputs.models,
            sha256: &inputs.train.sha256,
        };
        let relabel = super::bar(data.train.len(), "relabelling");
        let steps = super::bar(config.cql.steps, "training");
        let trained = training::train(&data, &config, &self.name, |progress| match progress {
            Progress::Relabelled(done) => relabel.set_position(done as u64),
            Progress::Data(data) => {
                relabel.finish_and_clear();
                println!(
                    "{} sessions, {} transitions, {:.1} % lead to bankruptcy; budgets {} to {} USD",
                    data.sessions,
                    data.transitions,
                    100.0 * data.bankrupt_share,
                    data.budget_range_nano_usd[0],
                    data.budget_range_nano_usd[1],
                );
            }
            Progress::Step(step) => steps.set_position(step as u64),
            Progress::Checkpoint(metrics) => {
                let quality = metrics.validation_quality;
                steps.set_message(quality.map(|quality| format!("quality {quality:.4}")).unwrap_or_default());
            }
        });
        let trained = trained.map_err(|error| anyhow!(error))?;
        steps.finish_and_clear();
        super::write(&beside(&self.out, ".config.toml"), trained.config_toml.as_bytes())?;
        super::write(&beside(&self.out, ".metrics.jsonl"), trained.metrics_jsonl.as_bytes())?;
        super::write(&self.out, &trained.archive)?;
        println!(
            "{}: {} bytes, policy {}, weights of step {} of {}, self-check within {:.1e}, {:.1} s",
            self.out.display(),
            trained.archive.len(),
            trained.policy_id,
            trained.chosen_step,
            config.cql.steps,
            trained.largest_difference,
            started.elapsed().as_secs_f64(),
        );
        Ok(())
    }

    fn inputs(&self, seed: u64) -> Result<Inputs> {
        let models = match &self.models {
            Some(path) => seqroute::models::read(path)?,
            None => simulator::tiers(),
        };
        if let Some(count) = self.simulate {
            let sessions = Simulator::new(seed).sessions(count as usize);
            for session in &sessions {
                session::check(session, &models).map_err(|error| anyhow!("simulated session: {error}"))?;
            }
            let sha256 = session::hex(&Sha256::digest(session::to_bytes(&sessions, false)?));
            let valid = Simulator::new(seed ^ VALIDATION_STREAM).sessions(count as usize / 10);
            return Ok(Inputs { models, train: Dataset { sessions, sha256 }, valid });
        }
        let data = self.data.as_deref().context("--data: expected a session file, or --simulate")?;
        let train = session::read(data, &models)?;
        let valid = match &self.valid {
            Some(path) => {
                let valid = session::read(path, &models)?.sessions;
                super::evaluate::require_all_outcomes(path, &valid, &models)?;
                valid
            }
            None => Vec::new(),
        };
        Ok(Inputs { models, train, valid })
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
