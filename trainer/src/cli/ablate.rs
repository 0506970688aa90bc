//! `seqroute ablate`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use seqroute::evaluation;
use seqroute::experiments::ablation;
use seqroute::training::TrainConfig;
use seqroute_sessions::terminal;

use super::evaluate;
use super::train::{self, Inputs, Run};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Session file to learn from.
    #[arg(long)]
    data: PathBuf,
    /// Session file to choose checkpoints by and to tune baselines on.
    #[arg(long)]
    valid: PathBuf,
    /// Session file to compare on.
    #[arg(long)]
    test: PathBuf,
    /// Models file.
    #[arg(long)]
    models: PathBuf,
    /// Texts of the prompts of all three. Can be repeated.
    #[arg(long)]
    prompts: Vec<PathBuf>,
    /// Settings that the variants change, TOML.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Gradient steps of every variant, instead of the settings' own.
    #[arg(long)]
    steps: Option<usize>,
    /// Folder for the policies. One that is there with the same settings is not trained again; an interrupted training is
    /// resumed.
    #[arg(long)]
    out: PathBuf,
    /// Also write an HTML page with plots.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Also write the whole report as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let mut base = match &self.config {
            Some(path) => train::read_config(path)?,
            None => TrainConfig::default(),
        };
        if let Some(steps) = self.steps {
            base.fit.steps = steps;
            base.fit.checkpoints = base.fit.checkpoints.min(steps);
            base.check()?;
        }
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("{}: cannot be created", self.out.display()))?;
        let models = seqroute_sessions::models::read(&self.models)?;
        let inputs = Inputs::of_files(&self.data, Some(&self.valid), models, &self.prompts)?;
        let reference = evaluation::reference_nano_usd(&inputs.models, &inputs.train.sessions)?;
        let variants = ablation::variants(&base, reference);
        let stop = terminal::interrupted()?;
        let mut archives = Vec::new();
        for (number, ablation::Variant { name, config }) in variants.iter().enumerate() {
            let file: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            let out = self.out.join(format!("{number:02}-{file}.nnef.tar"));
            eprintln!("{} of {}: {name}", number + 1, variants.len());
            let trained = std::fs::read_to_string(super::with_suffix(&out, ".config.toml")).ok();
            if !out.exists() || trained.as_ref() != Some(&toml::to_string(config)?) {
                let resume = train::checkpoint_of(&out).exists();
                let started = Instant::now();
                let run = Run { name: "ablation", out: &out, resume, stop: &stop, started };
                train::train(&inputs, config, &run)?;
            }
            archives.push(((*name).to_owned(), out));
        }
        let files = evaluate::Files {
            models: self.models,
            data: self.test,
            train: Some(self.data),
            tune: Some(self.valid),
            prompts: self.prompts,
        };
        evaluate::Arguments::of_ablations(files, archives, self.html, self.json).run()
    }
}
