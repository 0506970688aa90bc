//! What VMs share: data, queues, metrics and time.

mod common;

use common::{REQUEST, host, module};
use seqroute_harness::{FailurePolicy, HostOptions, Module, Vm, VmOptions};

/// Increments the little-endian number under "n" with compare-and-swap, retrying after a mismatch, and logs the
/// number of attempts. Creates a missing key with a made-up compare-and-swap number.
const COUNT: &str = r#"
  (data (i32.const 0) "n")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $status i32) (local $tries i32) (local $cas i32)
    (loop $again
      (local.set $tries (i32.add (local.get $tries) (i32.const 1)))
      (local.set $status (call $get_shared
        (i32.const 0) (i32.const 1) (i32.const 4000) (i32.const 4004) (i32.const 4020)))
      (if (i32.eqz (local.get $status))
        (then
          (i32.store (i32.const 16) (i32.add (i32.const 1) (i32.load (i32.load (i32.const 4000)))))
          (local.set $cas (i32.load (i32.const 4020))))
        (else
          (i32.store (i32.const 16) (i32.const 1))
          (local.set $cas (i32.const -1))))
      (br_if $again (i32.eq (i32.const 8) (call $set_shared
        (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 4) (local.get $cas)))))
    (call $digit (local.get $tries))
    i32.const 0)
"#;

fn options(vm_id: &str) -> VmOptions {
    VmOptions { vm_id: vm_id.into(), ..VmOptions::default() }
}

fn request(vm: &Vm, times: usize) {
    let plugin = vm.plugin("", b"").unwrap();
    for _ in 0..times {
        let mut stream = plugin.stream();
        stream.request_headers(&REQUEST, true).unwrap();
        stream.finish().unwrap();
    }
}

fn number(host: &seqroute_harness::Host, vm_id: &str) -> u32 {
    let (value, _) = host.shared_data(vm_id).get("n").unwrap();
    u32::from_le_bytes(value.try_into().unwrap())
}

#[test]
fn vms_of_one_id_share_data_and_others_do_not() {
    let (host, module) = (host(), module(COUNT));
    request(&host.vm(&module, options("a")).unwrap(), 2);
    request(&host.vm(&module, options("a")).unwrap(), 1);
    request(&host.vm(&module, options("b")).unwrap(), 1);
    assert_eq!((number(&host, "a"), number(&host, "b")), (3, 1));
    host.drop_shared_data("a");
    assert!(host.shared_data("a").is_empty());
}

#[test]
fn a_forced_mismatch_makes_the_plugin_retry() {
    let host = host();
    let vm = host.vm(&module(COUNT), options("a")).unwrap();
    host.shared_data("a").force_cas_mismatch(2);
    request(&vm, 1);
    assert_eq!((vm.logs()[0].text.as_str(), number(&host, "a")), ("3", 1));
}

#[test]
fn vms_on_several_threads_lose_no_update() {
    let (host, module) = (host(), module(COUNT));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let vm = host.vm(&module, options("a")).unwrap();
            scope.spawn(move || request(&vm, 50));
        }
    });
    assert_eq!(number(&host, "a"), 200);
}

/// Registers queue "q" when configured; requests enqueue "item"; notifications dequeue and log it.
const QUEUE: &str = r#"
  (data (i32.const 0) "qitem")
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $die (call $register_queue (i32.const 0) (i32.const 1) (i32.const 16)))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $enqueue (i32.load (i32.const 16)) (i32.const 1) (i32.const 4)))
    i32.const 0)
  (func (export "proxy_on_queue_ready") (param i32) (param $queue i32)
    (call $die (call $dequeue (local.get $queue) (i32.const 4000) (i32.const 4004)))
    (call $info (i32.load (i32.const 4000)) (i32.load (i32.const 4004))))
"#;

