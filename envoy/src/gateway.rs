//! A real Envoy with the compiled filter in front of mock model servers: what the demo, the benchmark, the load run and
//! the tests start.
//!
//! Envoy compiles the module once per process, which takes several seconds, so one gateway has many listeners. Each has
//! a plugin configuration of its own; all share one table of sessions and one set of counters. The listener [`PLAIN`]
//! has no filter, to compare with.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use seqroute_core::money::NanoUsd;
use seqroute_core::reply::record::DecisionRecord;
use seqroute_core::request::session_id::SessionId;
use serde_json::{Value, json};
use tempfile::TempDir;

use seqroute_sessions::deploy;

use crate::chat;
use crate::launcher::{Envoy, EnvoyBinary, EnvoySpec, ListenerSpec, RoutePatch};
use crate::mock_llm::MockLlm;

/// The plugin configuration that operators copy; it has no policy in it.
pub const SHIPPED_PLUGIN: &str = include_str!("../plugin.json");
/// The models of [`SHIPPED_PLUGIN`]. Each has a cluster of its name and one mock server.
pub const MODELS: [&str; 3] = ["small", "medium", "large"];
/// The listener without the filter.
pub const PLAIN: &str = "plain";
/// How long a decision record may take to be written.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a condition is checked while waiting for it.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A listener with the filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// The plugin configuration.
    pub settings: Value,
    /// Overrides of the shipped route.
    pub route: RoutePatch,
}

impl Listener {
    /// A listener with the shipped route.
    #[must_use]
    pub fn new(name: &str, settings: Value) -> Listener {
        Listener { name: name.to_owned(), settings, route: RoutePatch::default() }
    }

    /// A listener with the shipped plugin configuration but this strategy; callers may set budgets up to 1000 USD and
    /// begin any number of sessions, for all of them have one address. The policy is used by the strategy `policy` only.
    ///
    /// # Errors
    /// When the filter would refuse the configuration.
    pub fn shipped(name: &str, strategy: &Value, policy: &[u8]) -> Result<Listener> {
        let mut settings: Value = serde_json::from_str(SHIPPED_PLUGIN)?;
        settings["strategy"] = strategy.clone();
        settings["salt"] = json!("salt of the demo");
        settings["budget"]["trust_header"] = json!(true);
        settings["budget"]["max_usd"] = json!("1000");
        allow_mock_traffic(&mut settings);
        let policy = (*strategy == json!("policy")).then_some(policy);
        let settings =
            deploy::plugin_config(&settings.to_string(), policy).map_err(|error| anyhow!(error))?;
        Ok(Listener::new(name, serde_json::from_str(&settings)?))
    }
}

/// Lets a configuration serve generated traffic: all sessions come from one address, headers direct the mock servers, and
/// every record is waited for.
pub fn allow_mock_traffic(settings: &mut Value) {
    settings["callers"] = json!({"enabled": false});
    settings["forward"] = json!({"headers": ["x-mock-*"]});
    settings["record"] = json!({"refusals_per_second": 1_000_000});
}

/// A running Envoy and its model servers. Dropping it stops all of them and removes their files.
pub struct Gateway {
    /// The process.
    pub envoy: Envoy,
    /// One server per model, in the order of [`MODELS`].
    pub upstreams: Vec<MockLlm>,
    client: Client,
    wasm: PathBuf,
    salts: BTreeMap<String, String>,
    // Dropped last: Envoy writes into it.
    run_dir: TempDir,
}

