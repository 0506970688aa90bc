//! Header and trailer maps.

use super::GET;
use crate::probe::Probe;

/// Imports that few probes need.
const FIELDS: &str = r#"
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_header_map_pairs" (func $set_pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))"#;

pub const MAPS_OUT_OF_REACH: Probe = Probe {
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

pub const HEADER_EDITS: Probe = Probe {
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
pub const JOINED_REQUEST: Probe = Probe {
    name: "joined_request",
    imports: FIELDS,
    functions: include_str!("../joined_request.wat"),
    request: GET,
    body: "",
};

/// Adds each well-known response header twice.
pub const JOINED_RESPONSE: Probe = Probe {
    name: "joined_response",
    imports: FIELDS,
    functions: include_str!("../joined_response.wat"),
    request: GET,
    body: "",
};

/// Logs the request's trailers in each callback, and adds one.
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

pub const TRAILERS_SENT: Probe = Probe {
    name: "trailers_sent",
    imports: FIELDS,
    functions: TRAILERS,
    request: ("POST", "/", &[]),
    body: "+abcdef",
};

pub const TRAILERS_MADE: Probe = Probe {
    name: "trailers_made",
    imports: FIELDS,
    functions: TRAILERS,
    request: ("POST", "/", &[]),
    body: "~abcdef",
};
