//! Injected faults: failing and slow host calls between others that succeed.

mod common;

use common::{REQUEST, host, module};
use seqroute_harness::{Fault, VmOptions};

/// Writes "1", "2", "3" under "k" and logs the status of each write.
const THREE_WRITES: &str = r#"
  (data (i32.const 0) "k123")
  (func $write (param $at i32)
    (call $digit (call $set_shared
      (i32.const 0) (i32.const 1) (local.get $at) (i32.const 1) (i32.const 0))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $write (i32.const 1))
    (call $write (i32.const 2))
    (call $write (i32.const 3))
    i32.const 0)
"#;

#[test]
fn the_nth_call_returns_a_status_and_has_no_effect() {
    let host = host();
    let vm = host.vm(&module(THREE_WRITES), VmOptions::default()).unwrap();
    let plugin = vm.plugin("", b"").unwrap();
    vm.inject_fault("proxy_set_shared_data", 2, Fault::Status(7));
    for expected in [["0", "0", "7"], ["0", "0", "0"]] {
        vm.clear_logs();
        let mut stream = plugin.stream();
        stream.request_headers(&REQUEST, true).unwrap();
        stream.finish().unwrap();
        let statuses: Vec<String> = vm.logs().into_iter().map(|line| line.text).collect();
        assert_eq!(statuses, expected);
        let written = host.shared_data("").get("k").unwrap().0;
        assert_eq!(written, if expected[2] == "7" { b"2" } else { b"3" });
    }
    let trace: Vec<_> = vm.trace().into_iter().filter(|call| call.name == "proxy_set_shared_data").collect();
    assert_eq!(trace.iter().map(|call| call.status.unwrap()).collect::<Vec<_>>(), [0, 0, 7, 0, 0, 0]);
}

#[test]
fn a_slow_call_takes_virtual_time_and_succeeds() {
    let host = host();
    let vm = host.vm(&module(THREE_WRITES), VmOptions::default()).unwrap();
    vm.inject_fault("proxy_set_shared_data", 1, Fault::SlowMs(1_500));
    let before = host.clock().now_ms();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    stream.finish().unwrap();
    assert_eq!(host.clock().now_ms() - before, 1_500);
    assert_eq!(host.shared_data("").get("k").unwrap().0, b"3");
}

#[test]
fn a_module_at_its_memory_limit_cannot_grow() {
    let grow = r#"
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        ;; 16 MiB more; -1 is "no".
        (if (i32.eq (i32.const -1) (memory.grow (i32.const 256))) (then (call $digit (i32.const 1))))
        i32.const 0)"#;
    let limit = |memory_limit_bytes| VmOptions { memory_limit_bytes, ..VmOptions::default() };
    for (memory_limit_bytes, refused) in [(8 << 20, true), (64 << 20, false)] {
        let vm = host().vm(&module(grow), limit(memory_limit_bytes)).unwrap();
        let mut stream = vm.plugin("", b"").unwrap().stream();
        stream.request_headers(&REQUEST, true).unwrap();
        stream.finish().unwrap();
        assert_eq!(vm.logs().len(), usize::from(refused));
        assert!(vm.memory_bytes() <= memory_limit_bytes);
    }
}
