//! Envoy with the shipped files, in front of the model servers of this module.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use seqroute_core::config::ModelConfig;
use seqroute_core::money::NanoUsd;
use seqroute_envoy::launcher::{Envoy, EnvoyBinary, EnvoySpec, ListenerSpec};
use seqroute_sessions::deploy;
use serde_json::{Value, json};

use super::bill::Bill;
use super::bound::CALLER_BUDGETS;
use super::server::{ModelServer, PriceList};
use crate::support::module;

/// The shipped plugin configuration.
const SHIPPED_PLUGIN: &str = include_str!("../../../envoy/plugin.json");
/// The salt of the run.
pub const SALT: &str = "salt of the attack";
/// The header that names a team on the listeners with teams.
pub const TEAM_HEADER: &str = "x-team";
/// A team with a budget of its own that nobody uses before the table of teams is full.
pub const UNUSED_TEAM: &str = "bronze";
/// What teams with a budget of their own are for; each role has [`TEAMS_OF_A_ROLE`].
pub const ROLES: [&str; 4] = ["held", "victim", "thief", "own"];
/// Campaigns of one kind that find a team that no other has used.
pub const TEAMS_OF_A_ROLE: u64 = 2400;

/// Listeners, each with settings of its own. A run has the main one, and those that its kinds need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// As shipped.
    Main,
    /// With budgets of teams.
    Teams,
    /// With a lease that is shorter than a stream.
    Leases,
    /// With teams and a small table of sessions.
    Crowded,
    /// With a small table of teams.
    CrowdedTeams,
}

impl Listener {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Listener::Main => "main",
            Listener::Teams => "teams",
            Listener::Leases => "leases",
            Listener::Crowded => "crowded",
            Listener::CrowdedTeams => "crowded_teams",
        }
    }

    /// Its callers belong to teams: `gold` of honest clients, `silver` of attackers, and those of [`ROLES`].
    #[must_use]
    pub fn has_teams(self) -> bool {
        matches!(self, Listener::Teams | Listener::Crowded | Listener::CrowdedTeams)
    }

    fn settings(self) -> Result<Value> {
        let mut settings: Value = serde_json::from_str(SHIPPED_PLUGIN)?;
        settings["salt"] = json!(SALT);
        settings["strategy"] = json!("best_affordable");
        if self.has_teams() {
            let mut budgets = serde_json::Map::new();
            budgets.insert("gold".to_owned(), json!("1000"));
            budgets.insert("silver".to_owned(), json!("1000"));
            if self == Listener::CrowdedTeams {
                budgets.insert(UNUSED_TEAM.to_owned(), json!("0.05"));
            }
            if self == Listener::Teams {
                let names =
                    ROLES.iter().flat_map(|role| (0..TEAMS_OF_A_ROLE).map(move |k| format!("{role}-{k}")));
                budgets.extend(names.map(|name| (name, json!("0.05"))));
            }
            settings["session"]["tenant_header"] = json!(TEAM_HEADER);
            settings["tenants"] = json!({"default_usd": "0.05", "budgets_usd": budgets});
        }
        settings["callers"] = json!({"new_sessions": CALLER_BUDGETS});
        match self {
            Listener::Leases => settings["ledger"]["lease_ms"] = json!(1000),
            Listener::Crowded => settings["ledger"]["buckets"] = json!(16),
            Listener::CrowdedTeams => settings["tenants"]["buckets"] = json!(2),
            Listener::Main | Listener::Teams => {}
        }
        Ok(settings)
    }

    /// Small tables are others than the shipped one, so their shared data have key spaces of their own.
    fn vm_id(self) -> &'static str {
        match self {
            Listener::Crowded => "seqroute-crowded",
            Listener::CrowdedTeams => "seqroute-crowded-teams",
            Listener::Main | Listener::Teams | Listener::Leases => "seqroute",
        }
    }
}

/// A running Envoy and what it was configured with.
pub struct Gateway {
    /// The process.
    pub envoy: Envoy,
    /// The models.
    pub models: Vec<ModelConfig>,
    /// Budget of each session.
    pub budget: NanoUsd,
    /// The listeners that run.
    pub listeners: Vec<Listener>,
    run_dir: PathBuf,
}

impl Gateway {
    /// Starts the model servers on the current runtime, and Envoy.
    ///
    /// # Errors
    /// When the filter or Envoy is missing, or Envoy does not come up.
    pub async fn start(
        run_dir: &Path,
        listeners: &[Listener],
        workers: u32,
        bill: &Arc<Bill>,
    ) -> Result<Gateway> {
        let shipped: Value = serde_json::from_str(SHIPPED_PLUGIN)?;
        let models: Vec<ModelConfig> = serde_json::from_value(shipped["models"].clone())?;
        let budget = shipped["budget"]["default_usd"].as_str().context("no budget.default_usd")?;
        let mut spec = EnvoySpec::new(EnvoyBinary::locate()?, run_dir);
        spec.concurrency = workers;
        for model in &models {
            let prices = PriceList { models: models.clone() };
            let address = ModelServer::start(&model.name, prices, Arc::clone(bill)).await?;
            spec.upstreams.push((model.cluster.clone(), address));
        }
        let ecds = run_dir.join("ecds");
        std::fs::create_dir_all(&ecds)?;
        let wasm = module::path()?;
        for listener in listeners {
            let file = ecds.join(format!("{}.json", listener.name()));
            let settings = listener.settings()?.to_string();
            let (vm_id, wasm) = (listener.vm_id(), wasm.to_string_lossy());
            deploy::write_atomically(&file, &deploy::resource("seqroute", vm_id, &wasm, &settings, "1"))?;
            spec.listeners.push(ListenerSpec::seqroute(listener.name(), file));
        }
        let envoy = Envoy::start(spec).await?;
        Ok(Gateway {
            envoy,
            models,
            budget: NanoUsd::parse_usd(budget)?,
            listeners: listeners.to_vec(),
            run_dir: run_dir.to_owned(),
        })
    }

    /// Where a listener accepts connections.
    ///
    /// # Errors
    /// When it does not run.
    pub fn address(&self, listener: Listener) -> Result<SocketAddr> {
        self.envoy.listener(listener.name())
    }

    /// The decision records of a listener.
    #[must_use]
    pub fn decision_log(&self, listener: Listener) -> PathBuf {
        self.run_dir.join(format!("decisions-{}.jsonl", listener.name()))
    }
}
