//! `seqroute evaluate`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use seqroute::evaluation::methods::{MethodKind, PolicyMethod};
use seqroute::evaluation::report::{csv, html, table};
use seqroute::evaluation::{self, EvaluationSpec};
use seqroute_core::config::{GuardConfig, LambdaRule, ModelConfig};
use seqroute_core::policy::Policy;
use seqroute_sessions::session::{self, Session};

/// Default budgets, in percent of the mean cost of a session that the most expensive model answers alone.
const DEFAULT_BUDGETS: [f64; 12] = [5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 65.0, 80.0, 100.0, 120.0];

#[derive(Debug, Args)]
pub struct Arguments {
    /// Policy as `NAME=ARCHIVE`, with several seeds as `NAME=ARCHIVE,ARCHIVE`, or with its own λ as `NAME@λ=ARCHIVE`. Can be
    /// repeated; all others are compared with the first. Without any, baselines and bounds are compared.
    #[arg(long = "policy", value_parser = named)]
    policies: Vec<Named>,
    /// A variant of the first policy with one thing changed, as `NAME=ARCHIVE`, shown in a separate section. Can be
    /// repeated.
    #[arg(long = "ablation", value_parser = named)]
    ablations: Vec<Named>,
    #[command(flatten)]
    files: Files,
    /// Budgets, in percent of the mean cost of a session that the most expensive model answers alone.
    #[arg(
        long, value_delimiter = ',', value_parser = percent,
        default_values_t = DEFAULT_BUDGETS
    )]
    budgets: Vec<f64>,
    /// Budgets in nano-USD instead.
    #[arg(long, value_delimiter = ',', conflicts_with = "budgets")]
    budgets_nano_usd: Vec<u64>,
    /// Budgets, in percent, at which the first policy is also played under many λ. Absent: all of `--budgets`.
    #[arg(long, value_delimiter = ',', value_parser = percent)]
    sweep_budgets: Vec<f64>,
    /// λ of the policies: quality worth one whole session budget.
    #[arg(long, default_value_t = 0.0, value_parser = lambda)]
    lambda: f32,
    /// What λ is multiplied by.
    #[arg(long, value_enum, default_value_t = Rule::SpendToGo)]
    rule: Rule,
    /// Seed of the bootstrap and of random methods.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play every policy without the guard that it was trained with. Otherwise, if the first one has a guard, it is also
    /// played without it, as `NAME, no guard`.
    #[arg(long)]
    no_guard: bool,
    /// Bootstrap resamples.
    #[arg(long, default_value_t = 1000)]
    resamples: usize,
    /// Also write the measurements as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Also write the whole report as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also write a self-contained HTML page with plots.
    #[arg(long)]
    html: Option<PathBuf>,
}

/// Session files of an evaluation.
#[derive(Debug, Args)]
pub struct Files {
    /// Models file, a JSON array of models as in the plugin configuration.
    #[arg(long)]
    pub models: PathBuf,
    /// Session file with outcomes of every model; the policies must not have seen it.
    #[arg(long)]
    pub data: PathBuf,
    /// Session file from which bounds and baselines estimate the population; without it the dynamic program, the
    /// adaptive linear program, the fair share and the reserve guard are left out.
    #[arg(long)]
    pub train: Option<PathBuf>,
    /// Session file to tune baselines on; without it those with a setting are left out.
    #[arg(long)]
    pub tune: Option<PathBuf>,
    /// Texts of the prompts of `--data`, `--train` and `--tune` (JSON lines with `prompt_id` and `prompt`, plain, `.gz` or
    /// `.zst`). Can be repeated.
    #[arg(long)]
    pub prompts: Vec<PathBuf>,
}

/// What λ is multiplied by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rule {
    /// The whole spend to go that the policy expects.
    SpendToGo,
    /// The expected cost of this turn, as in the paper.
    NextCost,
}

/// A policy on the command line.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    /// λ of this policy, if given.
    lambda: Option<f32>,
    archives: Vec<PathBuf>,
}

impl Arguments {
    /// The first archive is the policy to compare with, the others are variants of it.
    pub fn of_ablations(
        files: Files,
        archives: Vec<(String, PathBuf)>,
        html: Option<PathBuf>,
        json: Option<PathBuf>,
    ) -> Self {
        let named = |(name, archive)| Named { name, lambda: None, archives: vec![archive] };
        let mut ablations: Vec<Named> = archives.into_iter().map(named).collect();
        let policies = ablations.drain(..1.min(ablations.len())).collect();
        Arguments {
            policies,
            ablations,
            files,
            budgets: DEFAULT_BUDGETS.to_vec(),
            budgets_nano_usd: Vec::new(),
            sweep_budgets: vec![30.0],
            lambda: 0.0,
            rule: Rule::SpendToGo,
            seed: 1,
            no_guard: false,
            resamples: 1000,
            csv: None,
            json,
            html,
        }
    }

