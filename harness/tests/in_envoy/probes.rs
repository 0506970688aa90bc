//! Host calls one by one: statuses, and what can be read back.

use seqroute_harness::{LogLevel, Vm};

use crate::envoy::{Envoy, exchange};
use crate::probe::Probe;

const GET: (&str, &str, &[(&str, &str)]) = ("GET", "/a?b=c", &[]);

/// Imports that few probes need.
const FIELDS: &str = r#"
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_header_map_pairs" (func $set_pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))"#;

const MAPS_OUT_OF_REACH: Probe = Probe {
    name: "maps_out_of_reach",
    imports: FIELDS,
    functions: r#"
  (func $all (param $map i32)
    (call $show_header (local.get $map) @":path")
    (call $show_header (local.get $map) @"x-none")
    (call $number (i32.ne (i32.const 0) (call $map_size (local.get $map) (i32.const 200))))
    (call $number (call $pairs (local.get $map) (i32.const 200) (i32.const 204)))
    (call $number (i32.ne (i32.const 0) (i32.load (i32.const 204))))
    (call $number (call $add (local.get $map) @"x-a" @"1"))
    (call $number (call $set_header (local.get $map) @"x-a" @"2"))
    (call $number (call $remove (local.get $map) @"x-a")))
  (func $every
    (local $map i32)
    (loop $next
      (call $all (local.get $map))
      (local.set $map (i32.add (local.get $map) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $map) (i32.const 9)))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $every) i32.const 0)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $every) i32.const 0)
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (call $all (i32.const 2)) i32.const 0)
  (func (export "proxy_on_log") (param i32) (call $every) (call $info @"end"))"#,
    request: GET,
    body: "",
};

const HEADER_EDITS: Probe = Probe {
    name: "header_edits",
    imports: FIELDS,
    functions: r#"
  (func $twice (param $name i32) (param $len i32)
    (call $number (call $add (i32.const 0) (local.get $name) (local.get $len) @"one"))
    (call $number (call $add (i32.const 0) (local.get $name) (local.get $len) @"two"))
    (call $show_header (i32.const 0) (local.get $name) (local.get $len))
    (call $number (call $set_header (i32.const 0) (local.get $name) (local.get $len) @"three"))
    (call $show_header (i32.const 0) (local.get $name) (local.get $len))
    (call $number (call $remove (i32.const 0) (local.get $name) (local.get $len)))
    (call $show_header (i32.const 0) (local.get $name) (local.get $len)))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $twice @"x-a")
    (call $twice @"X-Upper")
    (call $twice @"user-agent")
    (call $twice @"cookie")
    (call $twice @"accept")
    (call $twice @"authorization")
    (call $twice @"content-type")
    (call $twice @"x-forwarded-for")
    ;; An empty value is a value, and names ignore case.
    (call $number (call $set_header (i32.const 0) @"x-e" @""))
    (call $show_header (i32.const 0) @"X-E")
    ;; What the client sent twice.
    (call $show_header (i32.const 0) @"x-twice")
    (call $show_header (i32.const 0) @"referer")
    (call $number (call $set_header (i32.const 0) @"x-twice" @"once"))
    (call $show_header (i32.const 0) @"x-twice")
    i32.const 0)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (local $before i32)
    ;; A damaged map is an empty one.
    (call $number (call $set_pairs (i32.const 2) @"\02\00\00\00"))
    (call $number (call $map_size (i32.const 2) (i32.const 200)))
    (call $number (i32.load (i32.const 200)))
    (call $number (call $set_pairs (i32.const 2)
      @"\02\00\00\00\07\00\00\00\03\00\00\00\03\00\00\00\01\00\00\00:status\00200\00X-B\002\00"))
    (call $number (call $map_size (i32.const 2) (i32.const 200)))
    (call $number (i32.load (i32.const 200)))
    (call $show_header (i32.const 2) @"x-b")
    ;; Pseudo-headers come first wherever they are added.
    (call $number (call $remove (i32.const 2) @":status"))
    (call $number (call $add (i32.const 2) @":status" @"201"))
    (call $number (call $pairs (i32.const 2) (i32.const 200) (i32.const 204)))
    (call $info (i32.load (i32.const 200)) (i32.load (i32.const 204)))
    i32.const 0)
  (func (export "proxy_on_log") (param i32) (call $info @"end"))"#,
    request: ("GET", "/", &[("x-twice", "1"), ("x-twice", "2"), ("referer", "1"), ("referer", "2")]),
    body: "",
};

