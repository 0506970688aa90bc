//! `seqroute-harness soak`: memory after millions of sessions of one turn each.
//!
//! A client that sends a new session id with every request must not make the gateway grow. The sessions run through the
//! core alone on an in-memory store, or through the compiled filter. The run fails if the table exceeds the size bound of
//! the configuration, or if memory has grown in the second half. An interrupt ends it with the figures so far.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use seqroute_core::config::Config;
use seqroute_core::counters::{Counter, Counts};
use seqroute_core::engine::{Admission, Answer, Engine};
use seqroute_core::ledger::store::MemoryStore;
use seqroute_core::request::head::{HeadVerdict, RequestHead};
use seqroute_core::usage::Usage;
use seqroute_sessions::terminal::{INTERRUPTED, bar, interrupted};
use serde::Serialize;
use serde_json::json;

use crate::chat;
use crate::measure::resident_bytes;
use crate::target::{self, ModuleArgument, SettingsArguments, Worker};

/// Time between two requests, so short that no session expires.
const BETWEEN_MS: u64 = 1;
/// Growth of the process allowed in the second half, for its allocator.
const SLACK_BYTES: u64 = 8 << 20;
/// Largest size of a bucket's key in bytes.
const KEY_BYTES: u64 = 64;
const BODY: &str = r#"{"model":"auto","max_tokens":100,"messages":[{"role":"user","content":"hello"}]}"#;
const PROMPT_TOKENS: u64 = 20;
const OUTPUT_TOKENS: u64 = 10;

#[derive(Debug, Args)]
pub struct Arguments {
    /// What to test.
    #[arg(long, value_enum, default_value_t = Layer::Both)]
    layer: Layer,
    /// Number of sessions, each with its own id.
    #[arg(long, default_value_t = 5_000_000)]
    sessions: u64,
    #[command(flatten)]
    module: ModuleArgument,
    #[command(flatten)]
    settings: SettingsArguments,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layer {
    /// The decision core on an in-memory store.
    Core,
    /// The compiled filter.
    Filter,
    /// First the core, then the filter.
    Both,
}

/// Result of a run.
#[derive(Debug, Default, Serialize)]
struct Report {
    layer: &'static str,
    /// Sessions played.
    sessions: u64,
    /// Whether all requested sessions were played.
    complete: bool,
    /// Bytes of the table in shared data, including keys, and the bound set by the configuration.
    table_bytes: u64,
    table_bound_bytes: u64,
    /// Growth of the table, the process and the VM's memory in the second half.
    table_growth_bytes: u64,
    process_growth_bytes: u64,
    vm_growth_bytes: u64,
    vm_bytes: u64,
    process_bytes: u64,
    created: u64,
    evicted: u64,
    forgotten: u64,
    /// Sessions evicted in the second half.
    evicted_late: u64,
}

/// Something that can serve one turn of a new session.
trait Soaked {
    fn turn(&mut self, number: u64) -> Result<()>;
    /// Bytes of the table and of the VM.
    fn bytes(&self) -> (u64, u64);
    /// Value of a counter.
    fn counter(&self, counter: Counter) -> u64;
}

impl Arguments {
    pub fn run(self) -> Result<ExitCode> {
        ensure!(self.sessions > 1, "--sessions: found {}, expected at least 2", self.sessions);
        // The table must accept new sessions when it is full, all of one client and all of them live, and a policy's
        // inference is not under test.
        let settings = self.settings.read(|settings| {
            settings["ledger"]["on_full"] = json!("evict_idle");
            settings["ledger"]["short_session_ttl_ms"] = json!(24 * 3600 * 1000);
            settings["callers"] = json!({"enabled": false});
            let first = settings["models"][0]["name"].clone();
            settings["strategy"] = json!({"always": first});
            settings.as_object_mut().map(|fields| fields.remove("policy_b64"));
        })?;
        let config = Config::from_json(settings.to_string().as_bytes()).map_err(anyhow::Error::msg)?;
        let bound =
            seqroute_core::ledger::size::max_bytes(&config) + u64::from(config.ledger.buckets) * KEY_BYTES;
        let stop = interrupted()?;
        eprintln!("{} sessions; interrupt to stop with the figures so far", self.sessions);
        let mut reports = Vec::new();
        if self.layer != Layer::Filter {
            let engine = Engine::configure(settings.to_string().as_bytes())?;
            let core = Core { engine, store: MemoryStore::default(), counts: Counts::default() };
            reports.push(soak(core, "core", self.sessions, bound, &stop)?);
        }
        if self.layer != Layer::Core && !stop.load(Ordering::Relaxed) {
            let filter = Filter(Worker::start(&self.module.load()?, settings.to_string(), 0)?);
            reports.push(soak(filter, "filter", self.sessions, bound, &stop)?);
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&reports)?);
        } else {
            reports.iter().for_each(Report::print);
        }
        reports.iter().try_for_each(Report::check)?;
        Ok(if stop.load(Ordering::Relaxed) { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }
}

fn soak(
    mut soaked: impl Soaked,
    layer: &'static str,
    sessions: u64,
    bound: u64,
    stop: &AtomicBool,
) -> Result<Report> {
    let bar = bar(sessions, layer);
    let mut half = None;
    let mut played = 0;
    while played < sessions && !stop.load(Ordering::Relaxed) {
        soaked.turn(played)?;
        played += 1;
        if played.is_multiple_of((sessions / 1_000).max(1)) {
            let (table, vm) = soaked.bytes();
            bar.set_position(played);
            bar.set_message(format!("table {:.1} MB, VM {:.1} MB", table as f64 / 1e6, vm as f64 / 1e6));
        }
        if played == sessions / 2 {
            half = Some((soaked.bytes(), resident_bytes(), soaked.counter(Counter::SessionsEvicted)));
        }
    }
    bar.finish_and_clear();
    let ((table_bytes, vm_bytes), process_bytes) = (soaked.bytes(), resident_bytes());
    // If interrupted in the first half, growth is unknown and counts as 0.
    let evicted = soaked.counter(Counter::SessionsEvicted);
    let ((half_table, half_vm), half_process, half_evicted) =
        half.unwrap_or(((table_bytes, vm_bytes), process_bytes, evicted));
    Ok(Report {
        layer,
        sessions: played,
        complete: played == sessions,
        table_bytes,
        table_bound_bytes: bound,
        table_growth_bytes: table_bytes.saturating_sub(half_table),
        process_growth_bytes: process_bytes.saturating_sub(half_process),
        vm_growth_bytes: vm_bytes.saturating_sub(half_vm),
        vm_bytes,
        process_bytes,
        created: soaked.counter(Counter::SessionsCreated),
        evicted,
        forgotten: soaked.counter(Counter::SessionsForgotten),
        evicted_late: evicted - half_evicted,
    })
}

impl Report {
    fn print(&self) {
        let Report { layer, sessions, table_bytes, table_bound_bytes, process_bytes, vm_bytes, .. } = self;
        let early = if self.complete { "" } else { " (interrupted)" };
        println!("{layer}: {sessions} sessions{early}");
        println!(
            "  table    {table_bytes} bytes, bound {table_bound_bytes}, grown by {}",
            self.table_growth_bytes
        );
        println!("  process  {process_bytes} bytes, grown by {}", self.process_growth_bytes);
        println!("  VM       {vm_bytes} bytes, grown by {}", self.vm_growth_bytes);
        println!("  created {}, evicted {}, forgotten {}", self.created, self.evicted, self.forgotten);
    }

