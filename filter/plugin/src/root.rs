//! The root context: one configuration of the plugin in one VM.
//!
//! Envoy calls `on_configure` in a temporary VM first and then once per worker, so it must have no effect outside this
//! context, except that books are entered: the first VM enters them, and the others find them. An invalid configuration is refused with one line; the previous one keeps serving.

use std::rc::Rc;

use log::{error, info, warn};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};
use seqroute_core::config::MAX_CONFIG_BYTES;
use seqroute_core::engine::Engine;
use seqroute_core::ledger::books::Restored;
use seqroute_core::ledger::size;

use crate::host::{Metrics, SharedData};
use crate::stream::Stream;

/// The plugin under one configuration.
#[derive(Default)]
pub struct Root {
    engine: Option<Rc<Engine>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let size = size.min(MAX_CONFIG_BYTES.saturating_add(1));
        let json = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten();
        // What `host_env_keys` of the VM's configuration lets through of Envoy's environment.
        let environment = |name: &str| std::env::var(name).ok();
        match Engine::configure_in(&json.unwrap_or_default(), &environment) {
            Ok(mut engine) => {
                match engine.restore(&SharedData) {
                    Ok(None) => {}
                    Ok(Some(Restored { sessions, tenants, forgotten })) => {
                        info!("seqroute: entered what {sessions} sessions and {tenants} tenants had spent");
                        if forgotten > 0 {
                            warn!("seqroute: no room for {forgotten} sessions of the books");
                        }
                    }
                    Err(reason) => {
                        error!("seqroute: refused: cannot enter the books: {reason}");
                        return false;
                    }
                }
                let (version, policy) = (env!("CARGO_PKG_VERSION"), engine.policy_id());
                let (models, bytes) = (engine.config().models.len(), size::max_bytes(engine.config()));
                info!(
                    "seqroute {version}: serving {models} models by {policy}; tables of at most {bytes} bytes"
                );
                if let Some(canary) = engine.canary_id() {
                    info!("seqroute: {canary} decides a share of {}", engine.config().canary_share);
                }
                engine.config().warnings().iter().for_each(|warning| warn!("seqroute: {warning}"));
                self.engine = Some(Rc::new(engine));
                true
            }
            Err(reason) => {
                error!("seqroute: refused: {reason}");
                false
            }
        }
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        // The SDK panics on `None`, so a context that was never configured gets streams that pass untouched.
        Some(Box::new(Stream::new(self.engine.clone(), Metrics::of_this_vm())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