/// Adds each well-known request header twice; the first text is "12".
const JOINED_REQUEST: Probe = Probe {
    name: "joined_request",
    imports: FIELDS,
    functions: include_str!("joined_request.wat"),
    request: GET,
    body: "",
};

/// Adds each well-known response header twice.
const JOINED_RESPONSE: Probe = Probe {
    name: "joined_response",
    imports: FIELDS,
    functions: include_str!("joined_response.wat"),
    request: GET,
    body: "",
};

const BUFFERS: Probe = Probe {
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

/// Looks at the request's trailers in each callback, and adds one.
const TRAILERS: &str = r#"
  (func $look
    (call $show_header (i32.const 1) @"t")
    (call $show_header (i32.const 1) @"more")
    (call $number (call $map_size (i32.const 1) (i32.const 200)))
    (call $number (call $add (i32.const 1) @"more" @"1"))
    (call $show_header (i32.const 1) @"more"))
  (func (export "proxy_on_request_headers") (param i32) (param $count i32) (param $end i32) (result i32)
    (call $number (local.get $end))
    (call $look)
    i32.const 1)
  (func (export "proxy_on_request_body") (param i32) (param $size i32) (param $end i32) (result i32)
    (call $number (local.get $size))
    (call $number (local.get $end))
    (call $look)
    (if (local.get $end) (then (return (i32.const 0))))
    i32.const 1)
  (func (export "proxy_on_request_trailers") (param i32) (param $count i32) (result i32)
    (call $number (local.get $count))
    (call $look)
    (call $show_buffer (i32.const 0) (i32.const 0) (i32.const 99))
    i32.const 0)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $look) i32.const 0)
  ;; In the log Envoy may still let a plugin add trailers, to a request that is over; that is not imitated.
  (func (export "proxy_on_log") (param i32) (call $show_header (i32.const 1) @"t") (call $info @"end"))"#;

const TRAILERS_SENT: Probe = Probe {
    name: "trailers_sent",
    imports: FIELDS,
    functions: TRAILERS,
    request: ("POST", "/", &[]),
    body: "+abcdef",
};

const TRAILERS_MADE: Probe = Probe {
    name: "trailers_made",
    imports: FIELDS,
    functions: TRAILERS,
    request: ("POST", "/", &[]),
    body: "~abcdef",
};

