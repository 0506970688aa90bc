//! `soak`: millions of sessions, one turn each, and what they leave in memory.
//!
//! A client that invents a new session id for every request must not make the gateway grow. The run goes through the
//! core alone on a store in memory, or through the compiled filter in the harness, and fails when the table's bytes
//! exceed the bound that the configuration sets, or when memory has grown after the table was full.
//!
//! ```sh
//! make soak                          # both, five million sessions each
//! target/release/soak core 1000000   # or one of them
//! ```

use anyhow::{Context, Result, bail, ensure};
use seqroute_core::config::Config;
use seqroute_core::counters::{Counter, Counts};
use seqroute_core::engine::{Admission, Answer, Engine};
use seqroute_core::ledger::store::MemoryStore;
use seqroute_core::request::{HeadVerdict, RequestHead};
use seqroute_core::usage::Usage;
use seqroute_harness::{Host, HostOptions, Module, ModuleCache, Plugin, VmOptions};
use seqroute_tests::{settings, wasm};
use serde_json::{Value, json};

/// Time between two requests: all sessions are live, none is over.
const BETWEEN_MS: u64 = 1;
const BODY: &str = r#"{"model":"auto","max_tokens":100,"messages":[{"role":"user","content":"hello"}]}"#;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let layer = arguments.next().unwrap_or_else(|| "core".to_owned());
    let sessions = arguments.next().map_or(Ok(5_000_000), |text| text.parse());
    let sessions: u64 = sessions.context("the number of sessions")?;
    let mut settings = settings::plugin(json!({"always": "small"}));
    settings["ledger"] = json!({"on_full": "evict_idle"});
    match layer.as_str() {
        "core" => core(&settings, sessions),
        "filter" => filter(&settings, sessions),
        other => bail!("found `{other}`, expected `core` or `filter`"),
    }
}

/// Memory of this process in bytes (Linux; 0 elsewhere).
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Prints ten lines on the way and keeps what the second half must not exceed.
struct Progress {
    sessions: u64,
    half_resident: u64,
    half_table: u64,
}

impl Progress {
    fn report(&mut self, done: u64, table: u64, entries: usize) {
        if done.is_multiple_of((self.sessions / 10).max(1)) {
            let resident = resident_bytes();
            println!("{done} sessions: table {table} bytes in {entries} keys, process {resident} bytes");
            if done <= self.sessions / 2 {
                (self.half_resident, self.half_table) = (resident, table);
            }
        }
    }

    /// Nothing grew in the second half: the table to the byte, the process within what its allocator moves.
    fn check(&self, table: u64, bound: u64) -> Result<()> {
        let resident = resident_bytes();
        println!("at the end: table {table} bytes, bound {bound} bytes, process {resident} bytes");
        ensure!(table <= bound, "the table has {table} bytes, its bound is {bound}");
        let grown = table.saturating_sub(self.half_table);
        ensure!(grown <= bound / 100, "the table grew by {grown} bytes in the second half");
        let grown = resident.saturating_sub(self.half_resident);
        ensure!(grown <= 8 << 20, "the process grew by {grown} bytes in the second half");
        Ok(())
    }
}

fn core(settings: &Value, sessions: u64) -> Result<()> {
    let engine = Engine::configure(settings.to_string().as_bytes())?;
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let mut progress = Progress { sessions, half_resident: 0, half_table: 0 };
    for number in 0..sessions {
        let now_ms = number * BETWEEN_MS;
        let id = format!("session-{number}");
        let headers = [(":method", "POST"), (":path", "/v1/chat/completions"), ("x-session-id", &id)];
        let headers: Vec<_> =
            headers.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec();
        let HeadVerdict::Llm(head) = RequestHead::read(engine.config(), &headers, &mut counts) else {
            bail!("request {number} was not taken for an LLM call");
        };
        let length = Some(BODY.len() as u64);
        let Admission::Route(turn) = engine.admit(&store, &head, None, length, now_ms, &mut counts) else {
            bail!("request {number} was not routed");
        };
        let usage = Some(Usage { input_tokens: 20, output_tokens: 10, ..Usage::default() });
        let answer = Answer { status: Some(200), usage, whole: true, ..Answer::default() };
        engine.conclude(&store, *turn, &answer, now_ms, &mut counts);
        if (number + 1).is_multiple_of((sessions / 10).max(1)) {
            progress.report(number + 1, store.byte_size(), store.len());
        }
    }
    let [created, evicted, forgotten] =
        [Counter::SessionsCreated, Counter::SessionsEvicted, Counter::SessionsForgotten]
            .map(|counter| counts.get(counter));
    println!("created {created}, evicted {evicted}, forgotten {forgotten}");
    let keys = engine.config().ledger.buckets as u64 * 64;
    progress.check(store.byte_size(), engine.config().max_table_bytes() + keys)
}

fn filter(settings: &Value, sessions: u64) -> Result<()> {
    let module = Module::from_file(wasm::path()?, ModuleCache::in_target_dir())?;
    let host = Host::new(HostOptions { now_ms: 1_800_000_000_000, ..HostOptions::default() });
    let options = VmOptions {
        vm_id: "seqroute".to_owned(),
        allow_on_headers_stop_iteration: true,
        ..VmOptions::default()
    };
    let vm = host.vm(&module, options)?;
    let plugin = vm.plugin("seqroute", settings.to_string())?;
    let shared = host.shared_data("seqroute");
    let mut progress = Progress { sessions, half_resident: 0, half_table: 0 };
    let mut half_vm = 0;
    for number in 0..sessions {
        one_turn(&plugin, &format!("session-{number}"))?;
        host.clock().advance_ms(BETWEEN_MS);
        vm.clear_logs();
        if (number + 1).is_multiple_of((sessions / 10).max(1)) {
            progress.report(number + 1, shared.byte_size() as u64, shared.len());
            println!("    memory of the VM: {} bytes", vm.memory_bytes());
        }
        if number == sessions / 2 {
            half_vm = vm.memory_bytes();
        }
    }
    let counter = |name: &str| host.metrics().counter(&format!("seqroute.{name}")).unwrap_or(0);
    let [created, evicted, forgotten] =
        ["created", "evicted", "forgotten"].map(|name| counter(&format!("sessions_{name}")));
    println!("created {created}, evicted {evicted}, forgotten {forgotten}");
    ensure!(host.leaked_streams() == 0, "{} streams were left behind", host.leaked_streams());
    ensure!(vm.memory_bytes() == half_vm, "the VM grew from {half_vm} to {} bytes", vm.memory_bytes());
    let config = Config::from_json(settings.to_string().as_bytes())?;
    progress
        .check(shared.byte_size() as u64, config.max_table_bytes() + u64::from(config.ledger.buckets) * 64)
}

fn one_turn(plugin: &Plugin, session: &str) -> Result<()> {
    let mut stream = plugin.stream();
    let length = BODY.len().to_string();
    let headers: [(&str, &str); 7] = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        (":authority", "llm"),
        ("x-seqroute-cluster", "small"),
        ("content-type", "application/json"),
        ("content-length", &length),
        ("x-session-id", session),
    ];
    stream.request_headers(&headers, false)?;
    let refused = stream.request_body(BODY, true)?.local_response;
    ensure!(refused.is_none(), "`{session}` was refused: {refused:?}");
    stream.response_headers(&[(":status", "200"), ("content-type", "application/json")], false)?;
    stream.response_body(r#"{"usage":{"prompt_tokens":20,"completion_tokens":10}}"#, true)?;
    stream.finish()?;
    Ok(())
}
