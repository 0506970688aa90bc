//! Mistakes of plugins lead to statuses, never to a panic.

mod common;

use common::{REQUEST, host, lines, module};
use seqroute_harness::{AbiVersion, Error, HttpCallResponse, LogLevel, Module, ModuleCache, VmOptions};

/// Passes pointers outside its memory and unknown numbers; logs each status.
const WRONG: &str = r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $digit (call $log (i32.const 2) (i32.const -1) (i32.const 10)))
    (call $digit (call $log (i32.const 9) (i32.const 0) (i32.const 1)))
    (call $digit (call $get (i32.const 99) (i32.const 0) (i32.const 1)))
    (call $digit (call $get_buffer (i32.const 99) (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 20)))
    (call $digit (call $get_buffer (i32.const 7) (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 20)))
    (call $digit (call $get_shared (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 20) (i32.const 24)))
    (call $digit (call $effective (i32.const 77)))
    (call $digit (call $proxy_done))
    (call $digit (i32.sub (call $path_open
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)) (i32.const 40)))
    i32.const 0)
"#;

#[test]
fn mistakes_return_a_status() {
    let vm = host().vm(&module(WRONG), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    assert_eq!(vm.logs().iter().map(|line| line.text.clone()).collect::<String>(), "622211214");
    stream.finish().unwrap();
}

#[test]
fn a_module_without_a_known_abi_is_refused() {
    let error = Module::from_bytes(b"(module)", ModuleCache::none()).unwrap_err();
    assert!(matches!(&error, Error::Load(text) if text.contains("ABI")), "{error}");
    let broken = Module::from_bytes(b"not wasm", ModuleCache::none()).unwrap_err();
    assert!(matches!(broken, Error::Load(_)));
}

#[test]
fn an_old_abi_with_fewer_parameters_runs() {
    let wat = r#"(module
      (import "env" "proxy_get_configuration" (func $configuration (param i32 i32) (result i32)))
      (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "proxy_abi_version_0_1_0"))
      (func (export "malloc") (param i32) (result i32) i32.const 1024)
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $configuration (i32.const 16) (i32.const 20)))
        (drop (call $log (i32.const 3) (i32.load (i32.const 16)) (i32.load (i32.const 20))))
        i32.const 1)
      (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
        ;; A header that is not there is an empty value in this version.
        (call $get (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 20))))"#;
    let module = Module::from_bytes(wat.as_bytes(), ModuleCache::none()).unwrap();
    assert_eq!(module.abi_version(), AbiVersion::V0_1_0);
    let vm = host().vm(&module, VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"old").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    assert!(vm.logged(LogLevel::Warn, "old") && stream.upstream_request_headers().is_some());
    stream.finish().unwrap();
}

/// Pauses the request, calls cluster "auth", and continues the request when the call succeeds. Keeps the number of the
/// stream's context for the root context's callback.
const CALLOUT: &str = r#"
  (data (i32.const 0) "auth")
  (data (i32.const 8) "\03\00\00\00\05\00\00\00\01\00\00\00\07\00\00\00\03\00\00\00\0a\00\00\00\01\00\00\00")
  (data (i32.const 36) ":path\00/\00:method\00GET\00:authority\00a\00")
  (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
    (i32.store (i32.const 200) (local.get $id))
    (call $die (call $http_call (i32.const 0) (i32.const 4) (i32.const 8) (i32.const 61)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 500) (i32.const 204)))
    i32.const 1)
  (func (export "proxy_on_http_call_response") (param i32 i32) (param $headers i32) (param i32 i32)
    (call $die (call $get_status (i32.const 300) (i32.const 304) (i32.const 308)))
    (call $info (i32.load (i32.const 304)) (i32.load (i32.const 308)))
    (if (local.get $headers) (then
      (call $die (call $get_buffer (i32.const 4) (i32.const 0) (i32.const 99)
        (i32.const 4000) (i32.const 4004)))
      (call $info (i32.load (i32.const 4000)) (i32.load (i32.const 4004)))
      (call $die (call $effective (i32.load (i32.const 200))))
      (call $die (call $continue_stream (i32.const 0))))))
  (func (export "proxy_on_request_body") (param i32) (param $size i32) (param i32) (result i32)
    (call $digit (local.get $size))
    i32.const 0)
"#;

#[test]
fn an_answered_call_continues_the_held_stream_with_what_has_arrived() {
    let vm = host().vm(&module(CALLOUT), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, false).unwrap();
    stream.request_body("ab", false).unwrap();
    stream.request_body("cde", true).unwrap();
    let calls = vm.pending_http_calls();
    assert_eq!((calls.len(), calls[0].upstream.as_str(), calls[0].timeout_ms), (1, "auth", 500));
    assert_eq!(calls[0].headers.get(":path"), Some(&b"/"[..]));
    vm.answer_http_call(calls[0].token, HttpCallResponse::new(200, "yes")).unwrap();
    assert_eq!(stream.upstream_request_body(), b"abcde");
    assert!(stream.upstream_request_complete() && vm.pending_http_calls().is_empty());
    assert_eq!(vm.logs().iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["", "yes", "5"]);
    assert!(matches!(vm.fail_http_call(4), Err(Error::UnknownToken(4))));
    stream.finish().unwrap();
}

#[test]
fn a_failed_call_is_reported_without_headers_and_with_a_status() {
    let vm = host().vm(&module(CALLOUT), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    vm.fail_http_call(4).unwrap();
    assert_eq!((vm.logs()[0].text.as_str(), stream.upstream_request_headers()), ("reset", None));
    stream.finish().unwrap();
}

#[test]
fn a_call_that_takes_too_long_is_answered_with_504() {
    let host = host();
    let vm = host.vm(&module(CALLOUT), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    host.clock().advance_ms(499);
    assert_eq!(vm.run_timeouts().unwrap(), 0);
    host.clock().advance_ms(1);
    assert_eq!((vm.run_timeouts().unwrap(), vm.run_timeouts().unwrap()), (1, 0));
    assert_eq!(lines(&vm), ["", "upstream request timeout"]);
    assert!(vm.pending_http_calls().is_empty() && stream.upstream_request_headers().is_some());
    stream.finish().unwrap();
}

#[test]
fn a_call_to_an_unknown_cluster_is_a_bad_argument() {
    let options = VmOptions { clusters: Some(vec!["other".into()]), ..VmOptions::default() };
    let mut stream = host().vm(&module(CALLOUT), options).unwrap().plugin("", b"").unwrap().stream();
    // The plugin traps on any status except OK.
    assert!(stream.request_headers(&REQUEST, true).is_err());
    stream.finish().unwrap();
}

#[test]
fn compiled_code_is_kept_in_the_cache_directory() {
    // Not removed afterwards, because the cache cleans up in a thread of its own.
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("module-cache");
    let wat = br#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_0"))
      (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024))"#;
    for _ in 0..2 {
        let module = Module::from_bytes(wat, ModuleCache::dir(&directory)).unwrap();
        assert_eq!(module.abi_version(), AbiVersion::V0_2_0);
    }
    assert!(std::fs::read_dir(&directory).unwrap().next().is_some());
}
