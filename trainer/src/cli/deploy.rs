//! `seqroute deploy`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use seqroute_sessions::{deploy, files};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Plugin configuration, JSON, without `policy_b64`.
    #[arg(long)]
    config: PathBuf,
    /// Policy archive, for the strategy `policy`.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Path of the filter module, as Envoy sees it.
    #[arg(long)]
    wasm: String,
    /// The ECDS file that Envoy watches; replaced atomically, readable by the owner of its directory alone.
    #[arg(long)]
    out: PathBuf,
    /// Name of the extension configuration, as in Envoy's `config_discovery`.
    #[arg(long, default_value = "seqroute")]
    name: String,
    /// Envoy's VM id: plugins with the same module and id share a VM and its shared data.
    #[arg(long, default_value = "seqroute")]
    vm_id: String,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let text = files::read_text(&self.config)?;
        let policy = self.policy.as_deref().map(super::open_policy).transpose()?;
        let bytes = policy.as_ref().map(|(bytes, _)| bytes.as_slice());
        let plugin =
            deploy::plugin_config(&text, bytes).with_context(|| self.config.display().to_string())?;
        for warning in deploy::warnings(&plugin) {
            eprintln!("warning: {}: {warning}", self.config.display());
        }
        let version = deploy::version(&plugin);
        let resource = deploy::resource(&self.name, &self.vm_id, &self.wasm, &plugin, &version);
        deploy::write_atomically(&self.out, &resource)
            .with_context(|| format!("{}: cannot be written", self.out.display()))?;
        let id = policy.map_or("no policy".to_owned(), |(_, policy)| format!("policy {}", policy.id()));
        println!("{}: version {version}, {id}", self.out.display());
        Ok(())
    }
}
