//! Scenarios in a real Envoy, one after the other, because they share its counters.
//!
//! Nothing waits for a fixed time where there is an event: a turn is in flight once the model server has its request,
//! and over once its decision record is in the log. An update is in force once Envoy counts it as applied in all
//! workers, and a turn has left no record if the next record is that of a later request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use seqroute_core::request::session_id::SessionId;
use seqroute_envoy::gateway::Listener;
use seqroute_envoy::launcher::RoutePatch;
use seqroute_envoy::mock_llm::{KEY_HEADER, SCRIPT_HEADER, script_header};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::client::{Client, Got};
use super::expectation;
use super::format::{Expect, Leave, Route, Scenario, Step, Turn, World};
use super::request::Request;
use super::seen::{self, Seen, TurnSeen, UpstreamSeen};
use super::{script, settings_of};
use crate::support::gateway::Gateway;
use crate::support::settings;

/// Longest wait for any event.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// The listeners that scenarios need, and which each of them uses.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    /// For [`Gateway::start`].
    pub specs: Vec<Listener>,
    of: BTreeMap<String, String>,
}

impl Listeners {
    /// One listener for all scenarios with equal settings and route, and one for each scenario that changes them.
    ///
    /// # Errors
    /// When the settings of a scenario cannot be made.
    pub fn of(scenarios: &[Scenario]) -> Result<Listeners> {
        let mut listeners = Listeners::default();
        let mut shared: Vec<Listener> = Vec::new();
        for scenario in scenarios.iter().filter(|scenario| scenario.runs_in(World::Envoy)) {
            let settings = settings_of(scenario)?;
            let route = route(&scenario.route);
            let changes = scenario.steps.iter().any(|step| matches!(step, Step::Update { .. }));
            let known = shared.iter().find(|known| known.settings == settings && known.route == route);
            let name = match known {
                Some(known) if !changes => known.name.clone(),
                _ => {
                    let name = format!("scenarios-{}", listeners.specs.len());
                    let spec = Listener { name: name.clone(), settings, route };
                    shared.extend((!changes).then(|| spec.clone()));
                    listeners.specs.push(spec);
                    name
                }
            };
            listeners.of.insert(scenario.name.clone(), name);
        }
        Ok(listeners)
    }
}

fn route(route: &Route) -> RoutePatch {
    let retry_on = route.retry_5xx.then(|| "5xx".to_owned());
    RoutePatch { timeout_ms: route.timeout_ms, retry_on, ..RoutePatch::default() }
}

/// Plays a scenario; returns its result, and a line for each difference from what is expected.
///
/// # Errors
/// When the scenario contradicts itself, or something does not happen within ten seconds.
pub async fn play(
    gateway: &Gateway,
    listeners: &Listeners,
    scenario: &Scenario,
) -> Result<(Seen, Vec<String>)> {
    let listener = listeners.of.get(&scenario.name).context("a scenario without a listener")?;
    let before = gateway.counters().await?;
    let mut run = Run {
        gateway,
        listener,
        scenario,
        settings: settings_of(scenario)?,
        records_read: gateway.decisions(listener).len(),
        in_flight: BTreeMap::new(),
        sent: 0,
        turns: Vec::new(),
        wrong: Vec::new(),
    };
    for (index, step) in scenario.steps.iter().enumerate() {
        run.step(step).await.with_context(|| format!("step {}", index + 1))?;
    }
    ensure!(run.in_flight.is_empty(), "turns left in flight: {:?}", run.in_flight.keys());
    let after = gateway.counters().await?;
    run.nothing_more_is_recorded().await?;
    let seen = Seen { turns: run.turns, counters: seen::counters(&before, &after) };
    run.wrong.extend(expectation::check_counters(scenario, &seen.counters));
    Ok((seen, run.wrong))
}

struct Run<'a> {
    gateway: &'a Gateway,
    listener: &'a str,
    scenario: &'a Scenario,
    settings: Value,
    records_read: usize,
    in_flight: BTreeMap<String, (&'a Turn, Open)>,
    sent: usize,
    turns: Vec<TurnSeen>,
    wrong: Vec<String>,
}

/// A turn whose request was sent.
struct Open {
    key: String,
    answer: JoinHandle<Result<Got>>,
}

