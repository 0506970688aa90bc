//! `attack`: hostile clients and hostile model servers against the filter in a real Envoy, judged by the model servers'
//! own bill. Fails when a bar is missed.
//!
//! ```sh
//! make attack                                      # 100,000 turns of all kinds
//! make attack ATTACK="--seconds 120"
//! make attack ATTACK=--each-variant
//! make attack ATTACK="--kinds references,no_id --turns 2000 --seed 7"
//! make attack ATTACK=--list
//! ```

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use seqroute_tests::attack::kinds::{self, Kind};
use seqroute_tests::attack::{Mix, Options, run};

/// Attack the filter in a real Envoy.
#[derive(Parser)]
struct Arguments {
    /// Hostile turns.
    #[arg(long, default_value_t = 100_000)]
    turns: u64,
    /// Play every variant of every kind once, instead of a random mix.
    #[arg(long)]
    each_variant: bool,
    /// End the attack after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Campaigns at once.
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
    /// Seed of the mix of kinds.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The kinds to play, with commas between; all without it.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// List the kinds and end.
    #[arg(long)]
    list: bool,
    /// Workers of Envoy.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Seconds of each of the two phases without attackers.
    #[arg(long, default_value_t = 4)]
    calm_seconds: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.list {
        for kind in kinds::all() {
            println!("{:20} {:4} {}", kind.name, kind.case, kind.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options {
        turns: arguments.turns,
        seconds: arguments.seconds,
        mix: if arguments.each_variant { Mix::EachVariant } else { Mix::Drawn },
        concurrency: arguments.concurrency.max(1),
        seed: arguments.seed,
        kinds: chosen(&arguments.kinds)?,
        workers: arguments.workers,
        calm_seconds: arguments.calm_seconds,
    };
    let report = run(&options, interrupted()).await?;
    println!("{report}");
    Ok(if report.missed().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_ok() {
        eprintln!("interrupted; the figures so far follow");
    } else {
        std::future::pending().await
    }
}

fn chosen(names: &[String]) -> Result<Vec<Kind>> {
    let all = kinds::all();
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let found = all.iter().find(|kind| kind.name == *name).copied();
        found.with_context(|| format!("found kind `{name}`, expected one of `attack --list`"))
    };
    names.iter().map(find).collect()
}
