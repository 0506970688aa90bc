//! Queue notifications, which come after the callback.

use crate::common;
use crate::envoy::{Envoy, exchange};
use crate::probe::Probe;

/// Enqueues two items into its own queue and holds the request; the second notification continues it.
const NOTICES: Probe = Probe {
    name: "notices",
    imports: "",
    functions: r#"
  (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
    (i32.store (i32.const 300) (local.get $id))
    (call $number (call $register_queue @"q" (i32.const 304)))
    (call $number (call $enqueue (i32.load (i32.const 304)) @"first"))
    (call $number (call $enqueue (i32.load (i32.const 304)) @"second"))
    (call $info @"held")
    i32.const 1)
  (func (export "proxy_on_queue_ready") (param i32) (param $token i32)
    (call $number (i32.eq (local.get $token) (i32.load (i32.const 304))))
    (call $number (call $dequeue (local.get $token) (i32.const 200) (i32.const 204)))
    (call $info (i32.load (i32.const 200)) (i32.load (i32.const 204)))
    ;; The second item has six letters.
    (if (i32.eq (i32.load (i32.const 204)) (i32.const 6)) (then
      (call $number (call $effective (i32.load (i32.const 300))))
      (call $number (call $continue_stream (i32.const 0))))))
  (func (export "proxy_on_log") (param i32) (call $info @"end"))"#,
    request: ("GET", "/", &[]),
    body: "",
};

#[test]
fn notifications_come_one_by_one_after_the_callback() {
    let envoy = Envoy::start(&[NOTICES.listener()], &[]);
    let (_host, vm) = NOTICES.start();
    let mut stream = NOTICES.send(&vm);
    assert_eq!(vm.run_queue_events().unwrap(), 2);
    NOTICES.end(&mut stream);
    let mut here = common::lines(&vm);
    assert_eq!(here.pop().as_deref(), Some("end"));
    exchange(envoy.address(NOTICES.name), NOTICES.request()).unwrap();
    assert_eq!(here, envoy.lines_to_the_end(NOTICES.name));
}
