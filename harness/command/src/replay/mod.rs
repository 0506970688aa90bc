//! `seqroute-harness replay`: recorded sessions through the compiled filter, under given budgets.
//!
//! The fastest way to try a policy: no proxy, no model servers. The prompt of a turn is the history of the answers
//! actually chosen, and the answer is the observed one of the chosen model, so the figures are what a gateway would have
//! charged and delivered. Time is virtual: a second passes between two turns.

mod play;
mod report;
mod texts;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use seqroute_core::config::Config;
use seqroute_core::money::NanoUsd;
use seqroute_sessions::session::SessionReader;
use seqroute_sessions::terminal::{self, INTERRUPTED, interrupted};
use serde_json::json;

use crate::target::{ModuleArgument, SettingsArguments, Worker};
use play::Player;
use report::Report;
use texts::Texts;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Session file, JSON lines, plain, `.gz` or `.zst`, with outcomes of every model.
    #[arg(long)]
    data: PathBuf,
    /// Files with the texts of prompts that sessions refer to by `prompt_id`.
    #[arg(long)]
    prompts: Vec<PathBuf>,
    #[command(flatten)]
    module: ModuleArgument,
    #[command(flatten)]
    settings: SettingsArguments,
    /// Budgets of a session in USD, for a row each; by default the configuration's `default_usd`.
    #[arg(long, value_delimiter = ',')]
    budget_usd: Vec<String>,
    /// Overrides the configuration's λ.
    #[arg(long)]
    lambda: Option<f32>,
    /// Replay only this many sessions.
    #[arg(long)]
    first: Option<usize>,
    /// Also print a row per session.
    #[arg(long)]
    per_session: bool,
    /// Write the decision records of all turns, JSON lines; `seqroute ingest` reads them.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub fn run(self) -> Result<ExitCode> {
        let stop = interrupted()?;
        let reports = match &self.out {
            None => self.play(&stop, &mut io::sink())?,
            Some(path) => self.play_into(path, &stop)?,
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&reports)?);
        } else {
            if self.per_session {
                println!("{}\n", report::per_session(&reports));
            }
            println!("{}", report::table(&reports));
        }
        if let Some(Report { turns_with_text, turns_without_text, .. }) = reports.first()
            && *turns_with_text > 0
            && *turns_without_text > 0
        {
            let sent = turns_with_text + turns_without_text;
            eprintln!(
                "warning: {}: {turns_without_text} of {sent} turns have no text to send",
                self.data.display()
            );
        }
        if stop.load(Ordering::Relaxed) {
            eprintln!("interrupted: the figures cover the sessions played so far");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Plays all sessions under all budgets; the file of records is written atomically.
    fn play_into(&self, path: &Path, stop: &AtomicBool) -> Result<Vec<Report>> {
        let mut outcome = None;
        let written = seqroute_sessions::files::write_atomically_with(path, |records| {
            let failed = || io::Error::other("the replay failed");
            outcome.insert(self.play(stop, records)).as_ref().map(drop).map_err(|_| failed())
        });
        match outcome {
            Some(Err(error)) => Err(error),
            Some(Ok(reports)) => written.map(|()| reports).with_context(|| cannot_be_written(path)),
            None => written.map(|()| Vec::new()).with_context(|| cannot_be_written(path)),
        }
    }

    fn play(&self, stop: &AtomicBool, records: &mut dyn Write) -> Result<Vec<Report>> {
        let module = self.module.load()?;
        let prompts = texts::read_prompts(&self.prompts)?;
        let (mut reports, first) = (Vec::new(), self.first.unwrap_or(usize::MAX));
        for budget in self.budgets()? {
            let settings = self.settings.read(|settings| self.change(settings, budget))?;
            let config = Config::from_json(settings.to_string().as_bytes()).map_err(anyhow::Error::msg)?;
            let worker = Worker::start(&module, settings.to_string(), 0)?;
            let mut player = Player::new(&worker, &config, records);
            let mut report = Report::new(&config);
            let mut texts = Texts::open(&self.data, &prompts)?;
            let bar = match self.first {
                Some(sessions) => terminal::bar(sessions as u64, "sessions"),
                None => terminal::counter("sessions"),
            };
            for session in SessionReader::open(&self.data, &config.models)?.take(first) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                report.add(player.play(&session?, &texts.next_session()?)?, self.per_session);
                bar.inc(1);
            }
            bar.finish_and_clear();
            ensure!(
                report.sessions > 0 || stop.load(Ordering::Relaxed),
                "{}: found no session, expected one JSON object per line",
                self.data.display()
            );
            reports.push(report);
        }
        Ok(reports)
    }

    fn budgets(&self) -> Result<Vec<Option<NanoUsd>>> {
        if self.budget_usd.is_empty() {
            return Ok(vec![None]);
        }
        let parse = |text: &String| match NanoUsd::parse_usd(text) {
            Ok(budget) if budget > NanoUsd::ZERO => Ok(Some(budget)),
            Ok(_) | Err(_) => bail!("--budget-usd: found `{text}`, expected an amount such as 0.05"),
        };
        self.budget_usd.iter().map(parse).collect()
    }

    fn change(&self, settings: &mut serde_json::Value, budget: Option<NanoUsd>) {
        if let Some(budget) = budget {
            settings["budget"]["default_usd"] = json!(budget.to_string());
            // `max_usd` limits budgets from headers, which a replay does not send.
            if let Some(fields) = settings["budget"].as_object_mut() {
                fields.remove("max_usd");
            }
        }
        if let Some(lambda) = self.lambda {
            settings["lambda"]["value"] = json!(lambda);
        }
    }
}

fn cannot_be_written(path: &Path) -> String {
    format!("{}: cannot be written", path.display())
}
