//! Loading: the same modules load in the harness and in Envoy.

use seqroute_harness::{Host, HostOptions, Module, ModuleCache, VmOptions};

use crate::envoy;

/// Whether a module of this ABI version with this body loads and starts, in the harness and in Envoy.
fn loads(abi: &str, body: &str) -> (bool, bool) {
    let wat = format!(
        r#"(module {body}
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_{abi}"))
        (func (export "malloc") (param i32) (result i32) i32.const 1024))"#
    );
    let start = |module: Module| Host::new(HostOptions::default()).vm(&module, VmOptions::default()).is_ok();
    let here = Module::from_bytes(wat.as_bytes(), ModuleCache::none()).is_ok_and(start);
    (here, envoy::validate(&wat::parse_str(&wat).unwrap()).is_ok())
}

#[test]
fn the_same_modules_load() {
    let import = |name: &str, ty: &str| format!(r#"(import "env" "{name}" (func {ty}))"#);
    let wasi = |name: &str, ty: &str| format!(r#"(import "wasi_snapshot_preview1" "{name}" (func {ty}))"#);
    let start = |name: &str, ty: &str, call: &str| {
        format!(r#"(import "env" "{name}" (func $f {ty})) (func (export "_start") {call})"#)
    };
    let headers = |parameters: &str| {
        format!(r#"(func (export "proxy_on_request_headers") (param {parameters}) (result i32) i32.const 0)"#)
    };
    let cases = [
        ("0_2_1", String::new(), true),
        ("0_2_1", import("proxy_made_up", "(param i32) (result i32)"), false),
        ("0_2_1", import("proxy_done", "(param i32) (result i32)"), false),
        ("0_2_1", import("proxy_get_log_level", "(param i32) (result i32)"), true),
        ("0_2_0", import("proxy_get_log_level", "(param i32) (result i32)"), false),
        ("0_2_0", import("proxy_continue_stream", "(param i32) (result i32)"), true),
        ("0_1_0", import("proxy_continue_stream", "(param i32) (result i32)"), false),
        ("0_1_0", import("proxy_get_configuration", "(param i32 i32) (result i32)"), true),
        ("0_2_1", import("proxy_get_configuration", "(param i32 i32) (result i32)"), false),
        ("0_2_1", import("envoy_resolve_dns", "(param i32 i32 i32) (result i32)"), true),
        ("0_2_1", import("pthread_equal", "(param i32 i32) (result i32)"), true),
        ("0_2_1", wasi("proc_raise", "(param i32) (result i32)"), false),
        ("0_2_1", wasi("path_link", "(param i32 i32 i32 i32 i32 i32) (result i32)"), true),
        ("0_2_1", wasi("path_link", "(param i32 i32 i32 i32 i32 i32 i32) (result i32)"), false),
        ("0_2_1", headers("i32 i32 i32"), true),
        ("0_2_1", headers("i32 i32"), false),
        ("0_1_0", headers("i32 i32"), true),
        ("0_1_0", headers("i32 i32 i32"), false),
        ("0_2_1", start("proxy_done", "(result i32)", "(drop (call $f))"), false),
        (
            "0_2_1",
            start(
                "proxy_log",
                "(param i32 i32 i32) (result i32)",
                "(drop (call $f (i32.const 2) (i32.const 0) (i32.const 0)))",
            ),
            true,
        ),
        ("0_2_1", r#"(func (export "_start") unreachable)"#.to_owned(), false),
        ("0_3_0", String::new(), false),
    ];
    for (abi, body, expected) in cases {
        assert_eq!(loads(abi, &body), (expected, expected), "ABI {abi}: {body}");
    }
}
