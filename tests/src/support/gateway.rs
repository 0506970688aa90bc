//! A real Envoy with the compiled filter, in front of three mock model servers.
//!
//! Envoy compiles the module for several seconds, so the tests of one process share a gateway and keep apart by
//! session ids; every listener has a plugin configuration of its own, all share one table of sessions.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{RequestBuilder, Response};
use seqroute_sessions::deploy;
use seqroute_core::reply::record::DecisionRecord;
use seqroute_core::request::session_id::SessionId;
use seqroute_envoy::launcher::{Envoy, EnvoyBinary, EnvoySpec, ListenerSpec, RoutePatch};
use seqroute_envoy::mock_llm::MockLlm;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{module, settings};

/// The models of [`settings::plugin`].
pub const MODELS: [&str; 3] = ["small", "medium", "large"];

/// A listener with the filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The plugin configuration.
    pub settings: Value,
    /// How its route differs from the shipped one.
    pub route: RoutePatch,
    /// Whether others with the same settings may use it.
    pub shared: bool,
}

impl Listener {
    /// A listener with the shipped route.
    #[must_use]
    pub fn new(name: &str, settings: Value) -> Listener {
        Listener { name: name.to_owned(), settings, route: RoutePatch::default(), shared: true }
    }
}

/// Envoy and the model servers behind it.
pub struct Gateway {
    /// The process.
    pub envoy: Envoy,
    /// One server per model, in the order of [`MODELS`].
    pub upstreams: Vec<MockLlm>,
    client: reqwest::Client,
    run_dir: TempDir,
}

impl Gateway {
    /// Starts Envoy with one listener per `(name, plugin configuration)`, and one named `plain` without the filter.
    ///
    /// # Errors
    /// When the filter or Envoy is missing, or Envoy does not come up with every configuration accepted.
    pub async fn start(workers: u32, listeners: &[(&str, Value)]) -> Result<Gateway> {
        let listener = |(name, settings): &(&str, Value)| Listener::new(name, settings.clone());
        Gateway::start_listeners(workers, &listeners.iter().map(listener).collect::<Vec<_>>()).await
    }

    /// Starts Envoy with these listeners, and one named `plain` without the filter.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub async fn start_listeners(workers: u32, listeners: &[Listener]) -> Result<Gateway> {
        let address: SocketAddr = "127.0.0.1:0".parse()?;
        let upstreams =
            MODELS.iter().map(|model| MockLlm::start(*model, address)).collect::<Result<Vec<_>>>()?;
        let run_dir = tempfile::tempdir()?;
        let mut spec = EnvoySpec::new(EnvoyBinary::locate()?, run_dir.path());
        spec.concurrency = workers;
        spec.upstreams =
            MODELS.iter().map(|model| (*model).to_owned()).zip(upstreams.iter().map(MockLlm::addr)).collect();
        spec.listeners = vec![ListenerSpec::plain("plain")];
        std::fs::create_dir_all(run_dir.path().join("ecds"))?;
        for listener in listeners {
            let file = ecds_file(&run_dir, &listener.name);
            deploy::write_atomically(&file, &resource(&listener.settings, "1")?)?;
            let route = listener.route.clone();
            spec.listeners.push(ListenerSpec { route, ..ListenerSpec::seqroute(&listener.name, file) });
        }
        let envoy = Envoy::start(spec).await?;
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(64).build()?;
        Ok(Gateway { envoy, upstreams, client, run_dir })
    }

    /// Replaces the configuration of one listener as an operator does: a new file, renamed into place.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn deploy(&self, listener: &str, settings: &Value, version: &str) -> Result<()> {
        Ok(deploy::write_atomically(&ecds_file(&self.run_dir, listener), &resource(settings, version)?)?)
    }

    /// A chat request to a listener, to be completed and sent by the test.
    ///
    /// # Panics
    /// When there is no such listener.
    pub fn chat(&self, listener: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let url = self.envoy.url(listener).expect("a listener of this gateway");
        let request = self.client.post(format!("{url}/v1/chat/completions"));
        request.header("content-type", "application/json").body(body)
    }

    /// The address of a listener.
    ///
    /// # Panics
    /// When there is no such listener.
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.envoy.listener(listener).expect("a listener of this gateway")
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn send(&self, request: RequestBuilder) -> Result<(u16, reqwest::header::HeaderMap, Vec<u8>)> {
        let response: Response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok((status, headers, response.bytes().await?.to_vec()))
    }

    /// The decision records of one session of a listener, as soon as there are `count`.
    ///
    /// # Errors
    /// When they do not come within ten seconds, or a line is no record.
    pub async fn records(&self, listener: &str, session: &str, count: usize) -> Result<Vec<DecisionRecord>> {
        let id = SessionId::new(settings::SALT.as_bytes(), b"", session.as_bytes()).to_string();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let mut records = Vec::new();
            for line in self.decisions(listener).iter().filter(|line| line.contains(&id)) {
                let record = serde_json::from_str(line).with_context(|| format!("no record: {line}"))?;
                records.push(record);
            }
            if records.len() >= count {
                return Ok(records);
            }
            if Instant::now() > deadline {
                bail!("found {} of {count} records of `{session}` on `{listener}`", records.len());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The decision records of a listener so far, as whole lines of text.
    #[must_use]
    pub fn decisions(&self, listener: &str) -> Vec<String> {
        let path = self.run_dir.path().join(format!("decisions-{listener}.jsonl"));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }

    /// A counter of the filter, over all workers.
    ///
    /// # Errors
    /// When the admin page does not answer.
    pub async fn counter(&self, name: &str) -> Result<u64> {
        let stats = self.envoy.stats(&format!("seqroute\\.{name}$")).await?;
        Ok(stats
            .iter()
            .find(|(key, _)| key.ends_with(&format!("seqroute.{name}")))
            .map_or(0, |(_, value)| *value))
    }

    /// granted − settled − refunded − expired, over all sessions.
    ///
    /// # Errors
    /// When the admin page does not answer.
    pub async fn outstanding(&self) -> Result<i128> {
        let mut sum = i128::from(self.counter("granted_nano_usd").await?);
        for name in ["settled", "refunded", "expired"] {
            sum -= i128::from(self.counter(&format!("{name}_nano_usd")).await?);
        }
        Ok(sum)
    }
}

fn ecds_file(run_dir: &TempDir, listener: &str) -> PathBuf {
    run_dir.path().join("ecds").join(format!("{listener}.json"))
}

fn resource(settings: &Value, version: &str) -> Result<Value> {
    let wasm = module::path()?;
    Ok(deploy::resource("seqroute", "seqroute", &wasm.to_string_lossy(), &settings.to_string(), version))
}
