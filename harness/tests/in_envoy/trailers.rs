//! Responses with trailers and metadata, from an HTTP/2 upstream.

use crate::common;
use crate::envoy::{Envoy, Kind, Listener, exchange};
use crate::http2_server::{self, Frame};
use crate::probe::Probe;

/// Logs the response's trailers in each callback, and adds one. Holds the body until the trailers arrive.
const TRAILERS: Probe = Probe {
    name: "response_trailers",
    imports: r#"
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
    functions: r#"
  (func $look
    (call $show_header (i32.const 3) @"t")
    (call $show_header (i32.const 3) @"more")
    (call $number (call $map_size (i32.const 3) (i32.const 200)))
    (call $number (call $add (i32.const 3) @"more" @"1"))
    (call $show_header (i32.const 3) @"more"))
  (func (export "proxy_on_response_headers") (param i32) (param $count i32) (param $end i32) (result i32)
    (call $info @"headers")
    (call $number (local.get $end))
    (call $show_header (i32.const 2) @"h")
    (call $look)
    i32.const 0)
  (func (export "proxy_on_response_metadata") (param i32) (param $count i32) (result i32)
    (call $info @"metadata")
    (call $number (local.get $count))
    i32.const 0)
  (func (export "proxy_on_response_body") (param i32) (param $size i32) (param $end i32) (result i32)
    (call $info @"body")
    (call $number (local.get $size))
    (call $number (local.get $end))
    (call $look)
    i32.const 1)
  (func (export "proxy_on_response_trailers") (param i32) (param $count i32) (result i32)
    (call $info @"trailers")
    (call $number (local.get $count))
    (call $look)
    (call $show_header (i32.const 2) @"h")
    (call $show_buffer (i32.const 1) (i32.const 0) (i32.const 99))
    (call $number (call $set_buffer (i32.const 1) (i32.const 0) (i32.const 99) @"changed"))
    (call $show_buffer (i32.const 1) (i32.const 0) (i32.const 99))
    i32.const 0)
  (func (export "proxy_on_log") (param i32)
    (call $show_header (i32.const 3) @"t")
    (call $show_header (i32.const 3) @"more")
    (call $info @"end"))"#,
    request: ("GET", "/", &[]),
    body: "",
};

const HEADERS: [(&str, &str); 2] = [(":status", "200"), ("h", "1")];
const LAST: [(&str, &str); 2] = [("t", "last"), ("u", "2")];

#[test]
fn response_trailers_are_the_same_here_and_in_envoy() {
    const ANSWER: [Frame; 4] = [
        Frame::Fields(&HEADERS),
        Frame::Metadata(&[("m", "1"), ("n", "2")]),
        Frame::Data("abcdef"),
        Frame::LastFields(&LAST),
    ];
    let listener = Listener { kind: Kind::HttpTo { cluster: "grpc_trailers" }, ..TRAILERS.listener() };
    let envoy = Envoy::start(&[listener], &[("grpc_trailers", http2_server::start(&ANSWER))]);
    let answer = exchange(envoy.address(TRAILERS.name), TRAILERS.request()).unwrap();
    let there = envoy.lines_to_the_end(TRAILERS.name);

    let (_host, vm) = TRAILERS.start();
    let mut stream = TRAILERS.send(&vm);
    stream.response_headers(&HEADERS, false).unwrap();
    stream.response_metadata(2).unwrap();
    stream.response_body("abcdef", false).unwrap();
    stream.response_trailers(&LAST).unwrap();
    stream.finish().unwrap();
    let mut here = common::lines(&vm);
    assert_eq!(here.pop().as_deref(), Some("end"));
    assert_eq!(here, there);
    assert_eq!(answer.body, "changed");
    assert_eq!(stream.client_response_body(), b"changed");
}
