//! Boilerplate for small plugins in WebAssembly text.

#![allow(dead_code, reason = "each test binary uses a part")]

use seqroute_harness::{Host, HostOptions, Module, ModuleCache, Vm, VmOptions};

/// Imports, memory, a bump allocator and helper functions.
///
/// `$die` traps unless the status is OK. `$get` reads a request or response header into `$value`/`$value_len`.
/// Addresses below 4096 are the plugin's own; the allocator starts there.
pub const FRAME: &str = r#"
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $set_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_shared_data" (func $get_shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $set_shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue_stream (param i32) (result i32)))
  (import "env" "proxy_close_stream" (func $close_stream (param i32) (result i32)))
  (import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick_every (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_http_call"
    (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_status" (func $get_status (param i32 i32 i32) (result i32)))
  (import "env" "proxy_done" (func $proxy_done (result i32)))
  (import "env" "proxy_define_metric" (func $define_metric (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment_metric (param i32 i64) (result i32)))
  (import "env" "proxy_call_foreign_function"
    (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_register_shared_queue" (func $register_queue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_call"
    (func $grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_stream"
    (func $grpc_stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_send" (func $grpc_send (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_cancel" (func $grpc_cancel (param i32) (result i32)))
  (import "env" "proxy_grpc_close" (func $grpc_close (param i32) (result i32)))
  (import "env" "proxy_get_header_map_size" (func $map_size (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (global $free (mut i32) (i32.const 4096))
  (global $value (mut i32) (i32.const 0))
  (global $value_len (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func $malloc (export "malloc") (param $size i32) (result i32)
    ;; What was handed out long ago is forgotten, so that a test may run for long.
    (if (i32.gt_u (global.get $free) (i32.const 200000)) (then (global.set $free (i32.const 4096))))
    global.get $free
    (global.set $free (i32.add (global.get $free) (local.get $size))))
  (func $die (param $status i32)
    local.get $status
    (if (then unreachable)))
  (func $get (param $map i32) (param $key i32) (param $len i32) (result i32)
    (call $get_header (local.get $map) (local.get $key) (local.get $len) (i32.const 4000) (i32.const 4004))
    (global.set $value (i32.load (i32.const 4000)))
    (global.set $value_len (i32.load (i32.const 4004))))
  (func $info (param $text i32) (param $len i32)
    (call $die (call $log (i32.const 2) (local.get $text) (local.get $len))))
  ;; Logs what a buffer holds.
  (func $info_buffer (param $buffer i32)
    (call $die (call $get_buffer (local.get $buffer) (i32.const 0) (i32.const 9999)
      (i32.const 4000) (i32.const 4004)))
    (call $info (i32.load (i32.const 4000)) (i32.load (i32.const 4004))))
  ;; Logs the text of the last call's status.
  (func $info_status
    (call $die (call $get_status (i32.const 4000) (i32.const 4004) (i32.const 4008)))
    (call $info (i32.load (i32.const 4004)) (i32.load (i32.const 4008))))
  ;; Logs a number below ten as one digit.
  (func $digit (param $number i32)
    (i32.store8 (i32.const 4008) (i32.add (i32.const 48) (local.get $number)))
    (call $info (i32.const 4008) (i32.const 1)))
"#;

/// A plugin made of the frame and `body`, as text.
pub fn text(body: &str) -> String {
    format!("(module {FRAME} {body})")
}

/// Compiles a plugin made of the frame and `body`.
pub fn module(body: &str) -> Module {
    Module::from_bytes(text(body).as_bytes(), ModuleCache::none()).unwrap()
}

/// A host with default options.
pub fn host() -> Host {
    Host::new(HostOptions::default())
}

/// Options of a VM that delivers bodies while headers are held.
pub fn body_mode() -> VmOptions {
    VmOptions { allow_on_headers_stop_iteration: true, ..VmOptions::default() }
}

/// The lines that a VM's plugins logged.
pub fn lines(vm: &Vm) -> Vec<String> {
    vm.logs().into_iter().map(|line| line.text).collect()
}

/// The headers that most tests send.
pub const REQUEST: [(&str, &str); 3] = [(":method", "POST"), (":path", "/v1"), (":authority", "llm")];
