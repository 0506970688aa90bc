//! `seqroute train`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use seqroute::learner::training_loop::State;
use seqroute::text_head::TextSummary;
use seqroute::training::{self, Progress, TrainConfig, TrainingData, Wish};
use seqroute_core::config::ModelConfig;
use seqroute_sessions::prompts;
use seqroute_sessions::session::{self, Dataset};
use seqroute_sessions::simulator::{self, Simulator};
use seqroute_sessions::terminal;
use serde::{Deserialize, Serialize};
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
    /// Texts of the prompts of `--data` and `--valid` (JSON lines with `prompt_id` and `prompt`, plain, `.gz` or `.zst`); may
    /// be given more than once.
    #[arg(long)]
    prompts: Vec<PathBuf>,
    /// Settings, TOML; see `examples/train.toml`.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Overrides the settings' seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The policy's name in its manifest and in decision records.
    #[arg(long, default_value = "fqi")]
    name: String,
    /// The archive to write; `<out>.config.toml` and `<out>.metrics.jsonl` go beside it, and while the training runs
    /// `<out>.checkpoint`.
    #[arg(long)]
    out: PathBuf,
    /// Go on from `<out>.checkpoint`, which a run with the same data and settings left behind.
    #[arg(long)]
    resume: bool,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let started = Instant::now();
        let mut config = match &self.config {
            Some(path) => read_config(path)?,
            None => TrainConfig::default(),
        };
        config.seed = self.seed.unwrap_or(config.seed);
        let stop = terminal::interrupted()?;
        let run = Run { name: &self.name, out: &self.out, resume: self.resume, stop: &stop, started };
        train(&self.inputs(config.seed)?, &config, &run)
    }

    fn inputs(&self, seed: u64) -> Result<Inputs> {
        let models = match &self.models {
            Some(path) => seqroute_sessions::models::read(path)?,
            None => simulator::tiers(),
        };
        if let Some(count) = self.simulate {
            return Inputs::simulated(count as usize, seed, models);
        }
        let data = self.data.as_deref().context("--data: expected a session file, or --simulate")?;
        Inputs::of_files(data, self.valid.as_deref(), models, &self.prompts)
    }
}

/// Sessions and models of a run.
pub struct Inputs {
    pub models: Vec<ModelConfig>,
    pub train: Dataset,
    pub valid: Vec<session::Session>,
}

impl Inputs {
    fn simulated(count: usize, seed: u64, models: Vec<ModelConfig>) -> Result<Self> {
        let sessions = Simulator::new(seed).sessions(count);
        for session in &sessions {
            session::check(session, &models).map_err(|error| anyhow!("simulated session: {error}"))?;
        }
        let sha256 = session::hex(&Sha256::digest(session::to_bytes(&sessions, false)?));
        let valid = Simulator::new(seed ^ VALIDATION_STREAM).sessions(count / 10);
        Ok(Inputs { models, train: Dataset { sessions, sha256 }, valid })
    }

    /// Reads sessions to learn from and to choose checkpoints by.
    pub fn of_files(
        data: &Path,
        valid: Option<&Path>,
        models: Vec<ModelConfig>,
        prompts: &[PathBuf],
    ) -> Result<Self> {
        let prompts = prompts::read_all(prompts)?;
        let mut train = session::read(data, &models)?;
        super::attach(&prompts, data, &mut train.sessions);
        let valid = match valid {
            Some(path) => {
                let mut valid = session::read(path, &models)?.sessions;
                super::attach(&prompts, path, &mut valid);
                super::evaluate::require_all_outcomes(path, &valid, &models)?;
                valid
            }
            None => Vec::new(),
        };
        Ok(Inputs { models, train, valid })
    }
}

/// What is done with a training, beside its settings.
pub struct Run<'a> {
    /// The policy's name.
    pub name: &'a str,
    /// The archive to write.
    pub out: &'a Path,
    /// Go on from the checkpoint beside it.
    pub resume: bool,
    /// Becomes true when the training shall be kept and ended.
    pub stop: &'a AtomicBool,
    /// When the run began, for the line at its end.
    pub started: Instant,
}

/// Where a training is kept that writes its archive to `out`.
pub fn checkpoint_of(out: &Path) -> PathBuf {
    super::beside(out, ".checkpoint")
}

