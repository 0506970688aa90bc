//! Contexts, streams, metrics, calls, and wrong arguments.

use super::GET;
use crate::probe::Probe;

pub const CONTROL: Probe = Probe {
    name: "control",
    imports: r#"
  (import "env" "proxy_get_metric" (func $get_metric (param i32 i32) (result i32)))
  (import "env" "proxy_record_metric" (func $record_metric (param i32 i64) (result i32)))"#,
    functions: r#"
  (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
    (call $number (call $log (i32.const 6) (i32.const 0) (i32.const 1)))
    (call $number (call $log (i32.const 2) (i32.const -1) (i32.const 9)))
    (call $number (call $effective (i32.const 77)))
    (call $number (call $effective (i32.const 0)))
    (call $number (call $effective (local.get $id)))
    (call $number (call $proxy_done))
    (call $number (call $continue_stream (i32.const 2)))
    (call $number (call $continue_stream (i32.const 3)))
    (call $number (call $continue_stream (i32.const 4)))
    (call $number (call $close_stream (i32.const 2)))
    (call $number (call $close_stream (i32.const 3)))
    (call $number (call $close_stream (i32.const 4)))
    (call $number (call $get_status (i32.const 200) (i32.const 204) (i32.const 208)))
    (call $number (i32.load (i32.const 200)))
    (call $number (i32.load (i32.const 208)))
    (call $number (call $define_metric (i32.const 3) @"m" (i32.const 220)))
    (call $number (call $define_metric (i32.const 0) @"counter" (i32.const 220)))
    (call $number (call $increment_metric (i32.load (i32.const 220)) (i64.const 3)))
    (call $number (call $increment_metric (i32.load (i32.const 220)) (i64.const 0)))
    (call $number (call $increment_metric (i32.load (i32.const 220)) (i64.const -1)))
    (call $number (call $record_metric (i32.load (i32.const 220)) (i64.const 4)))
    (call $number (call $get_metric (i32.load (i32.const 220)) (i32.const 232)))
    (call $number (i32.load (i32.const 232)))
    (call $number (call $define_metric (i32.const 1) @"gauge" (i32.const 224)))
    (call $number (call $record_metric (i32.load (i32.const 224)) (i64.const 9)))
    (call $number (call $increment_metric (i32.load (i32.const 224)) (i64.const -2)))
    (call $number (call $get_metric (i32.load (i32.const 224)) (i32.const 232)))
    (call $number (i32.load (i32.const 232)))
    ;; Below zero.
    (call $number (call $increment_metric (i32.load (i32.const 224)) (i64.const -10)))
    (call $number (call $get_metric (i32.load (i32.const 224)) (i32.const 232)))
    (call $number (i32.load (i32.const 232)))
    (call $number (call $define_metric (i32.const 2) @"histogram" (i32.const 228)))
    (call $number (call $record_metric (i32.load (i32.const 228)) (i64.const 9)))
    (call $number (call $increment_metric (i32.load (i32.const 228)) (i64.const 1)))
    (call $number (call $get_metric (i32.load (i32.const 228)) (i32.const 232)))
    (call $number (call $get_metric (i32.const 9999) (i32.const 232)))
    (call $number (call $increment_metric (i32.const 9996) (i64.const 1)))
    (call $number (call $record_metric (i32.const 9996) (i64.const 1)))
    (call $number (call $grpc_send (i32.const 5) @"" (i32.const 0)))
    (call $number (call $grpc_send (i32.const 6) @"" (i32.const 0)))
    (call $number (call $grpc_cancel (i32.const 4)))
    (call $number (call $grpc_cancel (i32.const 5)))
    (call $number (call $grpc_close (i32.const 4)))
    (call $number (call $grpc_close (i32.const 6)))
    (call $number (call $grpc_stream @"none" @"s" @"m" @"" (i32.const 240)))
    (call $number (call $http_call @"none" @"" @"" @"" (i32.const 0) (i32.const 240)))
    (call $number (call $http_call @"echo" @"" @"" @"" (i32.const 0) (i32.const 240)))
    (call $number (call $http_call @"echo" @"" @"" @"" (i32.const -1) (i32.const 240)))
    (call $number (call $http_call @"echo" @"" @"" @"" (i32.const 0) (i32.const -1)))
    i32.const 0)
  (func (export "proxy_on_log") (param i32)
    (call $info @"end"))"#,
    request: GET,
    body: "",
};
