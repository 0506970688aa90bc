//! Properties, filter state and foreign functions.

use super::GET;
use crate::probe::Probe;

pub const PROPERTIES: Probe = Probe {
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
