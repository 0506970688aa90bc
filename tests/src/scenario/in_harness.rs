//! Scenarios in the harness, which takes the parts of client, router and model server.
//!
//! What the shipped `envoy.yaml` does around the filter is reimplemented here: the headers it removes and overwrites at
//! the edge, the cluster it picks, the answers it gives itself. The comparison with the real Envoy keeps this correct.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use seqroute_core::config::CLUSTER_HEADER;
use seqroute_core::ledger::error::MAX_ATTEMPTS;
use seqroute_harness::{Fault, HeaderMap, Host, HostOptions, Module, Plugin, StepState, Stream, Vm};
use serde_json::Value;

use super::expectation;
use super::format::{End, Expect, Leave, Scenario, Step, Turn, Upstream};
use super::request::Request;
use super::seen::{self, Seen, TurnSeen, UpstreamSeen};
use super::{script, settings_of};
use crate::support::module::{self, START_MS};
use crate::support::settings::MODELS;

/// Workers of the host.
const WORKERS: usize = 2;
/// Attempts of Envoy after the first.
const RETRIES: usize = 2;
/// proxy-wasm status `CasMismatch`.
const CAS_MISMATCH: u32 = 8;
/// Bits of `response.flags` in Envoy.
const UPSTREAM_REQUEST_TIMEOUT: i64 = 1 << 2;
const UPSTREAM_CONNECTION_TERMINATION: i64 = 1 << 6;
const NO_CLUSTER_FOUND: i64 = 1 << 24;

/// How the harness delivers bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As the scenario cuts it; the last piece carries the end.
    AsWritten,
    /// As the scenario cuts it; the end of the stream follows without bytes.
    SeparateEnd,
    /// Byte by byte, both ways.
    EveryByte,
}

impl Delivery {
    /// Every delivery.
    pub const ALL: [Delivery; 3] = [Delivery::AsWritten, Delivery::SeparateEnd, Delivery::EveryByte];

    /// The pieces as they are delivered, and whether each carries the end.
    fn of(self, pieces: &[Vec<u8>], ends: bool) -> Vec<(Vec<u8>, bool)> {
        let mut delivered: Vec<(Vec<u8>, bool)> = match self {
            Delivery::EveryByte => pieces.concat().iter().map(|byte| (vec![*byte], false)).collect(),
            _ => pieces.iter().map(|piece| (piece.clone(), false)).collect(),
        };
        if ends {
            match delivered.last_mut() {
                Some((_, end)) if self == Delivery::AsWritten => *end = true,
                _ => delivered.push((Vec::new(), true)),
            }
        }
        delivered
    }
}

/// Plays a scenario; returns its result, and a line for each difference from what is expected.
///
/// # Errors
/// When the scenario contradicts itself or the host fails.
pub fn play(module: &Module, scenario: &Scenario, delivery: Delivery) -> Result<(Seen, Vec<String>)> {
    let mut run = Run::new(module, scenario, delivery)?;
    for (index, step) in scenario.steps.iter().enumerate() {
        run.step(step).with_context(|| format!("step {}", index + 1))?;
    }
    ensure!(run.in_flight.is_empty(), "turns left in flight: {:?}", run.in_flight.keys());
    let seen = Seen { turns: run.turns, counters: counters(&run.host) };
    run.wrong.extend(expectation::check_counters(scenario, &seen.counters));
    let crashes = scenario.steps.iter().any(|step| matches!(step, Step::Crash));
    if !crashes && run.vms.iter().any(|vm| vm.reloads() > 0) {
        run.wrong.push("a VM crashed".to_owned());
    }
    Ok((seen, run.wrong))
}

fn counters(host: &Host) -> BTreeMap<String, u64> {
    let metrics = host.metrics();
    let all = metrics.names().into_iter().filter_map(|name| {
        let value = metrics.counter(&name)?;
        Some((name.strip_prefix("seqroute.")?.to_owned(), value))
    });
    seen::counters(&BTreeMap::new(), &all.collect())
}

