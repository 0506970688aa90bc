//! Buffers: bodies, responses and configurations.

use crate::probe::Probe;

pub const BUFFERS: Probe = Probe {
    name: "buffers",
    imports: r#"
  (import "env" "proxy_get_buffer_status" (func $buffer_status (param i32 i32 i32) (result i32)))"#,
    functions: r#"
  (func $all (param $buffer i32)
    (call $show_buffer (local.get $buffer) (i32.const 0) (i32.const 99))
    (call $show_buffer (local.get $buffer) (i32.const 2) (i32.const 3))
    (call $show_buffer (local.get $buffer) (i32.const 6) (i32.const 1))
    (call $show_buffer (local.get $buffer) (i32.const 99) (i32.const 1))
    (call $show_buffer (local.get $buffer) (i32.const 1) (i32.const -1))
    (call $number (call $buffer_status (local.get $buffer) (i32.const 200) (i32.const 204)))
    (call $number (call $buffer_status (local.get $buffer) (i32.const -1) (i32.const 204)))
    (call $number (call $get_buffer (local.get $buffer) (i32.const 0) (i32.const 9) (i32.const -1) (i32.const 204)))
    (call $number (call $set_buffer (local.get $buffer) (i32.const 0) (i32.const 1) (i32.const -1) (i32.const 9)))
    (call $number (call $set_buffer (local.get $buffer) (i32.const 3) (i32.const 1) @"!")))
  (func $every
    (local $buffer i32)
    (loop $next
      (call $all (local.get $buffer))
      (local.set $buffer (i32.add (local.get $buffer) (i32.const 1)))
      ;; Buffer 8 shows whatever Envoy looked at last.
      (br_if $next (i32.lt_u (local.get $buffer) (i32.const 8))))
    (call $number (call $buffer_status (i32.const 9) (i32.const 200) (i32.const 204))))
  (func $edit (param $buffer i32)
    (call $number (call $set_buffer (local.get $buffer) (i32.const 0) (i32.const 2) @"AB+"))
    (call $show_buffer (local.get $buffer) (i32.const 0) (i32.const 99))
    (call $number (call $set_buffer (local.get $buffer) (i32.const 0) (i32.const 0) @">"))
    (call $number (call $set_buffer (local.get $buffer) (i32.const 999) (i32.const 7) @"<"))
    (call $show_buffer (local.get $buffer) (i32.const 0) (i32.const 99))
    (call $number (call $set_buffer (local.get $buffer) (i32.const 0) (i32.const 999) @"abcdef"))
    (call $show_buffer (local.get $buffer) (i32.const 0) (i32.const 99)))
  ;; The headers are held, so that the route answers after the body.
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $every) i32.const 1)
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (call $every) (call $edit (i32.const 0)) i32.const 0)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $every) i32.const 0)
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
    (call $every) (call $edit (i32.const 1)) i32.const 0)
  (func (export "proxy_on_log") (param i32) (call $every) (call $info @"end"))"#,
    request: ("POST", "/", &[]),
    body: "abcdef",
};
