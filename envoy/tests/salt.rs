//! A salt in Envoy's environment: the filter gets it, and nobody who reads the deployed file or the configuration dump does.
//! Without an Envoy or the module (`make envoy wasm`) each test prints that it was skipped, and passes.

use std::path::PathBuf;

use seqroute_core::request::session_id::SessionId;
use seqroute_envoy::gateway::{Gateway, Listener};
use seqroute_envoy::launcher::EnvoyBinary;
use serde_json::json;

/// A variable that cargo sets for tests, and that Envoy inherits from them.
const VARIABLE: &str = "CARGO_PKG_DESCRIPTION";

/// A gateway whose salt is in this variable of the environment.
async fn start(variable: &str) -> Option<anyhow::Result<Gateway>> {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/wasm32-wasip1/wasm/seqroute_filter.wasm");
    let module = std::env::var_os("SEQROUTE_WASM").map_or_else(|| PathBuf::from(built), PathBuf::from);
    if !module.is_file() || EnvoyBinary::locate().is_err() {
        eprintln!("skipped: no Envoy or no module; run `make envoy wasm`");
        return None;
    }
    let mut listener = Listener::shipped("llm", &json!("best_affordable"), &[]).unwrap();
    listener.settings["salt"] = json!({"env": variable});
    Some(Gateway::start(&module, 1, &[listener]).await)
}

#[tokio::test]
async fn the_salt_of_a_variable_is_used_and_not_shown() {
    let Some(gateway) = start(VARIABLE).await else { return };
    let gateway = gateway.unwrap();
    let salt = std::env::var(VARIABLE).unwrap();
    let chat = gateway.chat("llm", r#"{"model":"auto","messages":[]}"#).header("x-session-id", "one");
    let (status, headers, _) = gateway.send(chat).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(headers["x-seqroute-session"], SessionId::new(salt.as_bytes(), b"", b"one").to_string());
    let dump = gateway.envoy.admin_get("/config_dump?include_eds").await.unwrap();
    assert!(dump.contains(VARIABLE) && !dump.contains(&salt));
}

#[tokio::test]
async fn a_filter_without_its_variable_is_refused_by_name() {
    let Some(gateway) = start("SEQROUTE_NOT_SET_HERE").await else { return };
    let error = gateway.err().unwrap().to_string();
    assert!(error.contains("field `salt.env`: found no variable `SEQROUTE_NOT_SET_HERE`"), "{error}");
}
