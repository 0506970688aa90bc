//! Local replies, as the plugin's response callbacks see them.

use super::GET;
use crate::probe::Probe;

/// Replies in the request headers callback: with a content type and no body if the path has six bytes.
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

pub const REPLY_PLAIN: Probe =
    Probe { name: "reply_plain", imports: "", functions: REPLY, request: GET, body: "" };
pub const REPLY_EMPTY: Probe =
    Probe { name: "reply_empty", request: ("GET", "/empty", &[]), imports: "", functions: REPLY, body: "" };
pub const REPLY_HEAD: Probe =
    Probe { name: "reply_head", request: ("HEAD", "/a", &[]), imports: "", functions: REPLY, body: "" };
pub const REPLY_GRPC: Probe = Probe {
    name: "reply_grpc",
    request: ("POST", "/s/m", &[("content-type", "application/grpc")]),
    imports: "",
    functions: REPLY,
    body: "",
};
