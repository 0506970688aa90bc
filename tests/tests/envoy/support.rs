//! The gateway that most tests share.

use std::future::Future;
use std::sync::{LazyLock, PoisonError, RwLock};

use seqroute_envoy::gateway::Listener;
use seqroute_tests::scenario;
use seqroute_tests::scenario::in_envoy::Listeners;
use seqroute_tests::support::gateway::Gateway;
use seqroute_tests::support::settings;
use serde_json::json;
use tokio::runtime::Runtime;

/// Listeners: `best` (best affordable), `wide` (one model with an enormous context), `plain` (without the filter), and
/// those of the scenarios.
struct Shared {
    runtime: Runtime,
    gateway: Gateway,
    scenarios: Listeners,
    /// Scenarios check counters, which all listeners share, so they run alone.
    counters: RwLock<()>,
}

// Envoy compiles the module for several seconds; its process ends with the test process.
static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let best = settings::plugin(json!("best_affordable"));
    // Megabytes of text fit no real model; this one takes them.
    let mut wide = best.clone();
    wide["models"] = json!([wide["models"][2]]);
    wide["models"][0]["context_tokens"] = json!(10_000_000);
    let mut listeners = vec![Listener::new("best", best), Listener::new("wide", wide)];
    let scenarios = Listeners::of(&scenario::all().expect("scenarios")).expect("their listeners");
    listeners.extend(scenarios.specs.iter().cloned());
    let gateway = runtime.block_on(Gateway::start(2, &listeners)).expect("a gateway");
    Shared { runtime, gateway, scenarios, counters: RwLock::default() }
});

/// Runs a test against the shared gateway.
pub fn with_gateway<F: Future>(test: impl FnOnce(&'static Gateway) -> F) -> F::Output {
    let _others = SHARED.counters.read().unwrap_or_else(PoisonError::into_inner);
    SHARED.runtime.block_on(test(&SHARED.gateway))
}

/// Runs a test against the shared gateway while no other uses it.
pub fn with_gateway_alone<F: Future>(
    test: impl FnOnce(&'static Gateway, &'static Listeners) -> F,
) -> F::Output {
    let _alone = SHARED.counters.write().unwrap_or_else(PoisonError::into_inner);
    SHARED.runtime.block_on(test(&SHARED.gateway, &SHARED.scenarios))
}
