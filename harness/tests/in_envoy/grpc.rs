//! Responses to gRPC calls, from an HTTP/2 server.

use seqroute_harness::Vm;

use crate::common;
use crate::envoy::Envoy;
use crate::http2_server::{self, Frame};
use crate::probe::Probe;

const FIRST: Frame =
    Frame::Fields(&[(":status", "200"), ("content-type", "application/grpc"), ("k", "first")]);

/// A response with a message.
const GOOD: [Frame; 3] =
    [FIRST, Frame::Message("yes!"), Frame::LastFields(&[("grpc-status", "0"), ("k", "last")])];

/// A response with only a status.
const BAD: [Frame; 1] = [Frame::LastFields(&[
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-status", "7"),
    ("grpc-message", "not%20you"),
    ("k", "only"),
])];

/// Logs all callbacks with their arguments. When the upstream ends the stream, closes it and continues the request.
const TOLD: &str = r#"
  (func $go_on
    (call $number (call $effective (i32.load (i32.const 300))))
    (call $number (call $continue_stream (i32.const 0))))
  (func (export "proxy_on_grpc_receive_initial_metadata") (param i32) (param $token i32) (param i32)
    (call $info @"initial")
    (call $number (local.get $token))
    (call $show_header (i32.const 4) @"k")
    (call $show_header (i32.const 5) @"k")
    (call $number (call $map_size (i32.const 4) (i32.const 200)))
    (call $show_buffer (i32.const 5) (i32.const 0) (i32.const 99)))
  (func (export "proxy_on_grpc_receive") (param i32) (param $token i32) (param $size i32)
    (call $info @"message")
    (call $number (local.get $token))
    (call $number (local.get $size))
    (call $show_buffer (i32.const 5) (i32.const 0) (i32.const 99))
    (call $show_header (i32.const 4) @"k")
    (call $info_status)
    ;; A unary call is over with its message.
    (if (i32.eq (i32.and (local.get $token) (i32.const 3)) (i32.const 1)) (then
      (call $number (call $grpc_cancel (local.get $token)))
      (call $go_on))))
  (func (export "proxy_on_grpc_receive_trailing_metadata") (param i32) (param $token i32) (param i32)
    (call $info @"trailing")
    (call $number (local.get $token))
    (call $show_header (i32.const 4) @"k")
    (call $show_header (i32.const 5) @"k")
    (call $show_buffer (i32.const 5) (i32.const 0) (i32.const 99)))
  (func (export "proxy_on_grpc_close") (param i32) (param $token i32) (param $status i32)
    (call $info @"close")
    (call $number (local.get $token))
    (call $number (local.get $status))
    (call $info_status)
    (call $show_header (i32.const 5) @"k")
    (if (i32.eq (i32.and (local.get $token) (i32.const 3)) (i32.const 2)) (then
      (call $number (call $grpc_close (local.get $token)))
      (call $number (call $grpc_close (local.get $token)))
      (call $number (call $grpc_send (local.get $token) @"late" (i32.const 1)))))
    (call $go_on))
  (func (export "proxy_on_log") (param i32) (call $info @"end"))"#;

fn functions(open: &str) -> &'static str {
    let start = r#"
  (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
    (i32.store (i32.const 300) (local.get $id))"#;
    let end = "
    (call $number (i32.load (i32.const 304)))
    i32.const 1)";
    Box::leak(format!("{start} {open} {end} {TOLD}").into_boxed_str())
}

fn probe(name: &'static str, open: &str) -> Probe {
    Probe { name, imports: "", functions: functions(open), request: ("GET", "/", &[]), body: "" }
}

/// A probe, and what its upstream does in the harness.
type Case = (Probe, fn(&Vm));

fn cases() -> [Case; 4] {
    let unary = |cluster: &str| {
        format!(
            r#"(call $number (call $grpc_call @"grpc_{cluster}" @"s" @"m" @"" @"ask"
              (i32.const 0) (i32.const 304)))"#
        )
    };
    let stream = |cluster: &str| {
        format!(
            r#"(call $number (call $grpc_stream @"grpc_{cluster}" @"s" @"m" @"" (i32.const 304)))
               (call $number (call $grpc_send (i32.load (i32.const 304)) @"ask" (i32.const 0)))"#
        )
    };
    [
        (probe("unary_good", &unary("good")), |vm| vm.answer_grpc_call(5, "yes!").unwrap()),
        (probe("unary_bad", &unary("bad")), |vm| vm.fail_grpc_call(5, 7, "not%20you").unwrap()),
        (probe("stream_good", &stream("good")), |vm| {
            vm.send_grpc_initial_metadata(6, &[(":status", "200"), ("k", "first")]).unwrap();
            vm.send_grpc_message(6, "yes!").unwrap();
            vm.send_grpc_trailing_metadata(6, &[("k", "last")]).unwrap();
            vm.close_grpc_stream(6, 0, "").unwrap();
        }),
        (probe("stream_bad", &stream("bad")), |vm| {
            // A response without messages has only trailing metadata, after an empty initial map.
            vm.send_grpc_initial_metadata(6, seqroute_harness::HeaderMap::new()).unwrap();
            vm.send_grpc_trailing_metadata(6, &[("k", "only")]).unwrap();
            vm.close_grpc_stream(6, 7, "not%20you").unwrap();
        }),
    ]
}

#[test]
fn grpc_callbacks_are_the_same_here_and_in_envoy() {
    let clusters = [("grpc_good", http2_server::start(&GOOD)), ("grpc_bad", http2_server::start(&BAD))];
    let cases = cases();
    let listeners: Vec<_> = cases.iter().map(|(probe, _)| probe.listener()).collect();
    let envoy = Envoy::start(&listeners, &clusters);
    for (probe, upstream) in &cases {
        let (_host, vm) = probe.start();
        let mut stream = probe.send(&vm);
        upstream(&vm);
        probe.end(&mut stream);
        let mut here = common::lines(&vm);
        assert_eq!(here.pop().as_deref(), Some("end"), "{here:?}");

        crate::envoy::exchange(envoy.address(probe.name), probe.request()).unwrap();
        assert_eq!(here, envoy.lines_to_the_end(probe.name), "{}", probe.name);
    }
}
