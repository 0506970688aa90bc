//! Loading: exactly those modules load that load in Envoy 1.40, of all three ABI versions.

mod common;

use common::{REQUEST, host};
use seqroute_harness::{AbiVersion, Error, LogLevel, Module, ModuleCache, Vm, VmOptions};

fn load(abi: &str, body: &str) -> Result<Module, String> {
    let wat = format!(
        r#"(module {body}
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_{abi}"))
        (func (export "malloc") (param i32) (result i32) i32.const 1024))"#
    );
    Module::from_bytes(wat.as_bytes(), ModuleCache::none()).map_err(|error| error.to_string())
}

fn start(module: &Module) -> Result<Vm, Error> {
    host().vm(module, VmOptions::default())
}

#[test]
fn an_import_that_envoy_does_not_have_is_refused_by_name() {
    let unknown = r#"(import "env" "proxy_made_up" (func (param i32) (result i32)))"#;
    assert!(load("0_2_1", unknown).unwrap_err().contains("proxy_made_up"));
    let other_shape = r#"(import "env" "proxy_done" (func (param i32) (result i32)))"#;
    assert!(load("0_2_1", other_shape).unwrap_err().contains("proxy_done"));
    let memory = r#"(import "env" "memory" (memory 1))"#;
    assert!(load("0_2_1", memory).unwrap_err().contains("memory"));
    let wasi = r#"(import "wasi_snapshot_preview1" "proc_raise" (func (param i32) (result i32)))"#;
    assert!(load("0_2_1", wasi).unwrap_err().contains("proc_raise"));
}

#[test]
fn each_version_has_its_own_functions() {
    let import = |name: &str, ty: &str| format!(r#"(import "env" "{name}" (func {ty}))"#);
    let log_level = import("proxy_get_log_level", "(param i32) (result i32)");
    let continue_stream = import("proxy_continue_stream", "(param i32) (result i32)");
    let continue_request = import("proxy_continue_request", "(result i32)");
    let configuration = import("proxy_get_configuration", "(param i32 i32) (result i32)");
    let clear_route_cache = import("proxy_clear_route_cache", "(result i32)");
    let loads = |abi, import: &str| load(abi, import).is_ok();
    for (import, versions) in [
        (&log_level, [false, false, true]),
        (&continue_stream, [false, true, true]),
        (&continue_request, [true, false, false]),
        (&configuration, [true, false, false]),
        (&clear_route_cache, [true, false, false]),
    ] {
        assert_eq!(["0_1_0", "0_2_0", "0_2_1"].map(|abi| loads(abi, import)), versions, "{import}");
    }
}

#[test]
fn a_callback_with_another_signature_is_refused() {
    let headers = r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32) i32.const 0)"#;
    assert_eq!(load("0_1_0", headers).unwrap().abi_version(), AbiVersion::V0_1_0);
    let error = load("0_2_1", headers).unwrap_err();
    assert!(error.contains("bad function signature for proxy_on_request_headers"), "{error}");
    let log = r#"(func (export "proxy_on_log") (param i64))"#;
    assert!(load("0_2_0", log).unwrap_err().contains("proxy_on_log"));
}

#[test]
fn few_functions_may_be_called_while_the_module_starts() {
    let log = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (func (export "_start") (drop (call $log (i32.const 2) (i32.const 0) (i32.const 0))))"#;
    let vm = start(&load("0_2_1", log).unwrap()).unwrap();
    assert_eq!(vm.logs().len(), 1);
    for (name, ty, call) in [
        ("proxy_set_tick_period_milliseconds", "(param i32) (result i32)", "(drop (call $f (i32.const 1)))"),
        ("proxy_done", "(result i32)", "(drop (call $f))"),
    ] {
        let body = format!(r#"(import "env" "{name}" (func $f {ty})) (func (export "_start") {call})"#);
        let error = start(&load("0_2_1", &body).unwrap()).err().unwrap().to_string();
        assert!(error.contains("restricted") && error.contains(name), "{error}");
    }
}

#[test]
fn a_reactor_starts_with_initialize_and_main_and_a_command_with_start() {
    let log = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (data (i32.const 0) "imvs")
      (func $say (param $at i32) (drop (call $log (i32.const 2) (local.get $at) (i32.const 1))))"#;
    let initialize = r#"(func (export "_initialize") (call $say (i32.const 0)))"#;
    let main = r#"(func (export "main") (param i32 i32) (result i32) (call $say (i32.const 1)) i32.const 0)"#;
    let main_void = r#"(func (export "__main_void") (result i32) (call $say (i32.const 2)) i32.const 0)"#;
    let command = r#"(func (export "_start") (call $say (i32.const 3)))"#;
    for (exports, expected) in [
        ([initialize, main, main_void, command].concat(), "im"),
        ([initialize, main_void].concat(), "iv"),
        ([main, command].concat(), "s"),
    ] {
        let vm = start(&load("0_2_1", &format!("{log}{exports}")).unwrap()).unwrap();
        assert_eq!(common::lines(&vm).concat(), expected);
    }
}

#[test]
fn a_module_of_version_0_2_0_runs() {
    let body = r#"
      (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
      (func (export "proxy_on_request_headers") (param i32 i32) (param $end i32) (result i32)
        (drop (call $log (i32.const 3) (i32.const 0) (i32.const 3)))
        (drop (call $continue (i32.const 0)))
        i32.const 1)
      (data (i32.const 0) "0.2")"#;
    let module = load("0_2_0", body).unwrap();
    assert_eq!(module.abi_version(), AbiVersion::V0_2_0);
    let vm = start(&module).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    assert!(vm.logged(LogLevel::Warn, "0.2") && stream.upstream_request_complete());
    stream.finish().unwrap();
}

#[test]
fn any_other_export_can_be_called_by_name() {
    let add = r#"(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
      (func (export "fall") unreachable)"#;
    let vm = start(&load("0_2_1", add).unwrap()).unwrap();
    assert_eq!(vm.call_export("add", &[2, 3]).unwrap(), Some(5));
    assert!(matches!(vm.call_export("subtract", &[]), Err(Error::Misuse(_))));
    assert!(matches!(vm.call_export("fall", &[]), Err(Error::Trap { .. })));
    assert!(vm.failure().is_some());
    assert!(matches!(vm.call_export("add", &[2, 3]), Err(Error::VmFailed(_))));
}
