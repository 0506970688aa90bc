//! Envoy as the demo needs it: one listener per policy, all with the shipped plugin configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use seqroute_sessions::deploy;
use serde_json::{Value, json};

use crate::launcher::{Envoy, EnvoyBinary, EnvoySpec, ListenerSpec};
use crate::mock_llm::MockLlm;

/// The shipped plugin configuration, without a policy.
pub const SHIPPED_PLUGIN: &str = include_str!("../../plugin.json");
/// The listener without the filter.
pub const PLAIN: &str = "plain";

/// A running gateway with its model servers.
pub struct Gateway {
    /// The process.
    pub envoy: Envoy,
    run_dir: PathBuf,
    _upstreams: Vec<MockLlm>,
}

impl Gateway {
    /// Starts Envoy with a listener for each `(name, strategy)` and a plain one.
    ///
    /// # Errors
    /// When Envoy, the module or a port is missing, or Envoy refuses a configuration.
    pub async fn start<'a>(
        run_dir: &Path,
        wasm: &Path,
        policy: &[u8],
        strategies: &[(&'a str, Value)],
        workers: u32,
    ) -> Result<Gateway> {
        let plugin: Value = serde_json::from_str(SHIPPED_PLUGIN)?;
        let settings_of = |(name, strategy): &(&'a str, Value)| {
            let mut settings = plugin.clone();
            settings["strategy"] = strategy.clone();
            settings["salt"] = json!(SALT);
            // The demo is its own trusted caller: every session brings its budget.
            settings["budget"]["trust_header"] = json!(true);
            settings["budget"]["max_usd"] = json!("1000");
            let policy = (*strategy == json!("policy")).then_some(policy);
            let settings =
                deploy::plugin_config(&settings.to_string(), policy).map_err(|error| anyhow!(error))?;
            Ok((*name, serde_json::from_str(&settings)?))
        };
        let listeners = strategies.iter().map(settings_of).collect::<Result<Vec<_>>>()?;
        Gateway::start_with(run_dir, wasm, &listeners, workers).await
    }

    /// Starts Envoy with a listener for each `(name, plugin configuration)` and a plain one; the clusters are those of
    /// the shipped configuration.
    ///
    /// # Errors
    /// When Envoy, the module or a port is missing, or Envoy refuses a configuration.
    pub async fn start_with(
        run_dir: &Path,
        wasm: &Path,
        listeners: &[(&str, Value)],
        workers: u32,
    ) -> Result<Gateway> {
        let plugin: Value = serde_json::from_str(SHIPPED_PLUGIN)?;
        let clusters = plugin["models"].as_array().into_iter().flatten();
        let clusters: Vec<&str> = clusters.filter_map(|model| model["cluster"].as_str()).collect();
        let address: SocketAddr = "127.0.0.1:0".parse()?;
        let upstreams =
            clusters.iter().map(|name| MockLlm::start(*name, address)).collect::<Result<Vec<_>>>()?;
        let mut spec = EnvoySpec::new(EnvoyBinary::locate()?, run_dir);
        spec.concurrency = workers;
        spec.upstreams =
            clusters.iter().map(|name| (*name).to_owned()).zip(upstreams.iter().map(MockLlm::addr)).collect();
        spec.listeners = vec![ListenerSpec::plain(PLAIN)];
        let ecds = run_dir.join("ecds");
        std::fs::create_dir_all(&ecds).with_context(|| format!("{}", ecds.display()))?;
        for (name, settings) in listeners {
            let settings = settings.to_string();
            let version = deploy::version(&settings);
            let resource =
                deploy::resource("seqroute", "seqroute", &wasm.to_string_lossy(), &settings, &version);
            let file = ecds.join(format!("{name}.json"));
            deploy::write_atomically(&file, &resource).with_context(|| format!("{}", file.display()))?;
            spec.listeners.push(ListenerSpec::seqroute(*name, file));
        }
        let envoy = Envoy::start(spec).await?;
        Ok(Gateway { envoy, run_dir: run_dir.to_owned(), _upstreams: upstreams })
    }

    /// Where the decision records of a listener go.
    #[must_use]
    pub fn decision_log(&self, listener: &str) -> PathBuf {
        ListenerSpec::plain(listener).decision_log_in(&self.run_dir)
    }
}

/// The salt of the demo's session ids.
pub const SALT: &str = "salt of the demo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_serves_the_shipped_policy() {
        let policy = include_bytes!("../../policy/default.nnef.tar");
        deploy::plugin_config(SHIPPED_PLUGIN, Some(policy)).unwrap();
        let plugin: Value = serde_json::from_str(SHIPPED_PLUGIN).unwrap();
        // The policy's costs and reservations rest on the simulator's prices and lengths.
        assert_eq!(plugin["models"], json!(seqroute_sessions::simulator::tiers()));
    }
}