/// Trains, shows how it goes, and writes the archive and what lies beside it.
pub fn train(inputs: &Inputs, config: &TrainConfig, run: &Run<'_>) -> Result<()> {
    let data = TrainingData {
        train: &inputs.train.sessions,
        valid: &inputs.valid,
        models: &inputs.models,
        sha256: &inputs.train.sha256,
    };
    let checkpoint = checkpoint_of(run.out);
    let fingerprint = fingerprint(&data, config)?;
    let state = if run.resume { Some(read_checkpoint(&checkpoint, &fingerprint)?) } else { None };
    let steps = terminal::bar(config.fit.steps as u64, "training");
    let mut progress = |progress: Progress<'_>| -> Result<Wish, String> {
        match progress {
            Progress::Text(text) => println!("{}", text_line(text)),
            Progress::Data(data) => println!(
                "{} sessions, {} transitions, {:.1} % lead to bankruptcy; budgets {} to {} USD",
                data.sessions,
                data.transitions,
                100.0 * data.bankrupt_share,
                data.budget_range_nano_usd[0],
                data.budget_range_nano_usd[1],
            ),
            Progress::Step(step) => steps.set_position(step as u64),
            Progress::Checkpoint(metrics) => {
                let quality = metrics.validation_quality.map(|quality| format!("quality {quality:.4}"));
                steps.set_message(quality.unwrap_or_default());
            }
            Progress::Save(state) => {
                let saved = serde_json::to_vec(&Saved { fingerprint: &fingerprint, state });
                let saved = saved.map_err(|error| error.to_string())?;
                super::write(&checkpoint, &saved).map_err(|error| format!("{error:#}"))?;
            }
        }
        Ok(if run.stop.load(Ordering::Relaxed) { Wish::Stop } else { Wish::GoOn })
    };
    let trained = training::train(&data, config, run.name, state, &mut progress);
    steps.finish_and_clear();
    let Some(trained) = trained.map_err(|error| anyhow!(error))? else {
        let command = "the same command with --resume goes on from there";
        bail!("stopped; the training is kept in {}: {command}", checkpoint.display());
    };
    super::write(&super::beside(run.out, ".config.toml"), trained.config_toml.as_bytes())?;
    super::write(&super::beside(run.out, ".metrics.jsonl"), trained.metrics_jsonl.as_bytes())?;
    super::write(run.out, &trained.archive)?;
    match std::fs::remove_file(&checkpoint) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{}: cannot be removed", checkpoint.display()));
        }
        _ => {}
    }
    println!(
        "{}: {} bytes, policy {}, weights of step {} of {}, {} transitions seen, self-check within {:.1e}, {:.1} s",
        run.out.display(),
        trained.archive.len(),
        trained.policy_id,
        trained.chosen_step,
        config.fit.steps,
        trained.rows_seen,
        trained.largest_difference,
        run.started.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// Settings from a TOML file.
pub fn read_config(path: &Path) -> Result<TrainConfig> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    TrainConfig::from_toml(&text).map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// What lies in a checkpoint file.
#[derive(Serialize)]
struct Saved<'a> {
    fingerprint: &'a str,
    state: &'a State,
}

#[derive(Deserialize)]
struct Loaded {
    fingerprint: String,
    state: State,
}

/// Of everything that a training follows from: going on with anything else would mix two trainings.
fn fingerprint(data: &TrainingData<'_>, config: &TrainConfig) -> Result<String> {
    let mut hash = Sha256::new();
    let texts = data.train.iter().chain(data.valid).flat_map(|session| &session.turns);
    texts.for_each(|turn| hash.update(turn.text.counts()));
    for part in
        [data.sha256.as_bytes(), &serde_json::to_vec(data.models)?, toml::to_string(config)?.as_bytes()]
    {
        hash.update(part);
    }
    Ok(session::hex(&hash.finalize()))
}

fn read_checkpoint(path: &Path, fingerprint: &str) -> Result<State> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let loaded: Loaded =
        serde_json::from_slice(&bytes).with_context(|| format!("{}: no checkpoint", path.display()))?;
    if loaded.fingerprint != fingerprint {
        bail!("{}: found a training on other data or settings, expected the same ones", path.display());
    }
    Ok(loaded.state)
}

fn text_line(text: &TextSummary) -> String {
    let percent = |shares: &[f64]| {
        let shares: Vec<String> = shares.iter().map(|share| format!("{:.1} %", 100.0 * share)).collect();
        shares.join(", ")
    };
    match text.penalty {
        None => "no text was seen".to_owned(),
        Some(penalty) => format!(
            "{} different messages explain {} of the models' quality, {} of its gaps and {} of the answers' lengths \
             (penalty {penalty}, {} subjects)",
            text.messages,
            percent(&text.explained_share),
            percent(&text.explained_gap_share),
            percent(&text.explained_length_share),
            if text.topics { "with" } else { "without" },
        ),
    }
}
