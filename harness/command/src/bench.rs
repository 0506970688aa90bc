//! `seqroute-harness bench`: how many turns a plugin serves per second on one core.
//!
//! A turn is a chat request with a small body, an answer with usage, and the end of the stream. Two reference plugins are
//! measured as well: one that does nothing, which shows the cost of the host, and one that makes only
//! the host calls of a header-routed turn of SeqRoute. The plugins are measured alternately, round after
//! round, so that noise of the machine affects all; the median round and the range of the rounds are shown.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use comfy_table::Table;
use seqroute_harness::{Module, ModuleCache};
use seqroute_sessions::terminal::{self, bar};
use serde::Serialize;
use serde_json::{Value, json};

use crate::chat;
use crate::measure::{Stopwatch, has_processor_time, resident_bytes};
use crate::target::{self, ModuleArgument, Worker};

/// Turns per session.
const TURNS_PER_SESSION: u64 = 8;
/// Turns of a reference plugin per turn of the others, so that its rounds are long enough to time.
const QUICK_TURNS: u64 = 10;
/// Turns before the first round, in which memory is paged in and sessions are created.
const WARM_UP: u64 = 500;
/// Least number of starts to measure the start of a plugin, and least duration.
const STARTS: usize = 5;
const STARTING: Duration = Duration::from_millis(300);
/// VMs kept alive to measure their memory.
const KEPT_VMS: usize = 16;
const BODY: &str = r#"{"model":"auto","max_tokens":100,"messages":[{"role":"user","content":"What is the capital of France?"}]}"#;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    module: ModuleArgument,
    /// Plugin configuration, any text. Can be repeated, for a row each. Without it the filter is measured
    /// in the modes `headers` and `peek`, with a fixed model and with the shipped policy.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Request body; without it a short chat request.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Turns per round.
    #[arg(long, default_value_t = 20_000)]
    turns: u64,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Record a trace of host calls, as in tests.
    #[arg(long)]
    trace: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measurements of one plugin.
#[derive(Debug, Serialize)]
struct Row {
    plugin: String,
    /// Of the median round.
    turns_per_second: f64,
    /// Of the median round.
    turn_ns: f64,
    /// Of the fastest and the slowest round.
    turn_ns_range: (f64, f64),
    host_calls_per_turn: f64,
    /// Turns answered by the plugin.
    refused: u64,
    /// Starting a VM and configuring the plugin.
    start: Start,
    /// Starting it in a pooling allocator.
    start_in_pool: Start,
}

/// Cost of starting a VM and configuring the plugin, in a throw-away VM first.
#[derive(Clone, Copy, Debug, Serialize)]
struct Start {
    /// Fastest start.
    ns: u64,
    /// Median start.
    median_ns: u64,
    /// Process memory per VM kept alive.
    vm_bytes: u64,
}

/// One plugin under measurement.
struct Candidate {
    name: String,
    worker: Worker,
    /// Turns per round.
    turns: u64,
    rounds_ns: Vec<u64>,
    sent: u64,
    refused: u64,
    host_calls: u64,
    start: Start,
    start_in_pool: Start,
}

impl Arguments {
    pub fn run(self) -> Result<ExitCode> {
        ensure!(self.turns > 0 && self.rounds > 0, "--turns, --rounds: found 0, expected at least 1");
        let body = match &self.body {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("{}: cannot be read", path.display()))?,
            None => BODY.to_owned(),
        };
        let mut candidates = self.candidates()?;
        let bar = bar(self.rounds as u64 * candidates.len() as u64, "measuring");
        for candidate in &mut candidates {
            candidate.play(WARM_UP, &body)?;
            candidate.refused = 0;
        }
        for _ in 0..self.rounds {
            for candidate in &mut candidates {
                candidate.round(&body)?;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let rows: Vec<Row> = candidates.into_iter().map(Candidate::row).collect();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&rows)?);
        } else {
            println!("{}", table(&rows));
            let clock = if has_processor_time() { "processor time of the thread" } else { "wall time" };
            println!("{clock}, median of {} rounds of {} turns", self.rounds, self.turns);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn candidates(&self) -> Result<Vec<Candidate>> {
        let text = |bytes: &[u8]| Module::from_bytes(bytes, ModuleCache::none());
        let (nothing, calls) = (text(include_bytes!("noop.wat"))?, text(include_bytes!("calls.wat"))?);
        let module = self.module.load()?;
        let mut rows = vec![
            ("nothing".to_owned(), &nothing, Vec::new(), QUICK_TURNS * self.turns),
            ("host calls alone".to_owned(), &calls, Vec::new(), QUICK_TURNS * self.turns),
        ];
        for path in &self.config {
            let bytes = seqroute_sessions::files::read_file(path)?;
            rows.push((path.display().to_string(), &module, bytes, self.turns));
        }
        if self.config.is_empty() {
            for (name, settings) in shipped_rows()? {
                rows.push((name, &module, settings.to_string().into_bytes(), self.turns));
            }
        }
        let trace_calls = if self.trace { 256 } else { 0 };
        let start = |(name, module, configuration, turns): (String, &Module, Vec<u8>, u64)| {
            let pooled = module.pooled(2 * KEPT_VMS as u32)?;
            let begin =
                || Worker::start(module, &configuration, trace_calls).with_context(|| format!("`{name}`"));
            let in_pool = || Worker::start(&pooled, &configuration, trace_calls);
            let (start, start_in_pool) = (Start::measure(begin)?, Start::measure(in_pool)?);
            let (worker, rounds_ns) = (begin()?, Vec::new());
            Ok(Candidate {
                name,
                worker,
                turns,
                rounds_ns,
                sent: 0,
                refused: 0,
                host_calls: 0,
                start,
                start_in_pool,
            })
        };
        rows.into_iter().map(start).collect()
    }
}

