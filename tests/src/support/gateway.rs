//! A real Envoy with the compiled filter, in front of three mock model servers.
//!
//! Envoy compiles the module for several seconds, so the tests of one process share a gateway and keep apart by
//! session ids; every listener has a plugin configuration of its own, all share one table of sessions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{RequestBuilder, Response};
use seqroute_core::reply::record::DecisionRecord;
use seqroute_core::request::session_id::SessionId;
use seqroute_envoy::demo::gateway::{Gateway as Running, Listener};
use tempfile::TempDir;

use super::money::outstanding_nano_usd;
use super::{module, settings};

/// How long a decision record may take from the end of its turn to the log.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Envoy and the model servers behind it, with a client and readers of what the filter wrote.
pub struct Gateway {
    running: Running,
    client: reqwest::Client,
    // Removed after Envoy has stopped: fields are dropped in order.
    _run_dir: TempDir,
}

impl Deref for Gateway {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Gateway {
    /// Starts Envoy with these listeners, and one named `plain` without the filter.
    ///
    /// # Errors
    /// When the filter or Envoy is missing, or Envoy does not come up with every configuration accepted.
    pub async fn start(workers: u32, listeners: &[Listener]) -> Result<Gateway> {
        let run_dir = tempfile::tempdir()?;
        let running = Running::start_with(run_dir.path(), &module::path()?, listeners, workers).await?;
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(64).build()?;
        Ok(Gateway { running, client, _run_dir: run_dir })
    }

    /// Stops Envoy and waits for its end.
    pub async fn stop(self) {
        self.running.envoy.stop().await;
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
    /// When the answer does not arrive completely.
    pub async fn send(&self, request: RequestBuilder) -> Result<(u16, reqwest::header::HeaderMap, Vec<u8>)> {
        let response: Response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok((status, headers, response.bytes().await?.to_vec()))
    }

    /// The decision records of one session of a listener, as soon as there are `count`.
    ///
    /// # Errors
    /// When they do not come within ten seconds, or a line is not a record.
    pub async fn records(&self, listener: &str, session: &str, count: usize) -> Result<Vec<DecisionRecord>> {
        let id = SessionId::new(settings::SALT.as_bytes(), b"", session.as_bytes()).to_string();
        let deadline = Instant::now() + RECORD_TIMEOUT;
        loop {
            let mut records = Vec::new();
            for line in self.decisions(listener).iter().filter(|line| line.contains(&id)) {
                let record = serde_json::from_str(line).with_context(|| format!("not a record: {line}"))?;
                records.push(record);
            }
            if records.len() >= count {
                return Ok(records);
            }
            if Instant::now() > deadline {
                bail!("found {} of {count} records of `{session}` on `{listener}`", records.len());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The decision records of a listener so far, as whole lines of text.
    #[must_use]
    pub fn decisions(&self, listener: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.decision_log(listener)).unwrap_or_default();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }

    /// The filter's counters over all workers, by their names without `seqroute.`; those at 0 may be absent.
    ///
    /// # Errors
    /// When the admin page does not answer.
    pub async fn counters(&self) -> Result<BTreeMap<String, u64>> {
        let stats = self.envoy.stats("seqroute\\.").await?;
        let own = stats.into_iter().filter(|(name, _)| !name.contains("config_discovery"));
        Ok(own
            .filter_map(|(name, value)| Some((name.rsplit_once("seqroute.")?.1.to_owned(), value)))
            .collect())
    }

    /// How often a VM of the filter was replaced after a crash, over all workers.
    ///
    /// # Errors
    /// When the admin page does not answer.
    pub async fn vm_reloads(&self) -> Result<u64> {
        Ok(self.envoy.stats("vm_reload_success").await?.values().sum())
    }

    /// Reserved nano-USD of turns that have not ended, over all sessions.
    ///
    /// # Errors
    /// When the admin page does not answer.
    pub async fn outstanding_nano_usd(&self) -> Result<i128> {
        let counters = self.counters().await?;
        Ok(outstanding_nano_usd("", |name| counters.get(name).copied().unwrap_or(0)))
    }
}
