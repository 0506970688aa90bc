//! `fuzz-module`: random requests and answers through the compiled filter, none of which may crash its VM.
//!
//! A panic in the filter ends every stream of its worker, so it must be unreachable, whatever clients and upstreams
//! send. The fuzz targets in `filter/fuzz` test the parsers one by one; this tests the module as it ships, in every
//! mode. The same seed gives the same run.
//!
//! ```sh
//! make fuzz-module                            # a million requests
//! target/release/fuzz-module --requests 1000 --seed 7
//! ```

use anyhow::{Context, Result, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use seqroute_tests::fuzz_module::run::Run;

/// Send random requests and answers through the compiled filter.
#[derive(Parser)]
struct Arguments {
    /// How many requests.
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Seed of the run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut run = Run::new(arguments.seed)?;
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} requests, {per_sec}, {eta} left")?;
    let progress = ProgressBar::new(arguments.requests).with_style(style);
    for number in 0..arguments.requests {
        run.request().with_context(|| format!("request {number} of seed {}", arguments.seed))?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    let summary = run.end()?;
    println!("{} requests with the seed {}, and the VM did not crash:", arguments.requests, arguments.seed);
    println!("{summary}");
    ensure!(summary.routed > 0 && summary.refused > 0, "expected both answers and refusals");
    Ok(())
}
