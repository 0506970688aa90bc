//! `bench`: module size, boot time and added latency.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use seqroute_envoy::bench::{latencies, load, processor_time_us};
use seqroute_envoy::chat;
use seqroute_envoy::gateway::{Gateway, Listener, PLAIN};
use serde_json::json;

/// Workers of Envoy.
const WORKERS: u32 = 2;
/// The listener with the filter.
const FILTERED: &str = "seqroute";

/// Measure what the filter costs in a real Envoy.
#[derive(Parser)]
struct Arguments {
    /// Connections; each carries one request at a time.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Rounds, each of which loads both listeners.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// Seconds per listener and round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Size of the request body in bytes.
    #[arg(long, default_value_t = 1024)]
    body_bytes: usize,
    /// Policy archive.
    #[arg(long, default_value = "envoy/policy/default.nnef.tar")]
    policy: PathBuf,
    /// The filter's module (`make wasm`).
    #[arg(long, default_value = "target/wasm32-wasip1/wasm/seqroute_filter.wasm")]
    wasm: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let policy =
        std::fs::read(&arguments.policy).with_context(|| format!("{}", arguments.policy.display()))?;
    let filtered = Listener::shipped(FILTERED, &json!("policy"), &policy)?;

    let boot = async |listeners: &[Listener]| -> Result<(Gateway, Duration)> {
        let start = Instant::now();
        let gateway = Gateway::start(&arguments.wasm, WORKERS, listeners).await?;
        Ok((gateway, start.elapsed()))
    };
    let (plain_gateway, boot_without) = boot(&[]).await?;
    plain_gateway.envoy.stop().await;
    let (gateway, boot_with) = boot(&[filtered]).await?;

    let body = chat::body(arguments.body_bytes, "");
    let (plain, filtered) = (gateway.url(PLAIN), gateway.url(FILTERED));
    let duration = Duration::from_secs_f64(arguments.seconds);
    for warm_up in [&plain, &filtered] {
        load(warm_up, arguments.connections, duration / 4, &body).await?;
    }
    let progress = ProgressBar::new(u64::from(arguments.rounds));
    let (mut without, mut with) = (Measured::new()?, Measured::new()?);
    for _ in 0..arguments.rounds {
        for (url, measured) in [(&plain, &mut without), (&filtered, &mut with)] {
            let before = processor_time_us(gateway.envoy.pid());
            measured.latencies.add(load(url, arguments.connections, duration, &body).await?)?;
            let after = processor_time_us(gateway.envoy.pid());
            measured.processor_us += after.unwrap_or(0) - before.unwrap_or(0);
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    gateway.envoy.stop().await;

    println!("module: {:.2} MB", std::fs::metadata(&arguments.wasm)?.len() as f64 / 1e6);
    println!(
        "boot until ready: {:.2} s with the filter, {:.2} s without",
        boot_with.as_secs_f64(),
        boot_without.as_secs_f64()
    );
    println!(
        "{} connections, body of {} bytes, {} rounds per listener",
        arguments.connections, arguments.body_bytes, arguments.rounds
    );
    let (without, with) = (without.summary(), with.summary());
    for (name, [p50, p99, processor, requests]) in
        [("without the filter", without), ("with the filter", with)]
    {
        println!(
            "{name:>19}: p50 {p50} us, p99 {p99} us, CPU time of Envoy {processor} us, {requests} requests"
        );
    }
    let [p50, p99, processor, _] = std::array::from_fn(|k| with[k] as i64 - without[k] as i64);
    println!("{:>19}: p50 {p50:+} us, p99 {p99:+} us, CPU time of Envoy {processor:+} us", "added");
    Ok(())
}

/// What was measured on one listener.
struct Measured {
    latencies: Histogram<u64>,
    processor_us: u64,
}

impl Measured {
    fn new() -> Result<Measured> {
        Ok(Measured { latencies: latencies()?, processor_us: 0 })
    }

    /// Median and 99 % quantile of the latencies, CPU time per request (all in microseconds), number of requests.
    fn summary(&self) -> [u64; 4] {
        let requests = self.latencies.len();
        let quantile = |share| self.latencies.value_at_quantile(share);
        [quantile(0.5), quantile(0.99), self.processor_us / requests.max(1), requests]
    }
}
