//! `load`: a hundred thousand turns with faults, through the filter and beside it through a post-hoc checker. Fails
//! when any session is charged beyond its budget, or money is still held one lease after the last turn.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use comfy_table::Table;
use indicatif::ProgressBar;
use seqroute_core::config::ModelConfig;
use seqroute_core::money::NanoUsd;
use seqroute_envoy::demo::gateway::{Gateway, PLAIN, SALT, SHIPPED_PLUGIN};
use seqroute_envoy::launcher::Envoy;
use seqroute_envoy::load::{Keeper, Plan, Tally, charged_by_records, play};
use serde_json::{Value, json};

const LISTENER: &str = "seqroute";

/// Try to overspend session budgets in a real Envoy.
#[derive(Parser)]
struct Arguments {
    /// Sessions.
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Turns of each session.
    #[arg(long, default_value_t = 100)]
    turns: usize,
    /// Turns in flight over all sessions.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Turns of one session in flight at once.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Workers of Envoy.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Budget of each session, decimal USD.
    #[arg(long, default_value = "0.05")]
    budget_usd: String,
    /// Lease of a reservation in ms.
    #[arg(long, default_value_t = 10_000)]
    lease_ms: u64,
    /// What an answer without usage is charged: `estimate` or `reservation`.
    #[arg(long, default_value = "estimate")]
    missing_usage: String,
    /// The filter's module.
    #[arg(long, default_value = "target/wasm32-wasip1/wasm/seqroute_filter.wasm")]
    wasm: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wasm = arguments.wasm.canonicalize().context("no module: run `make wasm` first")?;
    let budget = NanoUsd::parse_usd(&arguments.budget_usd)?;
    let plan = Plan {
        sessions: arguments.sessions,
        turns: arguments.turns,
        in_flight: arguments.in_flight,
        at_once: arguments.at_once,
        budget,
    };
    let shipped: Value = serde_json::from_str(SHIPPED_PLUGIN)?;
    let models: Vec<ModelConfig> = serde_json::from_value(shipped["models"].clone())?;
    let largest = models.iter().max_by_key(|model| model.prices.output_pico_usd_per_token);
    let largest = largest.context("the shipped configuration has no models")?;
    let mut settings = shipped.clone();
    settings["strategy"] = json!("best_affordable");
    settings["salt"] = json!(SALT);
    settings["budget"] = json!({"default_usd": "1000", "trust_header": true});
    settings["estimate"] = json!({"missing_usage": arguments.missing_usage});
    settings["ledger"]["lease_ms"] = json!(arguments.lease_ms);

    let run_dir = tempfile::tempdir()?;
    eprintln!("starting Envoy: it compiles the filter, which takes some seconds …");
    let listeners = [(LISTENER, settings)];
    let gateway = Gateway::start_with(run_dir.path(), &wasm, &listeners, arguments.workers).await?;
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(arguments.in_flight).build()?;
    let progress = ProgressBar::new(2 * (plan.sessions * plan.turns) as u64);

    let start = Instant::now();
    let url = gateway.envoy.url(LISTENER)?;
    let mut ours = play(&client, &url, "load", &plan, &models, Keeper::Gateway, &progress).await?;
    let seconds = start.elapsed().as_secs_f64();
    let (outstanding, waited) = settled(&gateway.envoy, Duration::from_millis(arguments.lease_ms)).await?;
    let decisions = gateway.envoy.stats("seqroute\\.decisions$").await?.values().sum::<u64>();
    let log = gateway.decision_log(LISTENER);
    let mut records = 0;
    for _ in 0..100 {
        records = charged_by_records(&log, SALT, "load", &mut ours)?;
        if records as u64 >= decisions {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let plain = gateway.envoy.url(PLAIN)?;
    let post_hoc = Keeper::PostHoc(largest);
    let theirs = play(&client, &plain, "post-hoc", &plan, &models, post_hoc, &progress).await?;
    progress.finish_and_clear();
    let counters = gateway.envoy.stats("seqroute\\.").await?;
    gateway.envoy.stop().await;

    println!(
        "{} calls in {} sessions of {budget} USD, {} in flight, {} of one session at once, {} workers; {seconds:.0} s",
        ours.calls(),
        plan.sessions,
        plan.in_flight,
        plan.at_once,
        arguments.workers
    );
    println!("{}", table(&[("SeqRoute", &ours), ("post-hoc checker", &theirs)], budget));
    println!(
        "outstanding {outstanding} nano-USD {waited:.1} s after the last turn; {records} records of {decisions} decisions"
    );
    for name in
        ["usage_estimated", "overruns", "late_settlements", "leases_expired", "cas_conflicts", "store_errors"]
    {
        let found = counters.iter().find(|(key, _)| key.ends_with(&format!("seqroute.{name}")));
        println!("{name}: {}", found.map_or(0, |(_, value)| *value));
    }
    ensure!(records as u64 == decisions, "{records} records of {decisions} decisions");
    ensure!(ours.overcharged(budget).1 == 0, "sessions were charged beyond their budgets");
    ensure!(outstanding == 0, "{outstanding} nano-USD are still held");
    Ok(())
}

/// Waits until nothing is held, one lease at most; returns what is held then, and the seconds that it took.
async fn settled(envoy: &Envoy, lease: Duration) -> Result<(i128, f64)> {
    let start = Instant::now();
    loop {
        let stats = envoy.stats("seqroute\\.(granted|settled|refunded|expired)_nano_usd$").await?;
        let sum = |name: &str| {
            let of_name = stats.iter().filter(|(key, _)| key.ends_with(&format!("seqroute.{name}_nano_usd")));
            of_name.map(|(_, value)| i128::from(*value)).sum::<i128>()
        };
        let outstanding = sum("granted") - sum("settled") - sum("refunded") - sum("expired");
        if outstanding == 0 || start.elapsed() > lease {
            return Ok((outstanding, start.elapsed().as_secs_f64()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn table(rows: &[(&str, &Tally)], budget: NanoUsd) -> Table {
    let mut table = Table::new();
    table.set_header([
        "budget kept by",
        "whole",
        "cut",
        "no answer",
        "refused",
        "charged over budget",
        "sessions",
        "billed over budget",
        "sessions",
    ]);
    for (name, tally) in rows {
        let (charged, charged_sessions) = tally.overcharged(budget);
        let (billed, billed_sessions) = tally.overbilled(budget);
        table.add_row([
            (*name).to_owned(),
            tally.whole.to_string(),
            tally.cut.to_string(),
            tally.nothing.to_string(),
            tally.refused.to_string(),
            format!("{charged} USD"),
            charged_sessions.to_string(),
            format!("{billed} USD"),
            billed_sessions.to_string(),
        ]);
    }
    table
}
