//! `bench`: module size, boot time and added latency, as they stand in the README.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::ProgressBar;
use seqroute_envoy::bench::{Latencies, load};
use seqroute_envoy::demo::gateway::{Gateway, PLAIN};
use serde_json::json;

/// Measure what the filter costs in a real Envoy.
#[derive(Parser)]
struct Arguments {
    /// Connections of the load, each with one request at a time.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Rounds; each loads both listeners.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// Seconds per listener and round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Size of the request body in bytes.
    #[arg(long, default_value_t = 1024)]
    body_bytes: usize,
    /// The policy archive.
    #[arg(long, default_value = "envoy/policy/default.nnef.tar")]
    policy: PathBuf,
    /// The filter's module.
    #[arg(long, default_value = "target/wasm32-wasip1/wasm/seqroute_filter.wasm")]
    wasm: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wasm = arguments.wasm.canonicalize().context("no module: run `make wasm` first")?;
    let policy =
        std::fs::read(&arguments.policy).with_context(|| format!("{}", arguments.policy.display()))?;
    let bytes = std::fs::metadata(&wasm)?.len();

    let boot =
        async |strategies: &[(&str, serde_json::Value)]| -> Result<(Gateway, tempfile::TempDir, Duration)> {
            let run_dir = tempfile::tempdir()?;
            let start = Instant::now();
            let gateway = Gateway::start(run_dir.path(), &wasm, &policy, strategies, 2).await?;
            Ok((gateway, run_dir, start.elapsed()))
        };
    let (without, _dir, boot_without) = boot(&[]).await?;
    without.envoy.stop().await;
    let (gateway, _dir, boot_with) = boot(&[("seqroute", json!("policy"))]).await?;

    let frame =
        |content: &str| format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{content}"}}]}}"#);
    let body = frame(&"x".repeat(arguments.body_bytes.saturating_sub(frame("").len())));
    let (plain, filtered) = (gateway.envoy.url(PLAIN)?, gateway.envoy.url("seqroute")?);
    let duration = Duration::from_secs_f64(arguments.seconds);
    load(&plain, arguments.connections, duration / 4, &body).await?;
    load(&filtered, arguments.connections, duration / 4, &body).await?;
    let progress = ProgressBar::new(u64::from(arguments.rounds));
    let (mut without_us, mut with_us) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        without_us.extend(load(&plain, arguments.connections, duration, &body).await?);
        with_us.extend(load(&filtered, arguments.connections, duration, &body).await?);
        progress.inc(1);
    }
    progress.finish_and_clear();
    gateway.envoy.stop().await;

    let (without, with) = (Latencies::new(without_us), Latencies::new(with_us));
    println!("module: {:.2} MB", bytes as f64 / 1e6);
    println!(
        "boot until ready: {:.2} s with the filter, {:.2} s without",
        boot_with.as_secs_f64(),
        boot_without.as_secs_f64()
    );
    println!(
        "{} connections, body of {} bytes, {} rounds in turn",
        arguments.connections, arguments.body_bytes, arguments.rounds
    );
    for (name, latencies) in [("without the filter", &without), ("with the filter", &with)] {
        let (p50, p99) = (latencies.quantile_us(0.5), latencies.quantile_us(0.99));
        println!("{name:>19}: p50 {p50} us, p99 {p99} us, {} requests", latencies.len());
    }
    let added = |share| with.quantile_us(share) as i64 - without.quantile_us(share) as i64;
    println!("{:>19}: p50 {:+} us, p99 {:+} us", "added", added(0.5), added(0.99));
    Ok(())
}
