//! `seqroute inspect`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use seqroute_core::policy::archive::{Archive, DAT_HEADER_BYTES, GRAPH};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Policy archive.
    policy: PathBuf,
    /// Print only the manifest, as JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let (bytes, policy) = super::open_policy(&self.policy)?;
        let manifest = policy.manifest();
        if self.json {
            println!("{}", serde_json::to_string_pretty(manifest)?);
            return Ok(());
        }
        let archive = Archive::read(&bytes)?;
        let numbers: usize = archive.tensors().map(|(_, bytes)| (bytes.len() - DAT_HEADER_BYTES) / 4).sum();
        let operations: Vec<String> = String::from_utf8_lossy(archive.file(GRAPH)?)
            .lines()
            .filter_map(|line| line.split_once(" = ")?.1.split_once('(').map(|(name, _)| name.to_owned()))
            .filter(|name| name != "external<scalar>" && name != "variable<scalar>")
            .collect();
        println!("policy     {}", policy.id());
        println!(
            "archive    {} bytes, {} tensors, {numbers} numbers",
            bytes.len(),
            archive.tensors().count()
        );
        println!("sha256     {} (files without the manifest)", manifest.sha256);
        println!("schema     {}", manifest.schema_version);
        println!("learner    {}", manifest.learner);
        println!("data       sha256 {}", manifest.data_sha256);
        let [low, high] = manifest.budget_range_nano_usd;
        println!("budgets    {low} to {high} USD");
        println!("features   {}: {}", manifest.features.len(), manifest.features.join(" "));
        for (k, model) in manifest.models.iter().enumerate() {
            println!(
                "model {k}    {}: {} / {} USD per million tokens in / out, {} output tokens expected, rarely over {}",
                model.name,
                model.prices.input_pico_usd_per_token as f64 / 1e6,
                model.prices.output_pico_usd_per_token as f64 / 1e6,
                model.expected_output_tokens,
                model.upper_output_tokens,
            );
        }
        println!("graph      {}", operations.join(" → "));
        for (path, bytes) in archive.tensors() {
            println!("tensor     {path}: {} numbers", (bytes.len() - DAT_HEADER_BYTES) / 4);
        }
        Ok(())
    }
}
