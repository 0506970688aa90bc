//! `demo`: plays the same sessions through Envoy with several policies and prints quality and cost.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use seqroute_core::config::Strategy;
use seqroute_core::money::NanoUsd;
use seqroute_envoy::demo::play;
use seqroute_envoy::demo::report::{self, Row};
use seqroute_envoy::gateway::{Gateway, Listener};
use seqroute_sessions::environment::{self, run};
use seqroute_sessions::session::Session;
use seqroute_sessions::simulator::{Simulator, tiers};
use serde_json::{Value, json};

/// Seed of the demo's sessions; training used other seeds.
const SEED: u64 = 20_260;
/// Budgets, as shares of the mean cost of a session that the largest model serves.
const SHARES: [f64; 4] = [0.1, 0.25, 0.5, 0.8];
/// Workers of Envoy.
const WORKERS: u32 = 2;

/// Play sessions through a real Envoy with the filter and compare policies.
#[derive(Parser)]
struct Arguments {
    /// Sessions per policy and budget.
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    /// Policy archive.
    #[arg(long, default_value = "envoy/policy/default.nnef.tar")]
    policy: PathBuf,
    /// The filter's module (`make wasm`).
    #[arg(long, default_value = "target/wasm32-wasip1/wasm/seqroute_filter.wasm")]
    wasm: PathBuf,
    /// Folder for the plot.
    #[arg(long, default_value = "target/demo")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Dropping the future stops Envoy and the model servers.
    let result = tokio::select! {
        result = demo(&arguments) => result,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("interrupted");
            return ExitCode::from(130);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(arguments: &Arguments) -> Result<()> {
    let policy =
        std::fs::read(&arguments.policy).with_context(|| format!("{}", arguments.policy.display()))?;
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("{}", arguments.out.display()))?;

    let sessions = Simulator::new(SEED).sessions(arguments.sessions);
    let mean_cost = mean_cost_of_largest(&sessions)?;
    let strategies: [(&str, Value); 4] = [
        ("SeqRoute", json!("policy")),
        ("myopic", json!("best_affordable")),
        ("always-large", json!({"always": "large"})),
        ("always-small", json!({"always": "small"})),
    ];
    let listeners = strategies.iter().map(|(name, strategy)| Listener::shipped(name, strategy, &policy));
    eprintln!("starting Envoy, which takes some seconds to compile the filter …");
    let gateway = Gateway::start(&arguments.wasm, WORKERS, &listeners.collect::<Result<Vec<_>>>()?).await?;

    let plays = (SHARES.len() * strategies.len() * sessions.len()) as u64;
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} sessions, {elapsed}, {eta} left")?;
    let progress = ProgressBar::new(plays).with_style(style);
    let mut rows = Vec::new();
    for share in SHARES {
        let budget = NanoUsd((mean_cost * share) as u64);
        for (name, _) in &strategies {
            let played = play::play_all(&gateway, name, &sessions, budget, &progress).await?;
            let charged = play::charged(&gateway, name, &played).await?;
            rows.push(Row::new(name, budget, share, &played, &charged));
        }
    }
    progress.finish_and_clear();
    gateway.envoy.stop().await;

    let plot = arguments.out.join("quality.svg");
    report::plot(&rows, &plot)?;
    println!("{}", report::table(&rows));
    println!(
        "{} sessions per line, all through one Envoy with {WORKERS} workers; plot: {}",
        sessions.len(),
        plot.display()
    );
    Ok(())
}

/// Mean cost, in nano-USD, of a session that the largest model serves without a limit.
fn mean_cost_of_largest(sessions: &[Session]) -> Result<f64> {
    let engine = environment::engine(&tiers(), Strategy::Always("large".to_owned()), None)?;
    let mut sum = 0.0;
    for session in sessions {
        sum += run(&engine, session, NanoUsd(u64::MAX), 0.0, |_, decision| decision.chosen)?.cost.0 as f64;
    }
    Ok(sum / sessions.len().max(1) as f64)
}
