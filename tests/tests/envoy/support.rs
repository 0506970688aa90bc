//! The gateway that most tests share, and chat requests of known size.

use std::future::Future;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;

use seqroute_tests::scenario;
use seqroute_tests::scenario::in_envoy::Listeners;
use seqroute_tests::support::gateway::{Gateway, Listener};
use seqroute_tests::support::{policies, settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Listeners: `best` (best affordable), `headers` and `body` (the same in these modes), `policy`, `wide` (one model
/// with an enormous context), `plain`, and those of the scenarios.
struct Shared {
    runtime: Runtime,
    gateway: Gateway,
    scenarios: Listeners,
    /// Scenarios look at counters, which all listeners share, so they run alone.
    counters: RwLock<()>,
}

// Envoy compiles the module for several seconds; its process ends with the test process.
static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let mode = |mode: &str| {
        let mut settings = settings::plugin(json!("best_affordable"));
        settings["mode"] = json!(mode);
        settings
    };
    let policy = settings::with_policy(&policies::arbitrary(3).expect("a policy"));
    // Megabytes of text fit no real model; this one takes them.
    let mut wide = mode("peek");
    wide["models"] = json!([wide["models"][2]]);
    wide["models"][0]["context_tokens"] = json!(10_000_000);
    let listeners: [(&str, Value); 5] = [
        ("best", mode("peek")),
        ("headers", mode("headers")),
        ("body", mode("body")),
        ("policy", policy),
        ("wide", wide),
    ];
    let mut listeners = listeners.map(|(name, settings)| Listener::new(name, settings)).to_vec();
    let scenarios = Listeners::of(&scenario::all().expect("scenarios")).expect("their listeners");
    listeners.extend(scenarios.specs.iter().cloned());
    let gateway = runtime.block_on(Gateway::start_listeners(2, &listeners)).expect("a gateway");
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

/// A chat request of exactly `bytes` bytes.
pub fn chat(bytes: usize, extra: &str) -> String {
    let frame = |padding: &str| {
        format!(r#"{{"model":"auto",{extra}"messages":[{{"role":"user","content":"{padding}"}}]}}"#)
    };
    frame(&"x".repeat(bytes.checked_sub(frame("").len()).expect("room for the frame")))
}

/// Posts a body in two pieces with a pause at `cut`, so that Envoy sees the first before the second exists, and
/// returns the raw answer (empty when the connection was cut).
pub async fn post_in_two_pieces(
    gateway: &Gateway,
    listener: &str,
    session: &str,
    body: &str,
    cut: usize,
) -> String {
    let mut connection = TcpStream::connect(gateway.address(listener)).await.expect("a connection");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: llm\r\ncontent-type: application/json\r\n\
         connection: close\r\nx-session-id: {session}\r\nx-seqroute-budget-usd: 1000\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.expect("the head is sent");
    connection.write_all(&body.as_bytes()[..cut]).await.expect("the first piece is sent");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _ = connection.write_all(&body.as_bytes()[cut..]).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
