//! The gateway under test: Envoy with a listener for each provider, each with the shipped settings but for its models.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use seqroute_core::reply::record::DecisionRecord;
use seqroute_envoy::launcher::{Envoy, EnvoyBinary, EnvoySpec, ListenerSpec};
use seqroute_sessions::deploy;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::models::{MODELS, PROVIDERS, Provider};
use super::server::{Account, Bill, start};
use crate::support::module;

/// The shipped plugin configuration.
const SHIPPED_PLUGIN: &str = include_str!("../../../envoy/plugin.json");
/// The salt of the run.
pub const SALT: &str = "salt of the client libraries";
/// Budget of a session that asks for none: as much as any answer of these models may cost, so that nothing is cut.
const BUDGET_USD: &str = "50";

/// A running Envoy and its model servers.
pub struct Gateway {
    envoy: Envoy,
    bill: Arc<Bill>,
    // Dropped last: Envoy writes into it.
    run_dir: TempDir,
}

impl Gateway {
    /// Starts Envoy and the servers, on the current runtime.
    ///
    /// # Errors
    /// When the filter or Envoy is missing, or Envoy does not come up.
    pub async fn start() -> Result<Gateway> {
        let run_dir = tempfile::tempdir()?;
        let bill = Arc::new(Bill::default());
        let mut spec = EnvoySpec::new(EnvoyBinary::locate()?, run_dir.path());
        for model in &MODELS {
            spec.upstreams.push((model.name.to_owned(), start(model, Arc::clone(&bill)).await?));
        }
        let ecds = run_dir.path().join("ecds");
        std::fs::create_dir_all(&ecds)?;
        let wasm = module::path()?;
        for provider in PROVIDERS {
            let file = ecds.join(format!("{}.json", provider.name()));
            let settings = settings(provider)?.to_string();
            let resource =
                deploy::resource("seqroute", "seqroute", &wasm.to_string_lossy(), &settings, provider.name());
            deploy::write_atomically(&file, &resource)?;
            spec.listeners.push(ListenerSpec::seqroute(provider.name(), file));
        }
        Ok(Gateway { envoy: Envoy::start(spec).await?, bill, run_dir })
    }

    /// The base URL of a provider's listener, without a slash at the end.
    ///
    /// # Errors
    /// When it does not run.
    pub fn url(&self, provider: Provider) -> Result<String> {
        Ok(format!("http://{}", self.envoy.listener(provider.name())?))
    }

    /// What the servers billed so far, by case.
    #[must_use]
    pub fn bill(&self) -> BTreeMap<String, Account> {
        self.bill.accounts()
    }

    /// The decision records so far, by the session's hashed id.
    ///
    /// # Errors
    /// When a line is no record.
    pub fn charged(&self) -> Result<BTreeMap<String, Vec<DecisionRecord>>> {
        let mut sessions = BTreeMap::<String, Vec<DecisionRecord>>::new();
        for provider in PROVIDERS {
            let path = ListenerSpec::plain(provider.name()).decision_log_in(self.run_dir.path());
            let text = std::fs::read_to_string(path).unwrap_or_default();
            // The last line may be half written.
            for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                let record: DecisionRecord =
                    serde_json::from_str(line).with_context(|| format!("not a decision record: {line}"))?;
                sessions.entry(record.session.clone().unwrap_or_default()).or_default().push(record);
            }
        }
        Ok(sessions)
    }

    /// Stops Envoy and waits for its end.
    pub async fn stop(self) {
        self.envoy.stop().await;
    }
}

fn settings(provider: Provider) -> Result<Value> {
    let mut settings: Value = serde_json::from_str(SHIPPED_PLUGIN)?;
    settings["salt"] = json!(SALT);
    settings["strategy"] = json!("best_affordable");
    settings["budget"]["default_usd"] = json!(BUDGET_USD);
    // Cases of exhaustion have sessions of little money.
    settings["budget"]["trust_header"] = json!(true);
    // All sessions come from one address.
    settings["callers"] = json!({"enabled": false});
    settings["record"] = json!({"refusals_per_second": 1_000_000});
    settings["models"] = MODELS
        .iter()
        .filter(|model| model.provider == provider)
        .map(super::models::Model::settings)
        .collect();
    Ok(settings)
}
