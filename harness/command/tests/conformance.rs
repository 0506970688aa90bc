//! `conformance` on modules that are correct, wrong and unusual.

mod common;

use common::{error, run, wasm};
use serde_json::Value;

const FRAME: &str = r#"
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 4096)"#;

/// Runs the checks on a module given as text: exit code and report.
fn check(name: &str, text: &str) -> (Option<i32>, Value) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("{name}.wat"));
    std::fs::write(&path, text).unwrap();
    let output = run(&["conformance", path.to_str().unwrap(), "--json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn plugin(body: &str) -> String {
    format!("(module {FRAME} {body})")
}

fn verdict(report: &Value, check: &str) -> (String, String) {
    let lines = report["checks"].as_array().unwrap();
    let line = lines.iter().find(|line| line["check"].as_str().unwrap().contains(check));
    let line = line.unwrap_or_else(|| panic!("no check `{check}` in {report}"));
    (line["verdict"].as_str().unwrap().to_owned(), line["detail"].as_str().unwrap().to_owned())
}

#[test]
fn a_plugin_that_lets_everything_pass_passes_every_check() {
    let (code, report) = check("right", &plugin(""));
    assert_eq!((code, &report["passed"], &report["abi"]), (Some(0), &true.into(), &"0.2.1".into()));
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.iter().all(|line| line["verdict"] == "passed"), "{report}");
    assert_eq!(checks.len(), 15);
}

#[test]
fn a_trap_fails_the_check_it_happens_in_and_no_other() {
    let body = r#"(func (export "proxy_on_response_trailers") (param i32 i32) (result i32) unreachable)"#;
    let (code, report) = check("trapping", &plugin(body));
    assert_eq!(code, Some(1));
    let (verdict_of_trailers, detail) = verdict(&report, "with body and trailers");
    assert_eq!(verdict_of_trailers, "failed");
    assert!(detail.contains("proxy_on_response_trailers trapped"), "{detail}");
    assert_eq!(verdict(&report, "without a body").0, "passed");
}

#[test]
fn a_refused_configuration_ends_the_checks() {
    let body = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 0)"#;
    let (code, report) = check("refusing", &plugin(body));
    assert_eq!(code, Some(1));
    assert_eq!(verdict(&report, "is configured").0, "failed");
    assert_eq!(report["checks"].as_array().unwrap().len(), 3, "{report}");
}

#[test]
fn imports_are_listed_with_their_modules() {
    let import = r#"(import "env" "envoy_resolve_dns" (func (param i32 i32 i32) (result i32)))"#;
    let text = format!("(module {import} {FRAME})");
    let (code, report) = check("importing", &text);
    assert_eq!(code, Some(0));
    let imports = report["imports"].as_array().unwrap();
    let known: Vec<_> =
        imports.iter().map(|import| (import["name"].as_str(), import["module"].as_str())).collect();
    let expected = ["envoy_resolve_dns", "proxy_log", "proxy_get_header_map_value"];
    assert_eq!(known, expected.map(|name| (Some(name), Some("env"))));
    let (verdict, detail) = verdict(&report, "imports are known");
    assert!(verdict == "passed" && detail.contains("all 3"), "{verdict}: {detail}");
}

#[test]
fn an_import_that_envoy_does_not_have_keeps_the_module_from_loading() {
    let text = format!(r#"(module (import "env" "proxy_made_up" (func (param i32))) {FRAME})"#);
    let (code, report) = check("importing", &text);
    let (verdict, detail) = verdict(&report, "loads and links");
    assert!(code == Some(1) && verdict == "failed" && detail.contains("proxy_made_up"), "{detail}");
}

#[test]
fn memory_that_grows_with_every_request_is_found() {
    let body = r#"(func (export "proxy_on_log") (param i32)
        (if (i32.eqz (i32.rem_u (local.get 0) (i32.const 100))) (then (drop (memory.grow (i32.const 1))))))"#;
    let (code, report) = check("growing", &plugin(body));
    let (verdict, detail) = verdict(&report, "does not grow");
    assert!(code == Some(1) && verdict == "failed" && detail.contains("bytes"), "{report}");
}

#[test]
fn a_plugin_that_waits_for_the_body_is_warned_of_plain_istio() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (i32.eqz (local.get 2)))"#;
    let (code, report) = check("pausing", &plugin(body));
    assert_eq!(code, Some(0));
    assert_eq!(verdict(&report, "does not wait for bodies").0, "warning");
    assert_eq!(verdict(&report, "with body and trailers").0, "passed");
}

#[test]
fn a_module_that_is_not_a_plugin_is_reported() {
    let (code, report) = check("empty", "(module)");
    assert_eq!(code, Some(1));
    let (verdict, detail) = verdict(&report, "loads and links");
    assert!(verdict == "failed" && detail.contains("no known proxy-wasm ABI version"), "{detail}");
    assert!(error(&["conformance", "/none.wasm"]).contains("/none.wasm: no such module"));
}

#[test]
fn the_filter_passes_every_check_with_a_policy() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../envoy/policy/default.nnef.tar");
    let output = run(&["conformance", wasm().to_str().unwrap(), "--policy", policy, "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success() && report["passed"] == true, "{report}");
    assert_eq!(report["checks"].as_array().unwrap().len(), 15);
}

#[test]
fn the_filter_passes_every_check_in_a_table() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings: Value = serde_json::from_str(include_str!("../../../envoy/plugin.json")).unwrap();
    settings["strategy"] = "best_affordable".into();
    let config = directory.path().join("plugin.json");
    std::fs::write(&config, settings.to_string()).unwrap();
    let output = run(&["conformance", wasm().to_str().unwrap(), "--config", config.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains("FAILED"), "{text}");
    assert!(text.contains("proxy_set_shared_data") && text.contains("passed"), "{text}");
}