impl<'a> Run<'a> {
    async fn step(&mut self, step: &'a Step) -> Result<()> {
        match step {
            Step::Turn(turn) => {
                let open = self.send(turn).await?;
                match &turn.in_flight {
                    Some(name) => {
                        self.wait_until_received(&open).await?;
                        self.in_flight.insert(name.clone(), (turn, open));
                    }
                    None => self.end(turn, open, &turn.expect).await?,
                }
            }
            Step::Finish { turn: name, expect } => {
                let (turn, open) = self.in_flight.remove(name).context("finish: no such turn in flight")?;
                self.end(turn, open, expect).await?;
            }
            Step::WaitMs(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::Update { settings, refused } => self.update(settings, *refused).await?,
            Step::Crash | Step::SharedDataConflicts => bail!("{step:?}: Envoy cannot be made to do this"),
        }
        Ok(())
    }

    async fn send(&mut self, turn: &Turn) -> Result<Open> {
        let request = Request::of(self.scenario, turn)?;
        self.sent += 1;
        let key = format!("{}-{}", self.scenario.name, self.sent);
        let hold = turn.in_flight.is_some().then_some(key.as_str());
        let answers = turn.upstream.iter().map(|upstream| script::answer(upstream, hold));
        let answers = answers.collect::<Result<Vec<_>>>()?;
        let mut extra = vec![(KEY_HEADER, key.clone())];
        if !answers.is_empty() {
            extra.push((SCRIPT_HEADER, script_header(&answers)));
        }
        let client = Client::send(self.gateway.address(self.listener), &request, &extra).await?;
        let enough = match turn.client_leaves {
            Some(Leave::AfterBytes(bytes)) => Some(bytes),
            Some(Leave::BeforeAnswer) | None => None,
        };
        Ok(Open { key, answer: tokio::spawn(client.answer(enough)) })
    }

    /// Waits until a model server has the request.
    async fn wait_until_received(&self, open: &Open) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.received(&open.key).is_none() {
            ensure!(!open.answer.is_finished(), "the turn was answered before it came to a model server");
            ensure!(Instant::now() < deadline, "the request did not come to any model server");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn end(&mut self, turn: &Turn, open: Open, expect: &Expect) -> Result<()> {
        for upstream in &self.gateway.upstreams {
            upstream.release(&open.key);
        }
        let got = if turn.client_leaves == Some(Leave::BeforeAnswer) {
            self.wait_until_received(&open).await?;
            open.answer.abort();
            open.answer.await.ok();
            Got::default()
        } else {
            open.answer.await??
        };
        let record = match expect.record {
            Some(false) => None,
            _ => Some(self.next_record().await?),
        };
        let headers = got.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        let seen = TurnSeen {
            status: got.status,
            headers: seen::response_headers(headers),
            body: String::from_utf8_lossy(&got.body).into_owned(),
            complete: got.complete && turn.client_leaves.is_none(),
            upstream: self.received(&open.key),
            record: record.map(seen::record),
        };
        let number = self.turns.len() + 1;
        self.wrong.extend(
            expectation::check(expect, &seen).into_iter().map(|line| format!("turn {number} to end: {line}")),
        );
        self.turns.push(seen);
        Ok(())
    }

    async fn next_record(&mut self) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.gateway.decisions(self.listener).get(self.records_read) {
                self.records_read += 1;
                return serde_json::from_str(line).with_context(|| format!("not a record: {line}"));
            }
            ensure!(Instant::now() < deadline, "no decision record came");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Checks that no turn left an unexpected record. A listener writes records in the order in which streams end, so
    /// one more turn is sent, and its record must be the next.
    async fn nothing_more_is_recorded(&mut self) -> Result<()> {
        let session = format!("{}-last", self.scenario.name);
        let request = self.gateway.chat(self.listener, r#"{"model":"auto","max_tokens":1,"messages":[]}"#);
        self.gateway.send(request.header("x-session-id", &session)).await?;
        let own = SessionId::new(settings::SALT.as_bytes(), b"", session.as_bytes()).to_string();
        let record = self.next_record().await?;
        ensure!(record["session"] == own.as_str(), "found a decision record that no turn expects: {record}");
        Ok(())
    }

    fn received(&self, key: &str) -> Option<UpstreamSeen> {
        let mut found = None;
        let mut servers = BTreeSet::new();
        for upstream in &self.gateway.upstreams {
            let requests = upstream.received().into_iter();
            let of_this = requests.filter(|request| request.header(KEY_HEADER) == Some(key));
            for request in of_this {
                servers.insert(upstream.model());
                let attempts = found.map_or(0, |found: UpstreamSeen| found.attempts) + 1;
                let headers = request.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
                found = Some(UpstreamSeen {
                    server: servers.iter().copied().collect::<Vec<_>>().join(" and "),
                    path: request.path.clone(),
                    attempts,
                    headers: seen::upstream_headers(headers),
                    body: String::from_utf8_lossy(&request.body).into_owned(),
                });
            }
        }
        found
    }

    async fn update(&mut self, patch: &Value, refused: bool) -> Result<()> {
        let mut patched = self.settings.clone();
        super::merge(&mut patched, patch);
        // Envoy counts a reload when the last worker has it (`FilterConfigSubscription::updateComplete`); what it
        // refuses never leaves its main thread.
        let counters = if refused {
            "http_filter.seqroute.update_rejected"
        } else {
            "http_filter.seqroute.config_reload"
        };
        let sum = async || Ok::<u64, anyhow::Error>(self.gateway.envoy.stats(counters).await?.values().sum());
        let before = sum().await?;
        self.gateway.deploy(self.listener, &patched)?;
        let deadline = Instant::now() + PATIENCE;
        while sum().await? <= before {
            ensure!(Instant::now() < deadline, "update: `{counters}` did not rise");
            tokio::time::sleep(POLL).await;
        }
        if !refused {
            self.settings = patched;
        }
        Ok(())
    }
}
