//! The module in the harness, under configurations that together reach every branch of it.

use std::fmt::{Display, Formatter};

use anyhow::{Result, bail, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqroute_harness::{Host, HostOptions, Plugin, StepState, Stream, Vm};
use serde_json::{Value, json};

use super::traffic::{Message, Texts};
use crate::support::money::outstanding_nano_usd;
use crate::support::{module, policies, settings};

/// Lease of every reservation, ms.
const LEASE_MS: u64 = 600_000;

/// A VM of the filter under random traffic.
pub struct Run {
    random: ChaCha8Rng,
    texts: Texts,
    host: Host,
    vm: Vm,
    plugins: Vec<Plugin>,
    routed: u64,
    refused: u64,
    left: u64,
}

/// What a run has seen.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Requests that were forwarded and answered completely.
    pub routed: u64,
    /// Requests that the filter answered itself.
    pub refused: u64,
    /// Requests that the filter reset, or whose client left.
    pub left: u64,
    /// Money granted in all.
    pub granted_nano_usd: u64,
    /// Memory of the VM at the end.
    pub memory_bytes: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} answered, {} refused, {} left or reset; {} nano-USD granted, all of it accounted for; VM memory {} bytes",
            self.routed, self.refused, self.left, self.granted_nano_usd, self.memory_bytes
        )
    }
}

impl Run {
    /// A fresh VM with every configuration.
    ///
    /// # Errors
    /// Without the module, and when it refuses a configuration.
    pub fn new(seed: u64) -> Result<Run> {
        let compiled = module::compiled()?;
        let host = Host::new(HostOptions { now_ms: module::START_MS, seed, ..HostOptions::default() });
        let vm = host.vm(&compiled, module::vm_options())?;
        let mut plugins = Vec::new();
        for (number, settings) in configurations()?.iter().enumerate() {
            plugins.push(vm.plugin(&format!("plugin-{number}"), settings.to_string())?);
        }
        let random = ChaCha8Rng::seed_from_u64(seed);
        Ok(Run { random, texts: Texts::read()?, host, vm, plugins, routed: 0, refused: 0, left: 0 })
    }

    /// One request and its answer under one of the configurations.
    ///
    /// # Errors
    /// When the VM traps.
    pub fn request(&mut self) -> Result<()> {
        let (request, answer) = (self.texts.request(&mut self.random), self.texts.answer(&mut self.random));
        let plugin = self.random.random_range(0..self.plugins.len());
        let mut stream = self.plugins[plugin].stream();
        let was_sent = send(&mut stream, &request, false)?;
        let is_answered = self.random.random_bool(0.9);
        if stream.local_response().is_some() {
            self.refused += 1;
        } else if was_sent && is_answered && send(&mut stream, &answer, true)? {
            self.routed += 1;
        } else {
            self.left += 1;
        }
        stream.finish()?;
        if let Some(trap) = self.vm.failure() {
            bail!("the VM trapped: {trap}");
        }
        self.host.clock().advance_ms(self.random.random_range(0..2_000));
        self.vm.clear_logs();
        Ok(())
    }

    /// Checks what must hold once every stream has ended.
    ///
    /// # Errors
    /// When money is missing, a stream was left open, or the VM was reloaded.
    pub fn end(self) -> Result<Summary> {
        let counter = |name: &str| self.host.metrics().counter(&format!("seqroute.{name}")).unwrap_or(0);
        let outstanding = outstanding_nano_usd("", counter);
        ensure!(outstanding == 0, "every turn has ended, but {outstanding} nano-USD are outstanding");
        let granted_nano_usd = counter("granted_nano_usd");
        ensure!(self.host.leaked_streams() == 0, "{} streams were left open", self.host.leaked_streams());
        ensure!(self.vm.reloads() == 0, "the VM was reloaded {} times", self.vm.reloads());
        let Run { routed, refused, left, vm, .. } = self;
        let memory_bytes = vm.memory_bytes() as u64;
        Ok(Summary { routed, refused, left, granted_nano_usd, memory_bytes })
    }
}

/// Sends a message until it is complete or the stream is over; true if it was sent completely.
fn send(stream: &mut Stream, message: &Message, is_answer: bool) -> Result<bool> {
    let ends_early = message.pieces.is_empty() && !message.has_trailers;
    let step = match is_answer {
        false => stream.request_headers(message.headers.clone(), ends_early)?,
        true => stream.response_headers(message.headers.clone(), ends_early)?,
    };
    let is_over = |state| matches!(state, StepState::Replied | StepState::Reset | StepState::Held);
    if is_over(step.state) {
        return Ok(false);
    }
    for (number, piece) in message.pieces.iter().enumerate() {
        let ends = number + 1 == message.pieces.len() && !message.has_trailers;
        let step = match is_answer {
            false => stream.request_body(piece, ends)?,
            true => stream.response_body(piece, ends)?,
        };
        if is_over(step.state) {
            return Ok(false);
        }
    }
    if message.has_trailers {
        let trailers = [("x-trailer", "1")];
        let step = match is_answer {
            false => stream.request_trailers(&trailers)?,
            true => stream.response_trailers(&trailers)?,
        };
        return Ok(!is_over(step.state));
    }
    Ok(true)
}

/// A table so small that it is full most of the time.
fn ledger() -> Value {
    json!({"buckets": 64, "on_full": "evict_idle", "lease_ms": LEASE_MS})
}

fn configurations() -> Result<Vec<Value>> {
    let base = |change: &dyn Fn(&mut Value)| {
        let mut settings = settings::plugin(json!("best_affordable"));
        settings["budget"] = json!({"default_usd": "0.5", "max_usd": "1000", "trust_header": true});
        settings["difficulty"] = json!({"header": "x-difficulty", "trust_header": true});
        settings["debug"] = json!({"header": "x-debug", "trust_header": true});
        settings["ledger"] = ledger();
        change(&mut settings);
        settings
    };
    let mut with_policy = settings::with_policy(&policies::arbitrary(1)?);
    with_policy["budget"] = json!({"default_usd": "0.5"});
    with_policy["ledger"] = ledger();
    Ok(vec![
        with_policy,
        base(&|_| {}),
        base(&|settings| settings["mode"] = json!("body")),
        base(&|settings| settings["mode"] = json!("headers")),
        base(&|settings| settings["peek_bytes"] = json!(1024)),
        base(&|settings| settings["enforcement"] = json!("shadow")),
        base(&|settings| {
            settings["on_error"] = json!({"invalid_body": "use_default", "unknown_model": "use_default",
                "invalid_header": "use_default"});
            settings["budget"]["shortest_output_tokens"] = json!(16);
        }),
        base(&|settings| {
            settings["session"] = json!({"tenant_header": "x-tenant", "no_session": "reject", "sources": [
                {"cookie": "sid"}, {"body": "metadata.session_id"}, {"body": "user"}, {"header": "x-session-id"}]});
            settings["tenants"] = json!({"default_usd": "100"});
        }),
    ])
}