struct Run<'a> {
    scenario: &'a Scenario,
    delivery: Delivery,
    host: Host,
    vms: Vec<Vm>,
    plugins: Vec<Plugin>,
    settings: Value,
    in_flight: BTreeMap<String, (&'a Turn, Open)>,
    turns: Vec<TurnSeen>,
    wrong: Vec<String>,
}

/// A turn whose request was received.
struct Open {
    stream: Stream,
    /// The cluster the request went to; `None`: the request was answered before it left.
    cluster: Option<String>,
    attempts: usize,
    crashed: bool,
}

impl<'a> Run<'a> {
    fn new(module: &Module, scenario: &'a Scenario, delivery: Delivery) -> Result<Self> {
        let host = Host::new(HostOptions { now_ms: START_MS, ..HostOptions::default() });
        let vms =
            (0..WORKERS).map(|_| host.vm(module, module::vm_options())).collect::<Result<Vec<_>, _>>()?;
        let settings = settings_of(scenario)?;
        let plugins = vms.iter().map(|vm| vm.plugin("seqroute", settings.to_string()));
        let plugins = plugins.collect::<Result<Vec<_>, _>>()?;
        let (in_flight, turns, wrong) = (BTreeMap::new(), Vec::new(), Vec::new());
        Ok(Run { scenario, delivery, host, vms, plugins, settings, in_flight, turns, wrong })
    }

    fn step(&mut self, step: &'a Step) -> Result<()> {
        match step {
            Step::Turn(turn) => {
                let open = self.request(turn)?;
                match &turn.in_flight {
                    Some(name) => {
                        self.in_flight.insert(name.clone(), (turn, open));
                    }
                    None => self.end(turn, open, &turn.expect)?,
                }
            }
            Step::Finish { turn: name, expect } => {
                let (turn, open) = self.in_flight.remove(name).context("finish: no such turn in flight")?;
                self.end(turn, open, expect)?;
            }
            Step::WaitMs(ms) => self.host.clock().advance_ms(*ms),
            Step::Update { settings, refused } => {
                let mut patched = self.settings.clone();
                super::merge(&mut patched, settings);
                let configured = self.vms.iter().map(|vm| vm.plugin("seqroute", patched.to_string()));
                let configured: Result<Vec<_>, _> = configured.collect();
                ensure!(configured.is_err() == *refused, "update: {:?}", configured.err());
                if let Ok(plugins) = configured {
                    (self.plugins, self.settings) = (plugins, patched);
                }
            }
            Step::Crash => self.vms[0].inject_trap_on_next_call(),
            Step::SharedDataConflicts => {
                for write in 0..MAX_ATTEMPTS {
                    self.vms[0].inject_fault("proxy_set_shared_data", write, Fault::Status(CAS_MISMATCH));
                }
            }
        }
        Ok(())
    }

    /// The client sends its request.
    fn request(&mut self, turn: &Turn) -> Result<Open> {
        let request = Request::of(self.scenario, turn)?;
        let plugin = self.plugins.get(turn.worker).context("worker: no such worker")?;
        let mut open = Open { stream: plugin.stream(), cluster: None, attempts: 0, crashed: false };
        let headers = at_the_edge(&request);
        let mut passes = self.survives(&mut open, |stream| {
            stream.request_headers(headers, request.pieces.is_empty()).map(|step| step.state)
        });
        for (piece, end) in self.delivery.of(&request.pieces, !request.pieces.is_empty()) {
            if passes {
                passes = self
                    .survives(&mut open, |stream| stream.request_body(&piece, end).map(|step| step.state));
            }
        }
        if passes && open.stream.upstream_request_complete() {
            let headers = open.stream.upstream_request_headers().context("a request without headers")?;
            open.cluster = Some(headers.get_str(CLUSTER_HEADER).unwrap_or_default());
        }
        Ok(open)
    }

