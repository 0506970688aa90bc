//! ABI 0.1.0, which has fewer parameters and other functions.

use seqroute_harness::{Host, HostOptions, Module, ModuleCache, VmOptions};

use crate::common;
use crate::envoy::{Envoy, Kind, Listener, exchange};

/// Logs its configuration, a present header and an absent one (which is empty in this version), in the request and in
/// `proxy_on_log`. Holds the request and continues it at once.
const OLD: &str = r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_configuration" (func $configuration (param i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_request" (func $continue (result i32)))
  (import "env" "proxy_clear_route_cache" (func $clear_route_cache (result i32)))
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_1_0"))
  (func (export "malloc") (param $size i32) (result i32)
    global.get $free
    (global.set $free (i32.add (global.get $free) (local.get $size))))
  (data (i32.const 0) ":pathx-noneend0123456789")
  (func $show
    (drop (call $log (i32.const 2) (i32.load (i32.const 200)) (i32.load (i32.const 204)))))
  (func $status (param $number i32)
    (drop (call $log (i32.const 2) (i32.add (i32.const 14) (local.get $number)) (i32.const 1))))
  (func $look (param $map i32) (param $name i32) (param $len i32)
    (i32.store (i32.const 204) (i32.const 0))
    (call $status (call $get (local.get $map) (local.get $name) (local.get $len) (i32.const 200) (i32.const 204)))
    (call $show))
  (func $every
    (call $status (call $configuration (i32.const 200) (i32.const 204)))
    (call $show)
    (call $look (i32.const 0) (i32.const 0) (i32.const 5))
    (call $look (i32.const 0) (i32.const 5) (i32.const 6))
    (call $look (i32.const 1) (i32.const 5) (i32.const 6))
    (call $look (i32.const 6) (i32.const 5) (i32.const 6)))
  (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
    (call $every)
    (call $status (call $clear_route_cache))
    (call $status (call $continue))
    i32.const 1)
  (func (export "proxy_on_response_headers") (param i32 i32) (result i32) (call $every) i32.const 0)
  (func (export "proxy_on_log") (param i32)
    (call $every)
    (drop (call $log (i32.const 2) (i32.const 11) (i32.const 3)))))"#;

#[test]
fn an_old_module_sees_the_same_here_and_in_envoy() {
    let listener = Listener {
        name: "old".into(),
        wasm: wat::parse_str(OLD).unwrap(),
        configuration: "configured".into(),
        kind: Kind::Http { answer: "answer".into(), body_mode: false },
    };
    let envoy = Envoy::start(&[listener], &[]);
    exchange(envoy.address("old"), "GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();

    let module = Module::from_bytes(OLD.as_bytes(), ModuleCache::none()).unwrap();
    let vm = Host::new(HostOptions::default()).vm(&module, VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"configured").unwrap().stream();
    stream.request_headers(&[(":path", "/a"), (":method", "GET"), (":authority", "a")], true).unwrap();
    stream.response_headers(&[(":status", "200")], true).unwrap();
    stream.finish().unwrap();
    let mut here = common::lines(&vm);
    assert_eq!(here.pop().as_deref(), Some("end"));
    assert_eq!(here, envoy.lines_to_the_end("old"));
}
