//! Shared data and shared queues.

use super::GET;
use crate::probe::Probe;

pub const SHARED: Probe = Probe {
    name: "shared",
    imports: r#"
  (import "env" "proxy_resolve_shared_queue" (func $resolve (param i32 i32 i32 i32 i32) (result i32)))"#,
    functions: r#"
  (func $read (param $key i32) (param $len i32)
    (local $status i32)
    (local.set $status (call $get_shared (local.get $key) (local.get $len)
      (i32.const 200) (i32.const 204) (i32.const 208)))
    (if (local.get $status)
      (then (call $number (local.get $status)))
      (else (call $info (i32.load (i32.const 200)) (i32.load (i32.const 204))))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $first i32)
    (call $read @"k")
    ;; A made-up number creates, and does not overwrite.
    (call $number (call $set_shared @"k" @"1" (i32.const -1)))
    (call $number (call $set_shared @"k" @"2" (i32.const -1)))
    (call $read @"k")
    (local.set $first (i32.load (i32.const 208)))
    ;; Zero writes blindly; the number read before is stale then.
    (call $number (call $set_shared @"k" @"3" (i32.const 0)))
    (call $number (call $set_shared @"k" @"4" (local.get $first)))
    (call $read @"k")
    (call $number (i32.gt_u (i32.load (i32.const 208)) (local.get $first)))
    (call $number (call $set_shared @"k" @"5" (i32.load (i32.const 208))))
    ;; An empty value keeps the key and its number.
    (call $number (call $set_shared @"k" @"" (i32.const 0)))
    (call $read @"k")
    (call $number (call $set_shared @"k" @"6" (i32.const -1)))
    ;; An empty key is a key.
    (call $number (call $set_shared @"" @"nameless" (i32.const 0)))
    (call $read @"")
    (call $number (call $get_shared @"k" (i32.const -1) (i32.const 204) (i32.const 208)))
    (call $number (call $set_shared (i32.const -1) (i32.const 9) @"x" (i32.const 0)))
    ;; Queues.
    (call $number (call $resolve @"" @"q" (i32.const 220)))
    (call $number (call $register_queue @"q" (i32.const 220)))
    (call $number (call $register_queue @"q" (i32.const 224)))
    (call $number (i32.eq (i32.load (i32.const 220)) (i32.load (i32.const 224))))
    (call $number (call $resolve @"" @"q" (i32.const 224)))
    (call $number (call $resolve @"shared" @"q" (i32.const 224)))
    (call $number (i32.eq (i32.load (i32.const 220)) (i32.load (i32.const 224))))
    (call $number (call $resolve @"other" @"q" (i32.const 224)))
    (call $number (call $dequeue (i32.load (i32.const 220)) (i32.const 228) (i32.const 232)))
    (call $number (call $dequeue (i32.const 77) (i32.const 228) (i32.const 232)))
    (call $number (call $enqueue (i32.const 77) @"item"))
    (call $number (call $enqueue (i32.load (i32.const 220)) @""))
    (call $number (call $enqueue (i32.load (i32.const 220)) @"item"))
    (call $number (call $dequeue (i32.load (i32.const 220)) (i32.const 228) (i32.const 232)))
    (call $number (i32.load (i32.const 232)))
    (call $number (call $dequeue (i32.load (i32.const 220)) (i32.const 228) (i32.const 232)))
    (call $info (i32.load (i32.const 228)) (i32.load (i32.const 232)))
    i32.const 0)
  (func (export "proxy_on_log") (param i32) (call $info @"end"))"#,
    request: GET,
    body: "",
};
