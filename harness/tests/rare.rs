//! Rarely used: name resolution, foreign function callbacks, validation, HTTP/2 metadata, and pools.

mod common;

use common::{REQUEST, body_mode, host, lines, module};
use seqroute_harness::{Action, Error, StepState, VmOptions};

const PLUGIN: &str = r#"
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_validate_configuration") (param i32) (param $len i32) (result i32)
    (call $info_buffer (i32.const 7))
    (i32.gt_u (local.get $len) (i32.const 3)))
  (func (export "proxy_on_foreign_function") (param i32) (param $function i32) (param $len i32)
    (call $digit (local.get $function))
    (call $digit (local.get $len))
    (call $info_buffer (i32.const 8)))
  (func (export "proxy_on_request_metadata") (param i32) (param $entries i32) (result i32)
    (call $digit (local.get $entries))
    i32.const 1)
  (func (export "proxy_on_response_metadata") (param i32) (param $entries i32) (result i32)
    (call $digit (local.get $entries))
    i32.const 0)"#;

#[test]
fn a_foreign_function_callback_reads_its_arguments() {
    let vm = host().vm(&module(PLUGIN), VmOptions::default()).unwrap();
    let plugin = vm.plugin("", b"").unwrap();
    plugin.foreign_function(3, "data").unwrap();
    assert_eq!(lines(&vm), ["3", "4", "data"]);
}

#[test]
fn a_configuration_is_validated_if_the_module_exports_the_callback() {
    let vm = host().vm(&module(PLUGIN), VmOptions::default()).unwrap();
    assert_eq!(vm.plugin("", b"good").unwrap().validate_configuration().unwrap(), Some(true));
    assert_eq!(vm.plugin("", b"bad").unwrap().validate_configuration().unwrap(), Some(false));
    assert_eq!(lines(&vm), ["good", "bad"]);
    let vm = host().vm(&module(""), VmOptions::default()).unwrap();
    assert_eq!(vm.plugin("", b"").unwrap().validate_configuration().unwrap(), None);
}

#[test]
fn metadata_is_announced_and_holds_nothing_back() {
    let vm = host().vm(&module(PLUGIN), body_mode()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    assert!(matches!(stream.request_metadata(1), Err(Error::Misuse(_))));
    stream.request_headers(&REQUEST, false).unwrap();
    let step = stream.request_metadata(2).unwrap();
    assert_eq!((step.action, step.state), (Action::Pause, StepState::Forwarded));
    stream.request_body("", true).unwrap();
    stream.response_headers(&[(":status", "200")], false).unwrap();
    stream.response_metadata(3).unwrap();
    stream.response_body("", true).unwrap();
    assert!(stream.client_response_complete());
    stream.finish().unwrap();
    assert_eq!(lines(&vm), ["2", "3"]);
}

#[test]
fn a_query_is_answered_once_and_not_after_its_plugin_has_ended() {
    let plugin = r#"
  (import "env" "envoy_resolve_dns" (func $resolve (param i32 i32 i32) (result i32)))"#;
    let functions = r#"
  (data (i32.const 0) "host")
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $die (call $resolve (i32.const 0) (i32.const 4) (i32.const 100)))
    i32.const 1)
  (func (export "envoy_on_resolve_dns") (param i32) (param $token i32) (param $size i32)
    (call $digit (local.get $token))
    (call $info_buffer (i32.const 8)))"#;
    let text = format!("(module {plugin} {} {functions})", common::FRAME);
    let module =
        seqroute_harness::Module::from_bytes(text.as_bytes(), seqroute_harness::ModuleCache::none()).unwrap();
    let vm = host().vm(&module, VmOptions::default()).unwrap();
    let (first, second) = (vm.plugin("a", b"").unwrap(), vm.plugin("b", b"").unwrap());
    let names: Vec<_> = vm.pending_dns_queries().into_iter().map(|query| (query.token, query.name)).collect();
    assert_eq!(names, [(2, "host".to_owned()), (3, "host".to_owned())]);
    vm.answer_dns_query(2, &[("10.0.0.1:0".parse().unwrap(), 30)]).unwrap();
    assert!(matches!(vm.fail_dns_query(2), Err(Error::UnknownToken(2))));
    assert_eq!(lines(&vm), ["2", "\u{1}\0\0\0\u{1e}\0\0\u{0}10.0.0.1:0\0"]);
    second.shutdown().unwrap();
    assert!(vm.pending_dns_queries().is_empty());
    first.shutdown().unwrap();
}

/// Grows its memory by as many pages as the configuration has bytes, and keeps a number at address 0.
const GROWING: &str = r#"
  (func (export "proxy_on_configure") (param i32) (param $len i32) (result i32)
    (call $digit (i32.load (i32.const 0)))
    (i32.store (i32.const 0) (i32.const 7))
    (i32.ne (memory.grow (local.get $len)) (i32.const -1)))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)"#;

#[test]
fn a_pool_provides_clean_memory_within_the_limits_and_may_overflow() {
    let module = module(GROWING).pooled(2).unwrap();
    let options = VmOptions { memory_limit_bytes: 8 << 16, ..VmOptions::default() };
    // Repeatedly more VMs than slots.
    for _ in 0..3 {
        let vms: Vec<_> = (0..5).map(|_| host().vm(&module, options.clone()).unwrap()).collect();
        for vm in &vms {
            let plugin = vm.plugin("", b"1234").unwrap();
            assert!(vm.plugin("", b"12345").is_err(), "beyond the limit");
            assert_eq!(lines(vm)[0], "0", "a place was given out with what another VM left in it");
            // A crash takes a slot for the next life.
            assert!(plugin.stream().request_headers(&REQUEST, true).is_err());
            assert!(plugin.stream().request_headers(&REQUEST, true).is_err());
            assert_eq!(vm.reloads(), 1);
        }
    }
}

#[test]
fn many_threads_share_a_pool() {
    let module = module(GROWING).pooled(4).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let vm = host().vm(&module, VmOptions::default()).unwrap();
                    drop(vm.plugin("", b"12").unwrap());
                    assert_eq!(lines(&vm), ["0"]);
                }
            });
        }
    });
}
