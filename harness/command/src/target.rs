//! The module and configuration under test.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use seqroute_harness::{Host, HostOptions, Module, ModuleCache, Plugin, Vm, VmOptions};
use seqroute_sessions::{deploy, files};
use serde_json::{Value, json};

/// Output of `make wasm`, relative to the repository.
const BUILT: &str = "target/wasm32-wasip1/wasm/seqroute_filter.wasm";
/// The shipped configuration and policy.
const SHIPPED_CONFIG: &str = include_str!("../../../envoy/plugin.json");
const SHIPPED_POLICY: &[u8] = include_bytes!("../../../envoy/policy/default.nnef.tar");
/// Names the shared data and the root context.
pub const ID: &str = "seqroute";
/// When the virtual clock starts: ms since the epoch.
pub const START_MS: u64 = 1_800_000_000_000;

/// The module.
#[derive(Debug, Args)]
pub struct ModuleArgument {
    /// The module; by default $SEQROUTE_WASM, or else the filter built by `make wasm`.
    #[arg(long, value_name = "WASM")]
    module: Option<PathBuf>,
}

impl ModuleArgument {
    /// Path of the module.
    pub fn path(&self) -> PathBuf {
        let named = self.module.clone().or_else(|| std::env::var_os("SEQROUTE_WASM").map(PathBuf::from));
        named.unwrap_or_else(|| PathBuf::from(BUILT))
    }

    /// Compiles the module, or loads it from the cache.
    pub fn load(&self) -> Result<Module> {
        let path = self.path();
        ensure!(
            path.is_file(),
            "{}: no such module; name one with --module, or run `make wasm`",
            path.display()
        );
        load(&path)
    }
}

/// Compiles a module, or loads it from the cache.
pub fn load(path: &Path) -> Result<Module> {
    Module::from_file(path, ModuleCache::in_target_dir()).with_context(|| path.display().to_string())
}

/// The configuration of the filter.
#[derive(Debug, Args)]
pub struct SettingsArguments {
    /// Plugin configuration, JSON; by default the shipped one.
    #[arg(long, value_name = "JSON")]
    config: Option<PathBuf>,
    /// Policy archive; by default the shipped one if --config is absent too.
    #[arg(long, value_name = "TAR")]
    policy: Option<PathBuf>,
}

impl SettingsArguments {
    /// This configuration, or the shipped one, with a policy.
    pub fn of(config: Option<PathBuf>, policy: PathBuf) -> Self {
        SettingsArguments { config, policy: Some(policy) }
    }

    /// The configuration with its policy, changed by `change` and validated as by the filter.
    pub fn read(&self, change: impl FnOnce(&mut Value)) -> Result<Value> {
        let mut settings = match &self.config {
            Some(path) => read_json(path)?,
            None => shipped(),
        };
        ensure!(settings.is_object(), "plugin configuration: found no JSON object");
        // Unless they say otherwise: all sessions come from one address here, so that a cap on those of one address would be
        // one on all; requests stand for lengths, as in the trainer's simulations; and records are read back.
        let usual = [
            ("callers", json!({"enabled": false})),
            ("estimate", json!({"input_bound": "ratio"})),
            ("record", json!({"text": true})),
        ];
        for (field, value) in usual {
            if settings.get(field).is_none() {
                settings[field] = value;
            }
        }
        change(&mut settings);
        let policy = match &self.policy {
            Some(path) => {
                settings["strategy"] = "policy".into();
                Some(files::read_file(path)?)
            }
            None => {
                (self.config.is_none() && settings["strategy"] == "policy").then(|| SHIPPED_POLICY.to_vec())
            }
        };
        with_policy(&settings, policy.as_deref())
    }
}

/// The shipped configuration, without its policy and for sessions that all come from one address.
pub fn shipped() -> Value {
    let mut settings: Value = serde_json::from_str(SHIPPED_CONFIG).unwrap_or_default();
    settings["callers"] = json!({"enabled": false});
    settings
}

/// The shipped policy.
pub fn shipped_policy() -> &'static [u8] {
    SHIPPED_POLICY
}

/// A configuration with its policy, validated as by the filter.
pub fn with_policy(settings: &Value, policy: Option<&[u8]>) -> Result<Value> {
    let text = deploy::plugin_config(&settings.to_string(), policy)?;
    Ok(serde_json::from_str(&text)?)
}

fn read_json(path: &Path) -> Result<Value> {
    serde_json::from_slice(&files::read_file(path)?).with_context(|| format!("{}: not JSON", path.display()))
}

/// A host with one configured plugin in one VM.
pub struct Worker {
    /// The host.
    pub host: Host,
    /// The VM.
    pub vm: Vm,
    /// The plugin.
    pub plugin: Plugin,
}

impl Worker {
    /// Starts a VM as Envoy does for the filter, and configures the plugin. `trace_calls`: number of most recent host calls
    /// to keep.
    pub fn start(module: &Module, configuration: impl AsRef<[u8]>, trace_calls: usize) -> Result<Worker> {
        let host = Host::new(HostOptions { now_ms: START_MS, ..HostOptions::default() });
        let vm = host.vm(module, VmOptions { trace_calls, ..options() })?;
        let plugin = vm.plugin(ID, configuration)?;
        Ok(Worker { host, vm, plugin })
    }
}

/// VM options as in the shipped Envoy configuration.
pub fn options() -> VmOptions {
    VmOptions { vm_id: ID.to_owned(), allow_on_headers_stop_iteration: true, ..VmOptions::default() }
}
