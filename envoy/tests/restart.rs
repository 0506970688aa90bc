//! `kill -9`: an Envoy that is started anew with the books of the decision log continues every session's budget. Without an
//! Envoy or the module (`make envoy wasm`) the test prints that it was skipped, and passes.

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use seqroute_envoy::gateway::{Gateway, Listener};
use seqroute_envoy::launcher::EnvoyBinary;
use seqroute_sessions::deploy;
use serde_json::json;

const TURNS: usize = 3;

/// Where `make wasm` puts the module, or `$SEQROUTE_WASM`.
fn module() -> Option<PathBuf> {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/wasm32-wasip1/wasm/seqroute_filter.wasm");
    let path = std::env::var_os("SEQROUTE_WASM").map_or_else(|| PathBuf::from(built), PathBuf::from);
    path.is_file().then_some(path)
}

/// Plays one turn of a session; returns what had been spent before it and what it was charged, in nano-USD.
async fn turn(gateway: &Gateway, session: &str, earlier: usize) -> (u64, u64) {
    let body = r#"{"model":"auto","max_tokens":50,"messages":[]}"#;
    let (status, _, _) =
        gateway.send(gateway.chat("llm", body).header("x-session-id", session)).await.unwrap();
    assert_eq!(status, 200);
    let record = gateway.records("llm", session, earlier + 1).await.unwrap().pop().unwrap();
    (record.spent_nano_usd.0, record.charged_nano_usd.0)
}

#[tokio::test]
async fn a_restart_with_the_books_of_the_log_gives_no_budget_back() {
    let Some(module) = module().filter(|_| EnvoyBinary::locate().is_ok()) else {
        eprintln!("skipped: no Envoy or no module; run `make envoy wasm`");
        return;
    };
    let mut listener = Listener::shipped("llm", &json!("best_affordable"), &[]).unwrap();
    let gateway = Gateway::start(&module, 1, std::slice::from_ref(&listener)).await.unwrap();
    let mut spent = 0;
    for index in 0..TURNS {
        let (before, charged) = turn(&gateway, "one", index).await;
        assert_eq!(before, spent);
        assert!(charged > 0);
        spent += charged;
    }
    let pid = gateway.envoy.pid().to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("decisions.jsonl");
    std::fs::write(&log, gateway.decisions("llm").concat()).unwrap();
    drop(gateway);

    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
    let (settings, summary) = deploy::with_books(&listener.settings.to_string(), &[log], now_ms).unwrap();
    assert_eq!(summary.sessions, 1);
    listener.settings = serde_json::from_str(&settings).unwrap();
    let gateway = Gateway::start(&module, 1, std::slice::from_ref(&listener)).await.unwrap();
    assert_eq!(turn(&gateway, "one", 0).await.0, spent, "the session continues");
    assert_eq!(turn(&gateway, "two", 0).await.0, 0, "another has its whole budget");

    // The same books again, as a new policy is deployed: what the process has counted since stays.
    let before = spent + gateway.records("llm", "one", 1).await.unwrap()[0].charged_nano_usd.0;
    listener.settings["lambda"] = json!({"value": 0.1});
    gateway.deploy("llm", &listener.settings).unwrap();
    let updates = "extension_config_discovery.http_filter.seqroute.update_success";
    gateway
        .envoy
        .wait_for_stat(updates, |count| count >= 2, std::time::Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(turn(&gateway, "one", 1).await.0, before);
}