    /// Checks that nothing grew in the second half: the VM not at all, the table by at most 1 %, the process by
    /// [`SLACK_BYTES`].
    fn check(&self) -> Result<()> {
        let Report { layer, table_bytes, table_bound_bytes, .. } = self;
        ensure!(
            table_bytes <= table_bound_bytes,
            "{layer}: the table has {table_bytes} bytes, expected at most {table_bound_bytes}"
        );
        // A table that is not full yet may grow. It was full at half time if since then nearly every new session has
        // evicted another.
        let full = 10 * self.evicted_late >= 9 * (self.sessions / 2);
        let limits = [
            ("the table", self.table_growth_bytes, table_bound_bytes / 100),
            ("the VM", self.vm_growth_bytes, 0),
            ("the process", self.process_growth_bytes, SLACK_BYTES),
        ];
        for (what, growth, limit) in limits {
            ensure!(
                !full || growth <= limit,
                "{layer}: {what} grew by {growth} bytes in the second half, expected at most {limit}"
            );
        }
        Ok(())
    }
}

struct Core {
    engine: Engine,
    store: MemoryStore,
    counts: Counts,
}

impl Soaked for Core {
    fn turn(&mut self, number: u64) -> Result<()> {
        let Core { engine, store, counts } = self;
        let now_ms = number * BETWEEN_MS;
        let id = format!("session-{number}");
        let headers = [(":method", "POST"), (":path", "/v1/chat/completions"), ("x-session-id", &id)];
        let headers: Vec<_> =
            headers.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec();
        let HeadVerdict::Llm(head) = RequestHead::read(engine.config(), &headers, None, counts) else {
            bail!("request {number} was not recognised as an LLM call");
        };
        let length = Some(BODY.len() as u64);
        let Admission::Route(turn) = engine.admit(store, &head, None, length, now_ms, counts) else {
            bail!("request {number} was not routed");
        };
        let usage =
            Some(Usage { input_tokens: PROMPT_TOKENS, output_tokens: OUTPUT_TOKENS, ..Usage::default() });
        let answer = Answer { status: Some(200), usage, is_final: true, ..Answer::default() };
        engine.conclude(store, *turn, &answer, now_ms, counts);
        Ok(())
    }

    fn bytes(&self) -> (u64, u64) {
        (self.store.byte_size(), 0)
    }

    fn counter(&self, counter: Counter) -> u64 {
        self.counts.get(counter)
    }
}

struct Filter(Worker);

impl Soaked for Filter {
    fn turn(&mut self, number: u64) -> Result<()> {
        let mut turn = chat::request(&self.0.plugin, &format!("session-{number}"), BODY)?;
        ensure!(turn.refused.is_none(), "session {number} was refused: {:?}", turn.refused);
        turn.answer(&chat::completion(PROMPT_TOKENS, OUTPUT_TOKENS))?;
        turn.stream.finish()?;
        self.0.host.clock().advance_ms(BETWEEN_MS);
        self.0.vm.clear_logs();
        Ok(())
    }

    fn bytes(&self) -> (u64, u64) {
        let shared = self.0.host.shared_data(target::ID);
        (shared.byte_size() as u64, self.0.vm.memory_bytes() as u64)
    }

    fn counter(&self, counter: Counter) -> u64 {
        self.0.host.metrics().counter(&format!("seqroute.{}", counter.name())).unwrap_or(0)
    }
}
