//! Several plugins in one VM, ending them, and using them from threads.

mod common;

use common::{REQUEST, host, module};
use seqroute_harness::{Host, Module, Plugin, SharedData, Stream, Vm, VmOptions};

/// Logs its configuration when configured, its root id in a request, and "d" when deleted.
/// `proxy_on_done` returns false for a root context; the next tick finishes it with `proxy_done`.
const PLUGIN: &str = r#"
  (data (i32.const 0) "plugin_root_idd")
  (func (export "proxy_on_vm_start") (param i32) (param $len i32) (result i32)
    (call $digit (local.get $len))
    i32.const 1)
  (func (export "proxy_on_configure") (param $id i32) (param $len i32) (result i32)
    (call $die (call $get_buffer (i32.const 7) (i32.const 0) (local.get $len)
      (i32.const 4000) (i32.const 4004)))
    (call $info (i32.load (i32.const 4000)) (i32.load (i32.const 4004)))
    (call $die (call $tick_every (i32.const 1)))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $get_property (i32.const 0) (i32.const 14) (i32.const 4000) (i32.const 4004)))
    (call $info (i32.load (i32.const 4000)) (i32.load (i32.const 4004)))
    i32.const 0)
  (func (export "proxy_on_done") (param i32) (result i32) i32.const 0)
  (func (export "proxy_on_tick") (param i32) (call $die (call $proxy_done)))
  (func (export "proxy_on_delete") (param i32) (call $info (i32.const 14) (i32.const 1)))
"#;

fn logs(vm: &Vm) -> Vec<String> {
    vm.logs().into_iter().map(|line| line.text).collect()
}

#[test]
fn each_plugin_of_a_vm_has_its_own_root_and_configuration() {
    let options = VmOptions { vm_configuration: b"vm!".to_vec(), ..VmOptions::default() };
    let vm = host().vm(&module(PLUGIN), options).unwrap();
    let (first, second) = (vm.plugin("one", b"A").unwrap(), vm.plugin("two", b"B").unwrap());
    for plugin in [&second, &first] {
        let mut stream = plugin.stream();
        stream.request_headers(&REQUEST, true).unwrap();
        stream.finish().unwrap();
    }
    assert_eq!(logs(&vm), ["3", "A", "3", "B", "two", "d", "one", "d"]);
}

#[test]
fn a_plugin_may_delay_its_end_until_it_calls_done() {
    let host = host();
    let vm = host.vm(&module(PLUGIN), VmOptions::default()).unwrap();
    vm.plugin("one", b"A").unwrap().shutdown().unwrap();
    assert_eq!(logs(&vm), ["0", "A"]);
    host.clock().advance_ms(1);
    assert_eq!(vm.tick().unwrap(), 1);
    assert_eq!(logs(&vm), ["0", "A", "d"]);
    host.clock().advance_ms(1);
    assert_eq!(vm.tick().unwrap(), 0);
}

#[test]
fn handles_can_be_sent_to_other_threads() {
    fn sendable<T: Send>() {}
    sendable::<Host>();
    sendable::<Module>();
    sendable::<Vm>();
    sendable::<Plugin>();
    sendable::<Stream>();
    sendable::<SharedData>();
}

#[test]
fn streams_of_one_vm_interleave() {
    let vm = host().vm(&module(PLUGIN), VmOptions::default()).unwrap();
    let plugin = vm.plugin("one", b"A").unwrap();
    let (mut first, mut second) = (plugin.stream(), plugin.stream());
    first.request_headers(&REQUEST, false).unwrap();
    second.request_headers(&REQUEST, false).unwrap();
    first.request_body("1", true).unwrap();
    second.request_body("2", true).unwrap();
    second.finish().unwrap();
    first.response_headers(&[(":status", "200")], true).unwrap();
    first.finish().unwrap();
    assert_eq!(
        (first.upstream_request_body(), second.upstream_request_body()),
        (b"1".to_vec(), b"2".to_vec())
    );
}
