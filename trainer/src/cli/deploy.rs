//! `seqroute deploy`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use seqroute_sessions::books::Summary;
use seqroute_sessions::{deploy, files};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Plugin configuration, JSON, without `policy_b64`.
    #[arg(long)]
    config: PathBuf,
    /// Policy archive, for the strategy `policy`.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Decision log, of several the oldest first: sessions keep what they have spent although Envoy is started anew. Without
    /// it they have their whole budgets again.
    #[arg(long)]
    books: Vec<PathBuf>,
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
        let mut plugin =
            deploy::plugin_config(&text, bytes).with_context(|| self.config.display().to_string())?;
        if !self.books.is_empty() {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?;
            let now_ms = u64::try_from(since_epoch.as_millis()).context("the clock")?;
            let (with_books, summary) = deploy::with_books(&plugin, &self.books, now_ms)?;
            plugin = with_books;
            let Summary { sessions, tenants, left_out, unreadable } = summary;
            println!("books of {sessions} sessions and {tenants} tenants");
            if left_out > 0 || unreadable > 0 {
                eprintln!(
                    "warning: {left_out} sessions are left out; {unreadable} lines are no decision records"
                );
            }
        }
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