const SHARED: Probe = Probe {
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

const PROPERTIES: Probe = Probe {
    name: "properties",
    imports: "",
    functions: r#"
  (func $call (param $name i32) (param $name_len i32) (param $at i32) (param $len i32)
    (i32.store (i32.const 200) (i32.const 7))
    (i32.store (i32.const 204) (i32.const 7))
    (call $number (call $foreign (local.get $name) (local.get $name_len) (local.get $at) (local.get $len)
      (i32.const 200) (i32.const 204)))
    (call $number (i32.load (i32.const 204))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $foreign @"declare_property" @"\0a\01o\10\01" (i32.const 0) (i32.const 0)))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $show_property @"plugin_vm_id")
    (call $show_property @"plugin_root_id")
    (call $show_property @"request\00path")
    (call $show_property @"request\00url_path")
    (call $show_property @"request\00method")
    (call $show_property @"request\00host")
    (call $show_property @"request\00headers\00:method")
    (call $show_property @"request\00headers\00x-none")
    (call $show_property @"request\00nothing")
    (call $show_property @"nothing")
    (call $show_property @"")
    (call $number (call $set_property @"mine" @"1"))
    (call $show_property @"mine")
    (call $show_property @"filter_state\00wasm.mine")
    (call $number (call $set_property @"a\00b" @"2"))
    (call $show_property @"a\00b")
    (call $show_property @"filter_state\00wasm.none")
    ;; Declared read-only.
    (call $number (call $set_property @"o" @"1"))
    (call $number (call $set_property @"o" @"2"))
    (call $show_property @"o")
    (call $call @"unknown" @"x")
    (call $call @"clear_route_cache" @"")
    (call $call @"set_envoy_filter_state" @"\ff")
    (call $call @"set_envoy_filter_state" @"\0a\05other\12\01x")
    (call $call @"set_envoy_filter_state" @"\0a\1benvoy.upstream.dynamic_port\12\03abc")
    (call $call @"set_envoy_filter_state" @"\0a\10envoy.network.ip\12\03abc")
    (call $call @"set_envoy_filter_state" @"\0a\0cenvoy.string\12\04text")
    (call $show_property @"filter_state\00envoy.string")
    (call $call @"declare_property" @"\0a\01p\10\01")
    (call $call @"declare_property" @"\0a\01p")
    (call $number (call $set_property @"p" @"1"))
    (call $number (call $set_property @"p" @"2"))
    (call $call @"uncompress" @"x")
    (call $number (call $foreign @"compress" @"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" (i32.const 200) (i32.const 204)))
    (call $number (call $foreign @"uncompress" (i32.load (i32.const 200)) (i32.load (i32.const 204))
      (i32.const 200) (i32.const 204)))
    (call $info (i32.load (i32.const 200)) (i32.load (i32.const 204)))
    (call $number (call $foreign @"compress" @"aaa" (i32.const 0) (i32.const 0)))
    i32.const 0)
  (func (export "proxy_on_log") (param i32)
    (call $show_property @"mine")
    (call $show_property @"response\00headers\00:status")
    (call $number (call $set_property @"late" @"1"))
    (call $show_property @"late")
    (call $info @"end"))"#,
    request: GET,
    body: "",
};

