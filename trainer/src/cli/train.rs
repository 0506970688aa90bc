//! `seqroute train`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::Table;
use seqroute::hbr::BudgetCounts;
use seqroute::learner::progress::Progress;
use seqroute::learner::state::State;
use seqroute::text_head::TextSummary;
use seqroute::training::{self, TrainConfig, Training, TrainingData};
use seqroute_core::config::ModelConfig;
use seqroute_sessions::files;
use seqroute_sessions::prompts;
use seqroute_sessions::session::{self, Dataset};
use seqroute_sessions::simulator::{self, Simulator};
use seqroute_sessions::terminal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Mixed into the seed of a simulated run's validation sessions, so that they differ from the training sessions.
const VALIDATION_STREAM: u64 = 0x5eed_0000_0000_0000;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Session file to learn from, JSON lines, plain, `.gz` or `.zst`.
    #[arg(long, required_unless_present = "simulate", requires = "models")]
    data: Option<PathBuf>,
    /// Models file, a JSON array of models as in the plugin configuration.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Learn from this many sessions of the built-in simulator instead of a file; a tenth as many other ones validate.
    #[arg(long, conflicts_with_all = ["data", "valid"], value_parser = clap::value_parser!(u32).range(10..))]
    simulate: Option<u32>,
    /// Session file to choose the best checkpoint by; needs outcomes of every model.
    #[arg(long)]
    valid: Option<PathBuf>,
    /// Texts of the prompts of `--data` and `--valid` (JSON lines with `prompt_id` and `prompt`, plain, `.gz` or `.zst`).
    /// Can be repeated.
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
    /// The archive to write, with `<out>.config.toml` and `<out>.metrics.jsonl` next to it, and `<out>.checkpoint` while
    /// training runs.
    #[arg(long, required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Resume from `<out>.checkpoint`, which an interrupted run with the same data and settings left behind.
    #[arg(long)]
    resume: bool,
    /// Relabel once, print how many transitions each budget gives, and stop.
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let started = Instant::now();
        let mut config = match &self.config {
            Some(path) => read_config(path)?,
            None => TrainConfig::default(),
        };
        config.seed = self.seed.unwrap_or(config.seed);
        let inputs = self.inputs(config.seed)?;
        let out = match &self.out {
            Some(out) if !self.dry_run => out,
            _ => {
                println!("{}", counts(&inputs, &config)?);
                return Ok(());
            }
        };
        let stop = terminal::interrupted()?;
        let run = Run { name: &self.name, out, resume: self.resume, stop: &stop, started };
        train(&inputs, &config, &run)
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

/// Sessions and models of a training run.
pub struct Inputs {
    pub models: Vec<ModelConfig>,
    pub train: Dataset,
    pub valid: Vec<session::Session>,
}

impl Inputs {
    fn simulated(count: usize, seed: u64, models: Vec<ModelConfig>) -> Result<Self> {
        let sessions = Simulator::new(seed).sessions(count);
        for session in &sessions {
            session::check(session, &models).context("simulated session")?;
        }
        let sha256 = session::hex(&Sha256::digest(session::to_bytes(&sessions, false)?));
        let valid = Simulator::new(seed ^ VALIDATION_STREAM).sessions(count / 10);
        Ok(Inputs { models, train: Dataset { sessions, sha256 }, valid })
    }

    /// Reads sessions for training and for validation.
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

    fn data(&self) -> TrainingData<'_> {
        TrainingData {
            train: &self.train.sessions,
            valid: &self.valid,
            models: &self.models,
            sha256: &self.train.sha256,
        }
    }
}

/// What a training run needs in addition to its settings.
pub struct Run<'a> {
    /// The policy's name.
    pub name: &'a str,
    /// The archive to write.
    pub out: &'a Path,
    /// Resume from the checkpoint next to it.
    pub resume: bool,
    /// Set to request a checkpoint and stop.
    pub stop: &'a AtomicBool,
    /// When the run began, for its last line of output.
    pub started: Instant,
}

/// The checkpoint of a run that writes its archive to `out`.
pub fn checkpoint_of(out: &Path) -> PathBuf {
    super::with_suffix(out, ".checkpoint")
}

