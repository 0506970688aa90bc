//! `sdk`: the official client libraries through the filter in a real Envoy, against strict model servers. Fails when a case is
//! wrong.
//!
//! ```sh
//! make sdk
//! make sdk SDK="--only openai_cases.py"
//! make sdk SDK=--table
//! ```

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use seqroute_tests::sdk::{missing, run};

/// The document that has the table.
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../envoy/README.md");

/// Play the official client libraries through Envoy.
#[derive(Parser)]
struct Arguments {
    /// Only the scripts of tests/sdk whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Write the table into envoy/README.md.
    #[arg(long)]
    table: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(missing) = missing() {
        bail!("{missing}");
    }
    let table = run(&arguments.only).await?;
    println!("{table}");
    let wrong = table.wrong();
    for fault in &wrong {
        println!("{fault}");
    }
    if arguments.table {
        table.write_into(Path::new(README))?;
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
