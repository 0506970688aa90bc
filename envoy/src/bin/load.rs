//! `load`: a hundred thousand turns with faults, once through the filter and once past it behind a post-hoc checker.
//! Fails when a session is charged beyond its budget, or money is still reserved one lease after the last turn.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use comfy_table::Table;
use indicatif::ProgressBar;
use seqroute_core::config::ModelConfig;
use seqroute_core::money::NanoUsd;
use seqroute_envoy::gateway::{Gateway, Listener, PLAIN, SHIPPED_PLUGIN, allow_mock_traffic};
use seqroute_envoy::load::{Keeper, Plan, Tally, play, set_charged};
use serde_json::{Value, json};

const LISTENER: &str = "seqroute";

/// Try to overspend session budgets in a real Envoy.
#[derive(Parser)]
struct Arguments {
    /// Number of sessions.
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Turns per session.
    #[arg(long, default_value_t = 100)]
    turns: usize,
    /// Turns in flight over all sessions.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Turns in flight within one session.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Workers of Envoy.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Budget of each session in USD, a decimal number.
    #[arg(long, default_value = "0.05")]
    budget_usd: String,
    /// Lease of a reservation in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    lease_ms: u64,
    /// How an answer without usage is charged: `estimate` or `reservation`.
    #[arg(long, default_value = "estimate")]
    missing_usage: String,
    /// The filter's module (`make wasm`).
    #[arg(long, default_value = "target/wasm32-wasip1/wasm/seqroute_filter.wasm")]
    wasm: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
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
    settings["salt"] = json!("salt of the load run");
    settings["budget"] = json!({"default_usd": "1000", "trust_header": true});
    settings["estimate"] = json!({"missing_usage": arguments.missing_usage});
    allow_mock_traffic(&mut settings);
    settings["ledger"]["lease_ms"] = json!(arguments.lease_ms);

    eprintln!("starting Envoy, which takes some seconds to compile the filter …");
    let listeners = [Listener::new(LISTENER, settings)];
    let gateway = Gateway::start(&arguments.wasm, arguments.workers, &listeners).await?;
    let client = gateway.client();
    let progress = ProgressBar::new(2 * (plan.sessions * plan.turns) as u64);

    let start = Instant::now();
    let url = gateway.url(LISTENER);
    let mut ours = play(client, &url, "load", &plan, &models, Keeper::Gateway, &progress).await?;
    let seconds = start.elapsed().as_secs_f64();
    let (outstanding, waited) = settled(&gateway, Duration::from_millis(arguments.lease_ms)).await?;
    let decisions = gateway.counter("decisions").await?;
    let charges = gateway.charges(LISTENER, |charges| charges.records() as u64 >= decisions).await?;
    set_charged(&mut ours, "load", &charges);
    let post_hoc = Keeper::PostHoc(largest);
    let theirs = play(client, &gateway.url(PLAIN), "post-hoc", &plan, &models, post_hoc, &progress).await?;
    progress.finish_and_clear();

    println!(
        "{} calls in {} sessions of {budget} USD, {} in flight, {} of one session at once, {} workers; {seconds:.0} s",
        ours.calls(),
        plan.sessions,
        plan.in_flight,
        plan.at_once,
        arguments.workers
    );
    let records = charges.records();
    println!("{}", table(&[("SeqRoute", &ours), ("post-hoc checker", &theirs)], budget));
    println!(
        "reserved {waited:.1} s after the last turn: {outstanding} nano-USD; {records} records of {decisions} decisions"
    );
    for name in
        ["usage_estimated", "overruns", "late_settlements", "leases_expired", "cas_conflicts", "store_errors"]
    {
        println!("{name}: {}", gateway.counter(name).await?);
    }
    gateway.envoy.stop().await;
    ensure!(records as u64 == decisions, "{records} records of {decisions} decisions");
    ensure!(ours.overcharged(budget).1 == 0, "sessions were charged beyond their budgets");
    ensure!(outstanding == 0, "{outstanding} nano-USD are still reserved");
    Ok(())
}

/// Waits until nothing is reserved, one lease at most; returns what is reserved then, and the seconds that it took.
async fn settled(gateway: &Gateway, lease: Duration) -> Result<(i128, f64)> {
    let start = Instant::now();
    loop {
        let outstanding = gateway.outstanding().await?;
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