const CONTROL: Probe = Probe {
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

const WASI: Probe = Probe {
    name: "wasi",
    imports: include_str!("wasi_imports.wat"),
    functions: r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $fd i32)
    (loop $next
      (call $number (call $fd_close (local.get $fd)))
      (call $number (call $fd_seek (local.get $fd) (i64.const 0) (i32.const 0) (i32.const 200)))
      (call $number (call $fd_advise (local.get $fd) (i64.const 0) (i64.const 0) (i32.const 0)))
      (call $number (call $fd_allocate (local.get $fd) (i64.const 0) (i64.const 0)))
      (call $number (call $fd_datasync (local.get $fd)))
      (call $number (call $fd_sync (local.get $fd)))
      (call $number (call $fd_fdstat_get (local.get $fd) (i32.const 200)))
      (call $number (call $fd_fdstat_set_flags (local.get $fd) (i32.const 0)))
      (call $number (call $fd_fdstat_set_rights (local.get $fd) (i64.const 0) (i64.const 0)))
      (call $number (call $fd_filestat_get (local.get $fd) (i32.const 200)))
      (call $number (call $fd_filestat_set_size (local.get $fd) (i64.const 0)))
      (call $number (call $fd_filestat_set_times (local.get $fd) (i64.const 0) (i64.const 0) (i32.const 0)))
      (call $number (call $fd_read (local.get $fd) (i32.const 200) (i32.const 0) (i32.const 208)))
      (call $number (call $fd_pread (local.get $fd) (i32.const 200) (i32.const 0) (i64.const 0) (i32.const 208)))
      (call $number (call $fd_pwrite (local.get $fd) (i32.const 200) (i32.const 0) (i64.const 0) (i32.const 208)))
      (call $number (call $fd_write (local.get $fd) (i32.const 200) (i32.const 0) (i32.const 208)))
      (call $number (call $fd_readdir (local.get $fd) (i32.const 200) (i32.const 0) (i64.const 0) (i32.const 208)))
      (call $number (call $fd_renumber (local.get $fd) (i32.const 1)))
      (call $number (call $fd_renumber (i32.const 2) (local.get $fd)))
      (call $number (call $fd_tell (local.get $fd) (i32.const 200)))
      (call $number (call $fd_prestat_get (local.get $fd) (i32.const 200)))
      (call $number (call $fd_prestat_dir_name (local.get $fd) (i32.const 200) (i32.const 9)))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $fd) (i32.const 5))))
    (call $number (call $fd_tell (i32.const 1) (i32.const -1)))
    (call $number (call $fd_fdstat_get (i32.const 1) (i32.const -1)))
    (call $number (call $fd_readdir (i32.const 3) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const -1)))
    (call $number (call $path_open (i32.const 3) (i32.const 0) @"/etc" (i32.const 0)
      (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 200)))
    (call $number (call $path_create_directory (i32.const 3) @"/etc"))
    (call $number (call $path_filestat_get (i32.const 3) (i32.const 0) @"/etc" (i32.const 200)))
    (call $number (call $path_filestat_set_times (i32.const 3) (i32.const 0) @"/etc"
      (i64.const 0) (i64.const 0) (i32.const 0)))
    (call $number (call $path_link (i32.const 3) (i32.const 0) @"/etc" (i32.const 3) (i32.const 200)))
    (call $number (call $path_readlink (i32.const 3) @"/etc" (i32.const 200) (i32.const 9) (i32.const 208)))
    (call $number (call $path_readlink (i32.const 3) @"/etc" (i32.const 200) (i32.const 9) (i32.const -1)))
    (call $number (call $path_remove_directory (i32.const 3) @"/etc"))
    (call $number (call $path_rename (i32.const 3) @"/etc" (i32.const 3) @"/usr"))
    (call $number (call $path_symlink @"/etc" (i32.const 3) (i32.const 200)))
    (call $number (call $path_unlink_file (i32.const 3) @"/etc"))
    (call $number (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 200)))
    (call $number (call $sock_recv (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 200) (i32.const 204)))
    (call $number (call $sock_send (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 200)))
    (call $number (call $sock_send (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
    (call $number (call $sock_shutdown (i32.const 3) (i32.const 0)))
    (call $number (call $sched_yield))
    (call $number (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 200)))
    (call $number (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
    (call $number (call $args_sizes_get (i32.const 200) (i32.const 204)))
    (call $number (i32.load (i32.const 200)))
    (call $number (call $args_get (i32.const -1) (i32.const -1)))
    (call $number (call $environ_sizes_get (i32.const 200) (i32.const 204)))
    (call $number (i32.load (i32.const 200)))
    (call $number (call $environ_get (i32.const -1) (i32.const -1)))
    (call $number (call $clock_res_get (i32.const 1) (i32.const 200)))
    (call $number (i32.load (i32.const 200)))
    (call $number (call $clock_res_get (i32.const 2) (i32.const 200)))
    (call $number (call $clock (i32.const 0) (i64.const 0) (i32.const 200)))
    (call $number (call $clock (i32.const 3) (i64.const 0) (i32.const 200)))
    (call $number (call $clock (i32.const 1) (i64.const 0) (i32.const -1)))
    (call $number (call $random (i32.const 2000) (i32.const 0)))
    (call $number (call $random (i32.const -1) (i32.const 0)))
    (call $number (call $random (i32.const -1) (i32.const 8)))
    (call $number (call $random (i32.const 4096) (i32.const 65536)))
    (call $number (call $random (i32.const 4096) (i32.const 65537)))
    ;; Text in two pieces, with a newline at the end; and a piece out of reach.
    (i32.store (i32.const 200) (i32.const 240))
    (i32.store (i32.const 204) (i32.const 2))
    (i32.store (i32.const 208) (i32.const 242))
    (i32.store (i32.const 212) (i32.const 2))
    (i32.store (i32.const 240) (i32.const 0x0a616261))
    (call $number (call $fd_write (i32.const 1) (i32.const 200) (i32.const 2) (i32.const 220)))
    (call $number (i32.load (i32.const 220)))
    (call $number (call $fd_pwrite (i32.const 2) (i32.const 200) (i32.const 1) (i64.const 9) (i32.const 220)))
    (i32.store (i32.const 200) (i32.const -1))
    (call $number (call $fd_write (i32.const 1) (i32.const 200) (i32.const 2) (i32.const 220)))
    (call $number (call $fd_write (i32.const 1) (i32.const -1) (i32.const 2) (i32.const 220)))
    (call $proc_exit (i32.const 1))
    i32.const 0)
  (func (export "proxy_on_log") (param i32) (call $info @"end"))"#,
    request: GET,
    body: "",
};

/// Replies from the request headers, with a type and no body if the path asks for that.
const REPLY: &str = r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $get (i32.const 0) @":path"))
    (if (i32.eq (global.get $value_len) (i32.const 6))
      (then (call $die (call $reply (i32.const 403) @"" @""
        @"\01\00\00\00\0c\00\00\00\09\00\00\00content-type\00text/html\00" (i32.const -1))))
      (else (call $die (call $reply (i32.const 403) @"with spaces" @"no: 100% \c3\a9~"
        @"\02\00\00\00\03\00\00\00\01\00\00\00\03\00\00\00\01\00\00\00X-A\001\00x-a\002\00" (i32.const 7)))))
    i32.const 0)
  (func (export "proxy_on_response_headers") (param i32 i32) (param $end i32) (result i32)
    (call $number (local.get $end))
    (call $show_header (i32.const 2) @":status")
    (call $show_header (i32.const 2) @"content-length")
    (call $show_header (i32.const 2) @"content-type")
    (call $show_header (i32.const 2) @"grpc-status")
    (call $show_header (i32.const 2) @"grpc-message")
    (call $show_header (i32.const 2) @"x-a")
    i32.const 0)
  (func (export "proxy_on_response_body") (param i32) (param $size i32) (param $end i32) (result i32)
    (call $number (local.get $size))
    (call $number (local.get $end))
    i32.const 0)
  (func (export "proxy_on_log") (param i32)
    (call $show_property @"response\00code_details")
    (call $info @"end"))"#;

