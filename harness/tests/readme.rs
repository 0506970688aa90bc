//! Runs the test in the README.

mod common;

use std::path::Path;

use seqroute_harness::{Host, Module, VmOptions};

#[ignore = "called below, once its module is built"]
#[test]
fn requests_are_routed() {
    let module = Module::built("my-plugin").unwrap();
    let vm = Host::default().vm(&module, VmOptions::default()).unwrap();
    let plugin = vm.plugin("root-id", "small").unwrap();
    plugin
        .exchange()
        .request(&[(":method", "GET"), (":path", "/")], "")
        .expect_upstream_header("x-route", "small")
        .finish();
}

const README: &str = include_str!("../README.md");
const THIS_FILE: &str = include_str!("readme.rs");

/// Sets `x-route` to its configuration, like the plugin in the README.
const MY_PLUGIN: &str = r#"
  (data (i32.const 0) "x-route")
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $die (call $get_buffer (i32.const 7) (i32.const 0) (i32.const 100) (i32.const 4000) (i32.const 4004)))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $set_header (i32.const 0) (i32.const 0) (i32.const 7)
      (i32.load (i32.const 4000)) (i32.load (i32.const 4004))))
    i32.const 0)"#;

/// The target directory that contains this test.
fn target_dir() -> &'static Path {
    let program = Box::leak(std::env::current_exe().unwrap().into_boxed_path());
    program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file()).unwrap()
}

#[test]
fn the_test_in_the_readme_runs_unchanged() {
    let code = README.split("```rust,no_run\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (uses, test) = code.split_once("\n\n").unwrap();
    assert!(THIS_FILE.contains(uses) && THIS_FILE.contains(test.trim_end()), "the README says:\n{code}");

    let profile = target_dir().join("wasm32-text/test-of-the-readme");
    std::fs::create_dir_all(&profile).unwrap();
    std::fs::write(profile.join("my_plugin.wasm"), common::text(MY_PLUGIN)).unwrap();
    requests_are_routed();
}

#[test]
fn the_error_for_a_missing_module_has_the_command_that_builds_it() {
    let error = Module::built("no-such-plugin").unwrap_err().to_string();
    assert!(error.contains("no `no_such_plugin.wasm` under `"), "{error}");
    assert!(error.contains("cargo build --target wasm32-wasip1"), "{error}");
}