/// The shipped configuration in two modes, with a fixed model and with the shipped policy.
fn shipped_rows() -> Result<Vec<(String, Value)>> {
    let mut rows = Vec::new();
    for (strategy, what) in [(json!({"always": "small"}), "fixed model"), (json!("policy"), "policy")] {
        for mode in ["headers", "peek"] {
            let mut settings = target::shipped();
            settings["mode"] = mode.into();
            settings["strategy"] = strategy.clone();
            let policy = (what == "policy").then(target::shipped_policy);
            rows.push((format!("filter: {mode}, {what}"), target::with_policy(&settings, policy)?));
        }
    }
    Ok(rows)
}

impl Start {
    fn measure<E>(mut start: impl FnMut() -> Result<Worker, E>) -> Result<Start, E> {
        let (begun, mut all_ns) = (Instant::now(), Vec::new());
        while all_ns.len() < STARTS || begun.elapsed() < STARTING {
            let begun = Instant::now();
            let worker = start()?;
            all_ns.push(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
            drop(worker);
        }
        all_ns.sort_unstable();
        let before = resident_bytes();
        let kept = (0..KEPT_VMS).map(|_| start()).collect::<Result<Vec<_>, E>>()?;
        let vm_bytes = resident_bytes().saturating_sub(before) / kept.len() as u64;
        Ok(Start { ns: all_ns[0], median_ns: all_ns[all_ns.len() / 2], vm_bytes })
    }
}

impl Candidate {
    fn play(&mut self, turns: u64, body: &str) -> Result<()> {
        let answer = chat::completion(20, 10);
        for _ in 0..turns {
            let session = format!("bench-{}", self.sent / TURNS_PER_SESSION);
            self.sent += 1;
            let mut turn = chat::request(&self.worker.plugin, &session, body)
                .with_context(|| format!("`{}`", self.name))?;
            match turn.refused {
                Some(_) => self.refused += 1,
                None => turn.answer(&answer)?,
            }
            turn.stream.finish()?;
            self.worker.host.clock().advance_ms(1);
        }
        self.worker.vm.clear_logs();
        Ok(())
    }

    fn round(&mut self, body: &str) -> Result<()> {
        let host_calls = |worker: &Worker| worker.vm.hostcalls().values().sum::<u64>();
        let before = host_calls(&self.worker);
        let watch = Stopwatch::start();
        self.play(self.turns, body)?;
        self.rounds_ns.push(watch.elapsed_ns());
        self.host_calls += host_calls(&self.worker) - before;
        Ok(())
    }

    fn row(mut self) -> Row {
        let turns = self.turns;
        self.rounds_ns.sort_unstable();
        let per_turn = |round: Option<&u64>| round.copied().unwrap_or(0) as f64 / turns as f64;
        let turn_ns = per_turn(self.rounds_ns.get(self.rounds_ns.len() / 2));
        let all_turns = turns * self.rounds_ns.len() as u64;
        Row {
            plugin: self.name,
            turns_per_second: 1e9 / turn_ns,
            turn_ns,
            turn_ns_range: (per_turn(self.rounds_ns.first()), per_turn(self.rounds_ns.last())),
            host_calls_per_turn: self.host_calls as f64 / all_turns as f64,
            refused: self.refused,
            start: self.start,
            start_in_pool: self.start_in_pool,
        }
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = terminal::table();
    table.set_header([
        "plugin",
        "turns/s per core",
        "µs per turn",
        "fastest–slowest",
        "host calls",
        "refused",
        "start ms",
        "in a pool",
        "KiB per VM",
        "in a pool",
    ]);
    for row in rows {
        let (fastest, slowest) = row.turn_ns_range;
        table.add_row([
            row.plugin.clone(),
            format!("{:.0}", row.turns_per_second),
            format!("{:.2}", row.turn_ns / 1e3),
            format!("{:.2}–{:.2}", fastest / 1e3, slowest / 1e3),
            format!("{:.1}", row.host_calls_per_turn),
            row.refused.to_string(),
            format!("{:.3}", row.start.median_ns as f64 / 1e6),
            format!("{:.3}", row.start_in_pool.median_ns as f64 / 1e6),
            (row.start.vm_bytes >> 10).to_string(),
            (row.start_in_pool.vm_bytes >> 10).to_string(),
        ]);
    }
    terminal::align_right(&mut table, 1..10);
    table
}