    /// Runs a callback; returns whether the stream continues.
    fn survives(
        &mut self,
        open: &mut Open,
        run: impl FnOnce(&mut Stream) -> Result<StepState, seqroute_harness::Error>,
    ) -> bool {
        match run(&mut open.stream) {
            Ok(state) => !matches!(state, StepState::Replied | StepState::Reset),
            Err(_) => {
                open.crashed = true;
                false
            }
        }
    }

    /// The model server answers or fails, or the client leaves, and the stream ends.
    fn end(&mut self, turn: &Turn, mut open: Open, expect: &Expect) -> Result<()> {
        if let Some(cluster) = open.cluster.clone() {
            if MODELS.contains(&cluster.as_str()) {
                self.answer(turn, &mut open)?;
            } else {
                open.cluster = None;
                self.envoy_answers(&mut open, 503, "", "cluster_not_found", NO_CLUSTER_FOUND);
            }
        }
        if !open.crashed {
            open.stream.finish()?;
        } else {
            // Envoy does not log a stream whose VM died.
            open.stream.finish().ok();
        }
        let seen = see(turn, open);
        let number = self.turns.len() + 1;
        self.wrong.extend(
            expectation::check(expect, &seen).into_iter().map(|line| format!("turn {number} to end: {line}")),
        );
        self.turns.push(seen);
        Ok(())
    }

    fn answer(&mut self, turn: &Turn, open: &mut Open) -> Result<()> {
        let retries = if self.scenario.route.retry_5xx { RETRIES } else { 0 };
        let attempt = |index: usize| turn.upstream.get(index).or(turn.upstream.last());
        let mut upstream = attempt(0).context("upstream: found none for a request that reached a server")?;
        open.attempts = 1;
        while open.attempts <= retries && (500..600).contains(&upstream.status) {
            upstream = attempt(open.attempts).unwrap_or(upstream);
            open.attempts += 1;
        }
        if turn.client_leaves == Some(Leave::BeforeAnswer) {
            return Ok(());
        }
        match upstream.ends {
            End::ResetBeforeHeaders => {
                let text = "upstream connect error or disconnect/reset before headers. reset reason: \
                            connection termination";
                let details = "upstream_reset_before_response_started{connection_termination}";
                self.envoy_answers(open, 503, text, details, UPSTREAM_CONNECTION_TERMINATION);
                Ok(())
            }
            End::NeverBegins => {
                let timeout = self.scenario.route.timeout_ms;
                self.host.clock().advance_ms(timeout.context("ends: never_begins without a timeout")?);
                let text = "upstream request timeout";
                self.envoy_answers(open, 504, text, "response_timeout", UPSTREAM_REQUEST_TIMEOUT);
                Ok(())
            }
            End::Whole | End::ResetAfterBody | End::NeverEnds => self.server_answers(turn, open, upstream),
        }
    }

    /// An answer of Envoy itself; it passes through the filter like any other. Its details and flags say why.
    fn envoy_answers(&mut self, open: &mut Open, status: u16, text: &str, details: &str, flags: i64) {
        open.stream.set_property(&["response", "code_details"], details);
        open.stream.set_property(&["response", "flags"], flags.to_le_bytes());
        let mut headers = HeaderMap::from(&[(":status", status.to_string())]);
        if !text.is_empty() {
            headers.add("content-length", text.len().to_string());
            headers.add("content-type", "text/plain");
        }
        let passes = self.survives(open, |stream| {
            stream.response_headers(headers, text.is_empty()).map(|step| step.state)
        });
        if passes && !text.is_empty() {
            self.survives(open, |stream| stream.response_body(text, true).map(|step| step.state));
        }
    }

