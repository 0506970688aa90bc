//! A real Envoy with the compiled filter, in front of three mock model servers.
//!
//! Envoy compiles the module for several seconds, so the tests of one process share a gateway and keep apart by
//! session ids; every listener has a plugin configuration of its own, all share one table of sessions.

use std::collections::BTreeMap;
use std::ops::Deref;

use anyhow::Result;
use seqroute_envoy::gateway::{Gateway as Running, Listener};

use super::module;
use super::money::outstanding_nano_usd;

/// [`Running`] with the compiled filter of these tests, and readers of its counters.
pub struct Gateway {
    running: Running,
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
        Ok(Gateway { running: Running::start(&module::path()?, workers, listeners).await? })
    }

    /// Stops Envoy and waits for its end.
    pub async fn stop(self) {
        self.running.envoy.stop().await;
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