const REPLY_PLAIN: Probe =
    Probe { name: "reply_plain", imports: "", functions: REPLY, request: GET, body: "" };
const REPLY_EMPTY: Probe =
    Probe { name: "reply_empty", request: ("GET", "/empty", &[]), imports: "", functions: REPLY, body: "" };
const REPLY_HEAD: Probe =
    Probe { name: "reply_head", request: ("HEAD", "/a", &[]), imports: "", functions: REPLY, body: "" };
const REPLY_GRPC: Probe = Probe {
    name: "reply_grpc",
    request: ("POST", "/s/m", &[("content-type", "application/grpc")]),
    imports: "",
    functions: REPLY,
    body: "",
};

const PROBES: [Probe; 15] = [
    MAPS_OUT_OF_REACH,
    HEADER_EDITS,
    JOINED_REQUEST,
    JOINED_RESPONSE,
    BUFFERS,
    TRAILERS_SENT,
    TRAILERS_MADE,
    SHARED,
    PROPERTIES,
    CONTROL,
    WASI,
    REPLY_PLAIN,
    REPLY_EMPTY,
    REPLY_HEAD,
    REPLY_GRPC,
];

/// What a probe logs in the harness up to its end.
fn lines_here(vm: &Vm) -> Vec<String> {
    // The host's own notes are not the plugin's.
    let lines = vm.logs().into_iter().filter(|line| line.level > LogLevel::Trace);
    let mut lines: Vec<String> = lines.map(|line| line.text).collect();
    assert_eq!(lines.pop().as_deref(), Some("end"), "{lines:?}");
    lines
}

#[test]
fn every_probe_logs_the_same_here_and_in_envoy() {
    let listeners: Vec<_> = PROBES.iter().map(Probe::listener).collect();
    let envoy = Envoy::start(&listeners, &[("echo", "127.0.0.1:1".parse().unwrap())]);
    let mut differences = Vec::new();
    for probe in &PROBES {
        let (_host, vm) = probe.start();
        let mut stream = probe.send(&vm);
        probe.end(&mut stream);
        let here = lines_here(&vm);

        exchange(envoy.address(probe.name), &probe.request()).unwrap_or_else(|| panic!("{}", probe.name));
        let there = envoy.lines_to_the_end(probe.name);
        for (number, pair) in here.iter().zip(&there).enumerate().filter(|(_, (here, there))| here != there) {
            differences.push(format!("{} line {number}: here and in Envoy {pair:?}", probe.name));
        }
        if here.len() != there.len() {
            differences.push(format!("{}: {} lines here, {} in Envoy", probe.name, here.len(), there.len()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