    pub fn run(self) -> Result<()> {
        let models = seqroute_sessions::models::read(&self.files.models)?;
        let policies = self.policies(&models)?;
        let prompts = seqroute_sessions::prompts::read_all(&self.files.prompts)?;
        let complete = |path: &Path| -> Result<Vec<Session>> {
            let mut sessions = session::read(path, &models)?.sessions;
            super::attach(&prompts, path, &mut sessions);
            require_all_outcomes(path, &sessions, &models)?;
            super::warn(path, &sessions);
            Ok(sessions)
        };
        let sessions = complete(&self.files.data)?;
        let mut train = self.files.train.as_deref().map(|path| session::read(path, &models)).transpose()?;
        if let (Some(path), Some(train)) = (&self.files.train, &mut train) {
            super::attach(&prompts, path, &mut train.sessions);
        }
        let tune = self.files.tune.as_deref().map(complete).transpose()?.unwrap_or_default();
        let shares: Vec<f64> = if self.budgets_nano_usd.is_empty() {
            self.budgets.iter().map(|percent| percent / 100.0).collect()
        } else {
            let reference = evaluation::reference_nano_usd(&models, &sessions)?;
            self.budgets_nano_usd.iter().map(|budget| *budget as f64 / reference).collect()
        };
        let mut sweep_shares: Vec<f64> = self.sweep_budgets.iter().map(|percent| percent / 100.0).collect();
        if sweep_shares.is_empty() {
            sweep_shares.clone_from(&shares);
        }
        let spec = EvaluationSpec {
            sessions: &sessions,
            train: train.as_ref().map_or(&[], |train| &train.sessions),
            tune: &tune,
            models: &models,
            policies: &policies,
            budget_shares: &shares,
            sweep_shares: &sweep_shares,
            seed: self.seed,
            resamples: self.resamples,
        };
        let bar = seqroute_sessions::terminal::bar(0, "evaluating");
        let report = evaluation::evaluate(&spec, |played, to_play| {
            bar.set_length(to_play as u64);
            bar.set_position(played as u64);
        })?;
        bar.finish_and_clear();
        print!("{}", table::text(&report));
        if let Some(path) = &self.csv {
            super::write(path, &csv::csv(&report)?)?;
        }
        if let Some(path) = &self.json {
            super::write(path, &serde_json::to_vec_pretty(&report)?)?;
        }
        if let Some(path) = &self.html {
            super::write(path, html::page(&report, &self.files.data.display().to_string())?.as_bytes())?;
        }
        Ok(())
    }

    /// Reads the archives and checks that each can serve these models.
    fn policies(&self, models: &[ModelConfig]) -> Result<Vec<PolicyMethod>> {
        let rule = match self.rule {
            Rule::SpendToGo => LambdaRule::SpendToGo,
            Rule::NextCost => LambdaRule::NextCost,
        };
        let mut policies: Vec<PolicyMethod> = Vec::new();
        let ablations = self.ablations.iter().map(|named| (named, MethodKind::Ablation));
        for (Named { name, lambda, archives }, kind) in
            self.policies.iter().map(|named| (named, MethodKind::Learned)).chain(ablations)
        {
            if policies.iter().any(|policy| policy.name == *name) {
                bail!("--policy, --ablation: found the name `{name}` twice, expected different names");
            }
            let read = |path: &PathBuf| -> Result<Vec<u8>> {
                let (bytes, policy): (Vec<u8>, Policy) = super::open_policy(path)?;
                policy.check_models(models).with_context(|| path.display().to_string())?;
                Ok(bytes)
            };
            policies.push(PolicyMethod {
                name: name.clone(),
                kind: if policies.is_empty() { MethodKind::Ours } else { kind },
                models: models.to_vec(),
                archives: archives.iter().map(read).collect::<Result<_>>()?,
                lambda: lambda.unwrap_or(self.lambda),
                guarded: !self.no_guard,
                rule,
            });
        }
        if let Some(first) = policies.first().filter(|_| !self.no_guard) {
            let policy = Policy::open(&first.archives[0])?;
            if seqroute_sessions::guard::of(&policy)? != GuardConfig::default() {
                let name = format!("{}, no guard", first.name);
                policies.insert(
                    1,
                    PolicyMethod { name, kind: MethodKind::Ablation, guarded: false, ..first.clone() },
                );
            }
        }
        Ok(policies)
    }
}

/// `NAME=FILE,FILE`, or a file alone.
fn named(text: &str) -> Result<Named, String> {
    let (name, files) = text.split_once('=').unwrap_or(("seqroute", text));
    let archives: Vec<PathBuf> = files.split(',').map(PathBuf::from).collect();
    if name.is_empty() || archives.iter().any(|path| path.as_os_str().is_empty()) {
        return Err(format!("found `{text}`, expected NAME=ARCHIVE or NAME=ARCHIVE,ARCHIVE"));
    }
    let own =
        name.rsplit_once('@').map(|(_, text)| lambda(text).map_err(|error| format!("`{name}`: λ: {error}")));
    Ok(Named { name: name.to_owned(), lambda: own.transpose()?, archives })
}

/// Refuses data in which a policy could choose a model without an observed answer.
pub fn require_all_outcomes(path: &Path, sessions: &[Session], models: &[ModelConfig]) -> Result<()> {
    if let Some((session, turn, model)) = session::first_gap(sessions, models) {
        bail!(
            "{}: session `{session}`, field `turns[{turn}].options`: found no outcome of `{model}`, expected one of \
             every model: logs with one answer per turn are enough for training, but not for an evaluation",
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