impl Gateway {
    /// Starts Envoy with the module at `wasm`, these listeners, and [`PLAIN`].
    ///
    /// # Errors
    /// When Envoy or the module is missing, or Envoy refuses a configuration.
    pub async fn start(wasm: &Path, workers: u32, listeners: &[Listener]) -> Result<Gateway> {
        let wasm =
            wasm.canonicalize().with_context(|| format!("{}: run `make wasm` first", wasm.display()))?;
        let address: SocketAddr = "127.0.0.1:0".parse()?;
        let upstreams =
            MODELS.iter().map(|model| MockLlm::start(*model, address)).collect::<Result<Vec<_>>>()?;
        let run_dir = tempfile::tempdir()?;
        std::fs::create_dir(run_dir.path().join("ecds"))?;

        let mut spec = EnvoySpec::new(EnvoyBinary::locate()?, run_dir.path());
        spec.concurrency = workers;
        spec.upstreams =
            MODELS.iter().map(|model| (*model).to_owned()).zip(upstreams.iter().map(MockLlm::addr)).collect();
        spec.listeners = vec![ListenerSpec::plain(PLAIN)];
        for listener in listeners {
            let file = ecds_file(run_dir.path(), &listener.name);
            write_resource(&file, &wasm, &listener.settings)?;
            let route = listener.route.clone();
            spec.listeners.push(ListenerSpec { route, ..ListenerSpec::seqroute(&listener.name, file) });
        }
        let salt_of = |settings: &Value| settings["salt"].as_str().unwrap_or_default().to_owned();
        let salts = listeners.iter().map(|one| (one.name.clone(), salt_of(&one.settings))).collect();
        let envoy = Envoy::start(spec).await?;
        let client = Client::builder().no_proxy().build()?;
        Ok(Gateway { envoy, upstreams, client, wasm, salts, run_dir })
    }