    fn server_answers(&mut self, turn: &Turn, open: &mut Open, upstream: &Upstream) -> Result<()> {
        open.stream.set_property(&["response", "code_details"], "via_upstream");
        let mut headers = HeaderMap::from(&[(":status", upstream.status.to_string())]);
        for (name, value) in script::headers(upstream) {
            // Envoy's decompressor removes it before the filter.
            if name != "content-encoding" {
                headers.add(name, value);
            }
        }
        let mut pieces = script::pieces(upstream)?;
        if let Some(Leave::AfterBytes(bytes)) = turn.client_leaves {
            let sent: usize = pieces.iter().map(Vec::len).sum();
            ensure!(
                sent == bytes,
                "client_leaves: found after {bytes} bytes of {sent}, expected all: the rest would arrive in one world and not in the other"
            );
        }
        // The decompressor adds trailers to what it decompressed, so the body's last piece is not the end.
        let trailers = upstream.gzip;
        let ends = upstream.ends == End::Whole;
        if pieces.is_empty() {
            self.survives(open, |stream| stream.response_headers(headers, ends).map(|step| step.state));
            return Ok(());
        }
        let mut passes =
            self.survives(open, |stream| stream.response_headers(headers, false).map(|step| step.state));
        for (piece, end) in self.delivery.of(&std::mem::take(&mut pieces), ends && !trailers) {
            if passes {
                passes =
                    self.survives(open, |stream| stream.response_body(&piece, end).map(|step| step.state));
            }
        }
        if passes && trailers {
            let trailers = [("x-envoy-decompressor-gzip-compressed-bytes", "1")];
            self.survives(open, |stream| stream.response_trailers(&trailers).map(|step| step.state));
        }
        Ok(())
    }
}

/// The request's headers as the filter gets them, after what the shipped `envoy.yaml` does at the edge.
#[must_use]
pub fn at_the_edge(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::from(&[
        (":authority", "llm"),
        (":path", request.path.as_str()),
        (":method", request.method.as_str()),
        (":scheme", "http"),
    ]);
    for (name, value) in &request.headers {
        headers.add(name, value);
    }
    if request.chunked {
        headers.add("transfer-encoding", "chunked");
    } else if !request.pieces.is_empty() {
        headers.add("content-length", request.body_len().to_string());
    }
    let of_answers =
        ["x-seqroute-model", "x-seqroute-reason", "x-seqroute-policy", "x-seqroute-budget-remaining"];
    of_answers.into_iter().for_each(|name| headers.remove(name));
    let of_envoy: Vec<Vec<u8>> = headers
        .iter()
        .filter(|(name, _)| name.starts_with(b"x-envoy-"))
        .map(|(name, _)| name.to_vec())
        .collect();
    of_envoy.into_iter().for_each(|name| headers.remove(name));
    headers.set(CLUSTER_HEADER, MODELS[0]);
    headers
}

fn see(turn: &Turn, open: Open) -> TurnSeen {
    let stream = &open.stream;
    let left = turn.client_leaves.is_some() && open.cluster.is_some();
    let headers =
        stream.client_response_headers().filter(|_| turn.client_leaves != Some(Leave::BeforeAnswer));
    let status = headers.as_ref().and_then(|headers| headers.get_str(":status")?.parse().ok()).unwrap_or(0);
    let upstream = open.cluster.as_ref().map(|server| {
        let headers = stream.upstream_request_headers().unwrap_or_default();
        UpstreamSeen {
            server: server.clone(),
            path: headers.get_str(":path").unwrap_or_default().to_owned(),
            attempts: open.attempts,
            headers: seen::upstream_headers(headers.iter()),
            body: String::from_utf8_lossy(&stream.upstream_request_body()).into_owned(),
        }
    });
    let record = stream.filter_state("seqroute").and_then(|json| serde_json::from_slice(&json).ok());
    TurnSeen {
        status,
        headers: headers.map(|headers| seen::response_headers(headers.iter())).unwrap_or_default(),
        body: String::from_utf8_lossy(&stream.client_response_body()).into_owned(),
        complete: stream.client_response_complete() && !stream.is_reset() && !left,
        upstream,
        record: record.map(seen::record),
    }
}