/// Trains, shows progress, and writes the archive and the files next to it.
pub fn train(inputs: &Inputs, config: &TrainConfig, run: &Run<'_>) -> Result<()> {
    let data = inputs.data();
    let checkpoint = checkpoint_of(run.out);
    let fingerprint = fingerprint(&data, config)?;
    let state = if run.resume { Some(read_checkpoint(&checkpoint, &fingerprint)?) } else { None };
    let training = Training::prepare(&data, config)?;
    println!("{}", text_line(&training.text));
    println!(
        "{} sessions, {} transitions, {:.1} % lead to bankruptcy; budgets {} to {} USD",
        training.relabelled.sessions,
        training.relabelled.transitions,
        100.0 * training.relabelled.bankrupt_share,
        training.relabelled.budget_range_nano_usd[0],
        training.relabelled.budget_range_nano_usd[1],
    );
    let steps = terminal::bar(config.fit.steps as u64, "training");
    let save = |state: &State| -> Result<()> {
        super::write(&checkpoint, &serde_json::to_vec(&Saved { fingerprint: &fingerprint, state })?)
    };
    let mut observer = |progress: Progress<'_>| -> ControlFlow<Result<()>> {
        match progress {
            Progress::Step(step) => {
                steps.set_position(step as u64);
                if run.stop.load(Ordering::Relaxed) {
                    return ControlFlow::Break(Ok(()));
                }
            }
            Progress::Checkpoint(metrics) => {
                let quality = metrics.validation.quality.map(|quality| format!("quality {quality:.4}"));
                steps.set_message(quality.unwrap_or_default());
            }
            Progress::Save(state) => {
                if let Err(error) = save(state) {
                    return ControlFlow::Break(Err(error));
                }
            }
        }
        ControlFlow::Continue(())
    };
    let ended = training.run(run.name, state, &mut observer);
    steps.finish_and_clear();
    let trained = match ended? {
        ControlFlow::Continue(trained) => trained,
        ControlFlow::Break(stopped) => {
            stopped?;
            bail!(
                "stopped; {} holds the state, and the same command with --resume continues",
                checkpoint.display()
            );
        }
    };
    super::write(&super::with_suffix(run.out, ".config.toml"), trained.config_toml.as_bytes())?;
    super::write(&super::with_suffix(run.out, ".metrics.jsonl"), trained.metrics_jsonl.as_bytes())?;
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
    TrainConfig::from_toml(&files::read_text(path)?).with_context(|| path.display().to_string())
}

/// Contents of a checkpoint file.
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

/// Hash of all that determines a training: resuming with anything else would mix two trainings.
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
    let loaded: Loaded = serde_json::from_slice(&files::read_file(path)?)
        .with_context(|| format!("{}: not a checkpoint", path.display()))?;
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
        None => "no text in the data".to_owned(),
        Some(penalty) => format!(
            "{} distinct messages: text explains {} of the variance of quality per model, {} of the differences \
             between models, {} of the answers' lengths (penalty {penalty}, {} categories)",
            text.messages,
            percent(&text.explained_share),
            percent(&text.explained_gap_share),
            percent(&text.explained_length_share),
            if text.topics { "with" } else { "without" },
        ),
    }
}

/// What one relabelling makes of each budget.
fn counts(inputs: &Inputs, config: &TrainConfig) -> Result<String> {
    let data = inputs.data();
    let budgets = training::count(&data, config)?;
    let turns: usize = data.train.iter().map(|session| session.turns.len()).sum();
    Ok(format!(
        "{} sessions, {turns} turns\n\n{}",
        data.train.len(),
        counts_table(&budgets, data.train.len())
    ))
}

fn counts_table(budgets: &[BudgetCounts], sessions: usize) -> Table {
    let mut table = terminal::table();
    let header = [
        "budget, nano-USD",
        "transitions",
        "per session",
        "bankrupt",
        "last turn",
        "paths",
        "turns of all paths",
    ];
    table.set_header(header);
    let share = |part: u64, whole: u64| format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64);
    let mut row = |budget: String, lines: &[BudgetCounts]| {
        let sum = |of: fn(&BudgetCounts) -> u64| lines.iter().map(of).sum::<u64>();
        let transitions = sum(|line| line.transitions);
        table.add_row([
            budget,
            transitions.to_string(),
            format!("{:.1}", transitions as f64 / sessions.max(1) as f64),
            share(sum(|line| line.bankrupt), transitions),
            share(sum(|line| line.terminal - line.bankrupt), transitions),
            sum(|line| line.terminal).to_string(),
            sum(|line| line.path_turns).to_string(),
        ]);
    };
    for line in budgets {
        let (low, high) = (line.low_nano_usd.0, line.high_nano_usd.0);
        let budget = if low == high { low.to_string() } else { format!("{low} – {high}") };
        row(budget, std::slice::from_ref(line));
    }
    row("all".to_owned(), budgets);
    terminal::align_right(&mut table, 0..header.len());
    table
}