#[test]
fn the_last_vm_to_register_a_queue_is_notified() {
    let (host, module) = (host(), module(QUEUE));
    let (first, second) = (host.vm(&module, options("a")).unwrap(), host.vm(&module, options("a")).unwrap());
    let plugin = first.plugin("", b"").unwrap();
    second.plugin("", b"").unwrap();
    let mut stream = plugin.stream();
    stream.request_headers(&REQUEST, true).unwrap();
    stream.finish().unwrap();
    assert_eq!(host.queues().items("a", "q"), [b"item"]);
    assert_eq!((first.run_queue_events().unwrap(), second.run_queue_events().unwrap()), (0, 1));
    assert_eq!((second.logs()[0].text.as_str(), host.queues().items("a", "q").len()), ("item", 0));
}

/// Counts requests in counter "requests".
const METRIC: &str = r#"
  (data (i32.const 0) "requests")
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $die (call $define_metric (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 16)))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $increment_metric (i32.load (i32.const 16)) (i64.const 1)))
    i32.const 0)
"#;

#[test]
fn a_metric_is_summed_over_vms_and_survives_a_reload() {
    let (host, module) = (host(), module(METRIC));
    let vm = host.vm(&module, VmOptions { failure_policy: FailurePolicy::Reload, ..options("a") }).unwrap();
    let plugin = vm.plugin("", b"").unwrap();
    vm.inject_trap_on_next_call();
    let mut crashed = plugin.stream();
    crashed.request_headers(&REQUEST, true).unwrap_err();
    crashed.finish().unwrap();
    request(&host.vm(&module, options("b")).unwrap(), 2);
    request(&vm, 1);
    assert_eq!(host.metrics().counter("requests"), Some(3));
    assert_eq!(host.metrics().gauge("requests"), None);
}

/// Requests a tick every 100 ms; each tick logs "t".
const TICK: &str = r#"
  (data (i32.const 0) "t")
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $die (call $tick_every (i32.const 100)))
    i32.const 1)
  (func (export "proxy_on_tick") (param i32) (call $info (i32.const 0) (i32.const 1)))
"#;

#[test]
fn ticks_follow_virtual_time() {
    let host = host();
    let vm = host.vm(&module(TICK), VmOptions::default()).unwrap();
    vm.plugin("", b"").unwrap();
    assert_eq!(vm.tick().unwrap(), 0);
    host.clock().advance_ms(99);
    assert_eq!(vm.tick().unwrap(), 0);
    host.clock().advance_ms(1);
    assert_eq!((vm.tick().unwrap(), vm.tick().unwrap()), (1, 0));
    host.clock().advance_ms(1_000);
    assert_eq!(vm.tick().unwrap(), 1);
    assert_eq!(vm.logs().len(), 2);
}

/// Logs eight random bytes, and the wall clock in milliseconds as eight bytes.
const ENTROPY: &str = r#"
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $die (call $random (i32.const 100) (i32.const 8)))
    (call $die (call $set_shared (i32.const 0) (i32.const 1) (i32.const 100) (i32.const 8) (i32.const 0)))
    (call $die (call $clock (i32.const 0) (i64.const 1) (i32.const 200)))
    (call $die (call $set_shared (i32.const 1) (i32.const 2) (i32.const 200) (i32.const 8) (i32.const 0)))
    i32.const 1)
"#;

fn configured(module: &Module, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let host = seqroute_harness::Host::new(HostOptions { seed, now_ms: 5, ..HostOptions::default() });
    host.vm(module, options("a")).unwrap().plugin("", b"").unwrap();
    let store = host.shared_data("a");
    (store.get([0]).unwrap().0, store.get([0, 0]).unwrap().0)
}

#[test]
fn random_bytes_and_time_are_inputs_of_the_test() {
    let module = module(ENTROPY);
    let (random, time) = configured(&module, 1);
    assert_eq!(
        (random.clone(), time.as_slice()),
        (configured(&module, 1).0, &5_000_000u64.to_le_bytes()[..])
    );
    assert_ne!(random, configured(&module, 2).0);
}
