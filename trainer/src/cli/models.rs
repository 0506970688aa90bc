//! `seqroute models`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use seqroute_sessions::guard::{self, GuardSettings};
use seqroute_sessions::{models, session, terminal};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Session file, JSON lines, plain, `.gz` or `.zst`.
    #[arg(long)]
    data: PathBuf,
    /// Models file, a JSON array of models as in the plugin configuration.
    #[arg(long)]
    models: PathBuf,
    /// Share of the sessions whose remaining turns the guard pays for.
    #[arg(long, default_value_t = 0.9, value_parser = quantile)]
    guard_quantile: f64,
    /// Print the models file with measured `expected_output_tokens` and `upper_output_tokens`.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let mut configured = models::read(&self.models)?;
        let data = session::read(&self.data, &configured)?;
        super::warn(&self.data, &data.sessions);
        let measured = models::measure(&data.sessions, &configured);
        if self.json {
            for (model, measured) in configured.iter_mut().zip(&measured) {
                let name = &model.name;
                ensure!(measured.answers > 0, "{}: found no answer of `{name}`", self.data.display());
                model.expected_output_tokens = measured.expected_output_tokens;
                model.upper_output_tokens = measured.upper_output_tokens;
            }
            println!("{}", serde_json::to_string_pretty(&configured)?);
            return Ok(());
        }
        let mut table = terminal::table();
        table.set_header([
            "model",
            "answers",
            "mean quality",
            "expected_output_tokens",
            "upper_output_tokens",
        ]);
        for line in measured {
            table.add_row([
                line.name,
                line.answers.to_string(),
                format!("{:.4}", line.mean_quality),
                line.expected_output_tokens.to_string(),
                line.upper_output_tokens.to_string(),
            ]);
        }
        println!("{table}\n");
        let guard = guard::measure(&data.sessions, &GuardSettings { quantile: self.guard_quantile });
        println!("\"guard\": {}", serde_json::to_string(&guard)?);
        Ok(())
    }
}

fn quantile(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("found `{text}`, expected a number"))?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(format!("found `{text}`, expected 0 to 1")) }
}