    /// Replaces the configuration of one listener as an operator does: a new file, renamed into place. The salt must
    /// stay the same.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn deploy(&self, listener: &str, settings: &Value) -> Result<()> {
        write_resource(&ecds_file(self.run_dir.path(), listener), &self.wasm, settings)
    }

    /// An HTTP client without proxies, whose connections its clones share.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The address of a listener.
    ///
    /// # Panics
    /// When the gateway has no listener of this name.
    #[must_use]
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.envoy.listener(listener).expect("a listener of this gateway")
    }

    /// The base URL of a listener, without a slash at the end.
    ///
    /// # Panics
    /// When the gateway has no listener of this name.
    #[must_use]
    pub fn url(&self, listener: &str) -> String {
        format!("http://{}", self.address(listener))
    }

    /// A chat request to a listener; the caller adds headers and sends it.
    ///
    /// # Panics
    /// When the gateway has no listener of this name.
    pub fn chat(&self, listener: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        chat::post(&self.client, &self.url(listener), body)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the answer is cut or does not come.
    pub async fn send(&self, request: RequestBuilder) -> Result<(u16, HeaderMap, Vec<u8>)> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok((status, headers, response.bytes().await?.to_vec()))
    }

    /// The decision records of a listener so far, one JSON text each, oldest first.
    #[must_use]
    pub fn decisions(&self, listener: &str) -> Vec<String> {
        let path = ListenerSpec::plain(listener).decision_log_in(self.run_dir.path());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // The last line may be half written.
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }

    /// The decision records of one session, as soon as there are `count`.
    ///
    /// # Errors
    /// When they do not come within `RECORDS_TIMEOUT`, or a line is not a decision record.
    pub async fn records(&self, listener: &str, session: &str, count: usize) -> Result<Vec<DecisionRecord>> {
        let id = logged_id(&self.salt(listener), session);
        let deadline = Instant::now() + RECORDS_TIMEOUT;
        loop {
            let lines = self.decisions(listener);
            let own = lines.iter().filter(|line| line.contains(&id));
            let records = own.map(|line| parse_record(line)).collect::<Result<Vec<_>>>()?;
            if records.len() >= count {
                return Ok(records);
            }
            if Instant::now() > deadline {
                bail!("found {} of {count} records of `{session}` on `{listener}`", records.len());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// What the decision records of a listener charge, as soon as they are `complete`.
    ///
    /// # Errors
    /// When that does not happen within `RECORDS_TIMEOUT`, or a line is not a decision record.
    pub async fn charges(&self, listener: &str, complete: impl Fn(&Charges) -> bool) -> Result<Charges> {
        let deadline = Instant::now() + RECORDS_TIMEOUT;
        loop {
            let mut charges = Charges { salt: self.salt(listener), by_session: HashMap::new() };
            for line in self.decisions(listener) {
                let record = parse_record(&line)?;
                let (sum, count) = charges.by_session.entry(record.session.unwrap_or_default()).or_default();
                *sum = sum.saturating_add(record.charged_nano_usd);
                *count += 1;
            }
            if complete(&charges) {
                return Ok(charges);
            }
            if Instant::now() > deadline {
                bail!("decision records are missing on `{listener}`: found {}", charges.records());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// A counter of the filter, over all listeners and workers; 0 if it was never increased.
    ///
    /// # Errors
    /// When the admin page does not answer.
    pub async fn counter(&self, name: &str) -> Result<u64> {
        let stats = self.envoy.stats(&format!("seqroute\\.{name}$")).await?;
        let own = |key: &str| key.ends_with(&format!("seqroute.{name}"));
        Ok(stats.iter().find(|(key, _)| own(key)).map_or(0, |(_, value)| *value))
    }

    /// The money reserved now, in nano-USD: granted − settled − refunded − expired, over all sessions.
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

    fn salt(&self, listener: &str) -> String {
        self.salts.get(listener).cloned().unwrap_or_default()
    }
}

/// What decision records charge each session.
#[derive(Clone, Debug)]
pub struct Charges {
    salt: String,
    by_session: HashMap<String, (NanoUsd, usize)>,
}

impl Charges {
    /// The sum of a session's charges, and the number of its records.
    #[must_use]
    pub fn of(&self, session: &str) -> (NanoUsd, usize) {
        self.by_session.get(&logged_id(&self.salt, session)).copied().unwrap_or_default()
    }

    /// The number of all records.
    #[must_use]
    pub fn records(&self) -> usize {
        self.by_session.values().map(|(_, count)| count).sum()
    }
}

/// A session's id as decision records show it.
fn logged_id(salt: &str, session: &str) -> String {
    SessionId::new(salt.as_bytes(), b"", session.as_bytes()).to_string()
}

fn ecds_file(run_dir: &Path, listener: &str) -> PathBuf {
    run_dir.join("ecds").join(format!("{listener}.json"))
}

fn write_resource(file: &Path, wasm: &Path, settings: &Value) -> Result<()> {
    let settings = settings.to_string();
    let version = deploy::version(&settings);
    let resource = deploy::resource("seqroute", "seqroute", &wasm.to_string_lossy(), &settings, &version);
    deploy::write_atomically(file, &resource).with_context(|| format!("{}", file.display()))
}

fn parse_record(line: &str) -> Result<DecisionRecord> {
    serde_json::from_str(line).with_context(|| format!("not a decision record: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqroute_core::config::ModelConfig;

    #[test]
    fn the_shipped_configuration_serves_the_shipped_policy() {
        let policy = include_bytes!("../policy/default.nnef.tar");
        deploy::plugin_config(SHIPPED_PLUGIN, Some(policy)).unwrap();
        let plugin: Value = serde_json::from_str(SHIPPED_PLUGIN).unwrap();
        // The policy's costs and reservations rest on the simulator's prices and lengths.
        let shipped: Vec<ModelConfig> = serde_json::from_value(plugin["models"].clone()).unwrap();
        assert_eq!(shipped, seqroute_sessions::simulator::tiers());
    }

    #[test]
    fn the_mock_servers_are_those_of_the_shipped_configuration() {
        let plugin: Value = serde_json::from_str(SHIPPED_PLUGIN).unwrap();
        let models = plugin["models"].as_array().unwrap();
        assert!(models.iter().map(|model| &model["cluster"]).eq(MODELS));
        assert!(models.iter().map(|model| &model["name"]).eq(MODELS));
    }
}
