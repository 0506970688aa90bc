//! `bench`: module size, boot time and added latency, as they stand in the README.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::ProgressBar;
use seqroute_envoy::bench::{Latencies, load, processor_time_us};
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
    let (mut without, mut with) = (Measured::default(), Measured::default());
    for _ in 0..arguments.rounds {
        for (url, measured) in [(&plain, &mut without), (&filtered, &mut with)] {
            let before = processor_time_us(gateway.envoy.pid());
            measured.latencies_us.extend(load(url, arguments.connections, duration, &body).await?);
            let after = processor_time_us(gateway.envoy.pid());
            measured.processor_us += after.unwrap_or(0) - before.unwrap_or(0);
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    gateway.envoy.stop().await;

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
    let (without, with) = (without.summary(), with.summary());
    for (name, [p50, p99, processor, requests]) in
        [("without the filter", without), ("with the filter", with)]
    {
        println!(
            "{name:>19}: p50 {p50} us, p99 {p99} us, Envoy's processors {processor} us, {requests} requests"
        );
    }
    let [p50, p99, processor, _] = std::array::from_fn(|k| with[k] as i64 - without[k] as i64);
    println!("{:>19}: p50 {p50:+} us, p99 {p99:+} us, Envoy's processors {processor:+} us", "added");
    Ok(())
}

/// What was measured of one listener.
#[derive(Default)]
struct Measured {
    latencies_us: Vec<u64>,
    processor_us: u64,
}

impl Measured {
    /// Median and 99 % quantile of the latencies, processor time per request, number of requests.
    fn summary(self) -> [u64; 4] {
        let latencies = Latencies::new(self.latencies_us);
        let requests = latencies.len() as u64;
        let per_request = self.processor_us / requests.max(1);
        [latencies.quantile_us(0.5), latencies.quantile_us(0.99), per_request, requests]
    }
}
