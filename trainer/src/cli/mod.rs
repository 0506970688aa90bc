//! Arguments and output of the commands; the work itself is in the library.
//!
//! Results go to stdout, progress to stderr (and only to a terminal), an error is one line on stderr and status 1.

mod ablate;
mod crossvalidate;
mod deploy;
mod evaluate;
mod ingest;
mod inspect;
mod models;
mod simulate;
mod train;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use seqroute_core::policy::Policy;
use seqroute_sessions::prompts::Prompts;
use seqroute_sessions::session::Session;

/// Train, evaluate and deploy SeqRoute policies.
#[derive(Debug, Parser)]
#[command(name = "seqroute", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Turn the gateway's decision records and feedback into sessions.
    Ingest(ingest::Arguments),
    /// Write sessions of the built-in simulator.
    Simulate(simulate::Arguments),
    /// Measure quality and output lengths of the models in a session file.
    Models(models::Arguments),
    /// Train a policy and write its archive.
    Train(train::Arguments),
    /// Compare a policy with the baselines under several budgets.
    Evaluate(evaluate::Arguments),
    /// Compare settings by cross-validation over the prompts of one session file.
    Crossvalidate(crossvalidate::Arguments),
    /// Train variants of the settings with one thing changed each, and compare them.
    Ablate(ablate::Arguments),
    /// Show the contents of a policy archive.
    Inspect(inspect::Arguments),
    /// Put configuration and policy into the ECDS file that Envoy watches.
    Deploy(deploy::Arguments),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Ingest(arguments) => arguments.run(),
            Command::Simulate(arguments) => arguments.run(),
            Command::Models(arguments) => arguments.run(),
            Command::Train(arguments) => arguments.run(),
            Command::Evaluate(arguments) => arguments.run(),
            Command::Crossvalidate(arguments) => arguments.run(),
            Command::Ablate(arguments) => arguments.run(),
            Command::Inspect(arguments) => arguments.run(),
            Command::Deploy(arguments) => arguments.run(),
        }
    }
}

/// Adds the texts of their prompts to turns, and warns of turns without one if there are any prompt files.
fn attach(prompts: &Prompts, path: &Path, sessions: &mut [Session]) {
    let without = seqroute_sessions::prompts::attach(prompts, sessions);
    if without > 0 && !prompts.is_empty() {
        eprintln!(
            "warning: {}: {without} turns have no text: no --prompts file has their `prompt_id`",
            path.display()
        );
    }
}

/// Warns of a problem of sessions as a whole.
fn warn(path: &Path, sessions: &[Session]) {
    if let Some(warning) = seqroute_sessions::session::warning(sessions) {
        eprintln!("warning: {}: {warning}", path.display());
    }
}

/// Writes an output file atomically.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    seqroute_sessions::files::write_atomically(path, bytes)
        .with_context(|| format!("{}: cannot be written", path.display()))
}

/// A path with a suffix appended to its file name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a policy archive; also returns its bytes.
fn open_policy(path: &Path) -> Result<(Vec<u8>, Policy)> {
    let bytes = seqroute_sessions::files::read_file(path)?;
    let policy = Policy::open(&bytes).with_context(|| path.display().to_string())?;
    Ok((bytes, policy))
}
