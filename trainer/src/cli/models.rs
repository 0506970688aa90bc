//! `seqroute models`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use comfy_table::Table;
use seqroute::{models, session};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Session file, JSON lines, plain or `.gz`.
    #[arg(long)]
    data: PathBuf,
    /// Models file, a JSON array of models as in the plugin configuration.
    #[arg(long)]
    models: PathBuf,
    /// Print the models file with the measured `expected_output_tokens` and `upper_output_tokens` filled in.
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
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
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
        println!("{table}");
        Ok(())
    }
}
