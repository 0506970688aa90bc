//! gRPC calls and streams: the plugin makes host calls, and the test plays the upstream.

mod common;

use common::{REQUEST, host, lines, module};
use seqroute_harness::{Error, HeaderMap, Vm, VmOptions};

/// Calls `pkg.S/Do` of cluster "auth" with message "ask" and a timeout of 500 ms, and holds the request. Logs the
/// token, a message with its size, and a close with status and text.
const CALL: &str = r#"
  (data (i32.const 0) "authpkg.SDoask")
  (data (i32.const 32) "\01\00\00\00\01\00\00\00\01\00\00\00k\00v\00")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $grpc_call (i32.const 0) (i32.const 4) (i32.const 4) (i32.const 5) (i32.const 9)
      (i32.const 2) (i32.const 32) (i32.const 16) (i32.const 11) (i32.const 3) (i32.const 500) (i32.const 204)))
    (call $digit (i32.load (i32.const 204)))
    i32.const 1)
  (func (export "proxy_on_grpc_receive") (param i32) (param $token i32) (param $size i32)
    (call $digit (local.get $token))
    (call $digit (local.get $size))
    (call $info_buffer (i32.const 5)))
  (func (export "proxy_on_grpc_close") (param i32) (param $token i32) (param $status i32)
    (call $digit (local.get $token))
    (call $digit (i32.rem_u (local.get $status) (i32.const 10)))
    (call $info_status))
"#;

fn vm_with_a_stream(wat: &str) -> Vm {
    let vm = host().vm(&module(wat), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    stream.finish().unwrap();
    vm
}

#[test]
fn a_unary_call_is_answered_by_a_message_alone() {
    let vm = vm_with_a_stream(CALL);
    let calls = vm.pending_grpc_calls();
    let call = &calls[0];
    assert_eq!((call.token, call.upstream.as_str(), call.timeout_ms), (5, "auth", 500));
    assert_eq!((call.service.as_str(), call.method.as_str()), ("pkg.S", "Do"));
    assert_eq!(call.initial_metadata, HeaderMap::from(&[("k", "v")]));
    assert_eq!(call.message, b"ask");
    vm.answer_grpc_call(5, "yes!").unwrap();
    // No close follows a message, as in Envoy.
    assert_eq!(lines(&vm), ["5", "5", "4", "yes!"]);
    assert!(vm.pending_grpc_calls().is_empty());
    assert!(matches!(vm.answer_grpc_call(5, ""), Err(Error::UnknownToken(5))));
}

#[test]
fn a_failed_unary_call_is_closed_with_its_status_and_text() {
    let vm = vm_with_a_stream(CALL);
    vm.fail_grpc_call(5, 7, "denied").unwrap();
    assert_eq!(lines(&vm), ["5", "5", "7", "denied{via_upstream}"]);
}

#[test]
fn a_unary_call_times_out_by_the_clock_as_unavailable() {
    let host = host();
    let vm = host.vm(&module(CALL), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    host.clock().advance_ms(500);
    assert_eq!(vm.run_timeouts().unwrap(), 1);
    assert_eq!(lines(&vm), ["5", "5", "4", "upstream request timeout{response_timeout}"]);
    stream.finish().unwrap();
}

#[test]
fn the_calls_of_a_plugin_that_ends_are_cancelled() {
    let vm = host().vm(&module(CALL), VmOptions::default()).unwrap();
    let plugin = vm.plugin("", b"").unwrap();
    let mut stream = plugin.stream();
    stream.request_headers(&REQUEST, true).unwrap();
    stream.finish().unwrap();
    assert_eq!(vm.pending_grpc_calls().len(), 1);
    plugin.shutdown().unwrap();
    assert!(vm.pending_grpc_calls().is_empty());
}

/// Opens stream `pkg.S/Do` to "auth", sends "one", and then "two" with the end. Logs what comes back: the value of
/// metadata "k" first and last, messages, and the status it ends with. Message "stop" cancels the stream, "done"
/// closes the plugin's side.
const STREAM: &str = r#"
  (data (i32.const 0) "authpkg.SDoonetwokstop")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $grpc_stream (i32.const 0) (i32.const 4) (i32.const 4) (i32.const 5) (i32.const 9)
      (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 204)))
    (call $digit (i32.load (i32.const 204)))
    (call $die (call $grpc_send (i32.load (i32.const 204)) (i32.const 11) (i32.const 3) (i32.const 0)))
    i32.const 0)
  (func (export "proxy_on_log") (param i32)
    (call $die (call $grpc_send (i32.load (i32.const 204)) (i32.const 14) (i32.const 3) (i32.const 1))))
  (func $metadata (param $map i32)
    (call $die (call $get (local.get $map) (i32.const 17) (i32.const 1)))
    (call $info (global.get $value) (global.get $value_len)))
  (func (export "proxy_on_grpc_receive_initial_metadata") (param i32 i32 i32) (call $metadata (i32.const 4)))
  (func (export "proxy_on_grpc_receive_trailing_metadata") (param i32 i32 i32)
    ;; The first metadata is gone by now, and this one has no size.
    (call $digit (call $get (i32.const 4) (i32.const 17) (i32.const 1)))
    (call $digit (call $map_size (i32.const 5) (i32.const 204)))
    (call $metadata (i32.const 5)))
  (func (export "proxy_on_grpc_receive") (param i32) (param $token i32) (param i32)
    (call $info_buffer (i32.const 5))
    (if (i32.eq (i32.load (i32.load (i32.const 4000))) (i32.load (i32.const 18))) (then
      (call $die (call $grpc_cancel (local.get $token)))
      (return)))
    (if (i32.eq (i32.load (i32.const 4004)) (i32.const 4)) (then
      (call $die (call $grpc_close (local.get $token))))))
  (func (export "proxy_on_grpc_close") (param i32 i32) (param $status i32)
    (call $digit (local.get $status))
    (call $info_status))
"#;

#[test]
fn a_stream_carries_metadata_and_messages_both_ways() {
    let vm = vm_with_a_stream(STREAM);
    let streams = vm.grpc_streams();
    assert_eq!((streams[0].token, streams[0].method.as_str()), (6, "Do"));
    assert_eq!((streams[0].sent.concat(), streams[0].half_closed), (b"onetwo".to_vec(), true));
    vm.send_grpc_initial_metadata(6, &[("k", "first")]).unwrap();
    vm.send_grpc_message(6, "a").unwrap();
    vm.send_grpc_trailing_metadata(6, &[("k", "last")]).unwrap();
    vm.close_grpc_stream(6, 0, "").unwrap();
    assert_eq!(lines(&vm), ["6", "first", "a", "2", "2", "last", "0", "via_upstream"]);
    // Half-closing it with a message is not enough: the plugin has not closed the stream.
    assert!(vm.grpc_streams()[0].remote_closed);
    assert!(matches!(vm.send_grpc_message(6, "late"), Err(Error::Misuse(_))));
    assert!(matches!(vm.send_grpc_message(10, ""), Err(Error::UnknownToken(10))));
}

#[test]
fn a_cancelled_stream_ends_at_once_and_a_closed_one_when_the_upstream_ends_it() {
    let vm = vm_with_a_stream(STREAM);
    vm.send_grpc_message(6, "stop").unwrap();
    assert!(vm.grpc_streams().is_empty());

    let vm = host().vm(&module(STREAM), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    vm.send_grpc_message(6, "done").unwrap();
    assert!(vm.grpc_streams()[0].half_closed);
    // Messages after the plugin has closed its side are dropped.
    stream.finish().unwrap();
    assert_eq!(vm.grpc_streams()[0].sent, [b"one"]);
    vm.close_grpc_stream(6, 3, "no").unwrap();
    assert_eq!(lines(&vm), ["6", "done", "3", "no{via_upstream}"]);
    assert!(vm.grpc_streams().is_empty());
}

#[test]
fn a_stream_the_upstream_closed_is_kept_until_the_plugin_closes_it() {
    let vm = host().vm(&module(STREAM), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    vm.close_grpc_stream(6, 9, "over").unwrap();
    assert!(vm.grpc_streams()[0].remote_closed);
    assert!(matches!(vm.send_grpc_message(6, "late"), Err(Error::Misuse(_))));
    stream.finish().unwrap();
}

/// Uses tokens of the wrong kind and unknown tokens, and calls an unknown cluster, by name and in a `GrpcService`
/// message; logs each status.
const WRONG: &str = r#"
  (data (i32.const 0) "none\0a\06\0a\04noneauth\0a\06\0a\04auth")
  (func $open (param $at i32) (param $len i32)
    (call $digit (i32.rem_u (call $grpc_stream (local.get $at) (local.get $len) (i32.const 0) (i32.const 1)
      (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 204)) (i32.const 10))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $digit (call $grpc_send (i32.const 5) (i32.const 0) (i32.const 1) (i32.const 0)))
    (call $digit (call $grpc_send (i32.const 6) (i32.const 0) (i32.const 1) (i32.const 0)))
    (call $digit (call $grpc_send (i32.const 6) (i32.const -1) (i32.const 1) (i32.const 0)))
    (call $digit (call $grpc_cancel (i32.const 4)))
    (call $digit (call $grpc_cancel (i32.const 5)))
    (call $digit (call $grpc_cancel (i32.const 6)))
    (call $digit (call $grpc_close (i32.const 4)))
    (call $digit (call $grpc_close (i32.const 5)))
    (call $digit (call $grpc_close (i32.const 6)))
    (call $open (i32.const 0) (i32.const 4))
    (call $open (i32.const 4) (i32.const 8))
    (call $open (i32.const 12) (i32.const 4))
    (call $open (i32.const 16) (i32.const 8))
    i32.const 0)
"#;

#[test]
fn wrong_tokens_and_unknown_clusters_have_the_statuses_of_envoy() {
    let options = VmOptions { clusters: Some(vec!["auth".into()]), ..VmOptions::default() };
    let vm = host().vm(&module(WRONG), options).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    stream.finish().unwrap();
    // By name an unknown cluster is a parse failure (4), in a message an internal failure (10).
    assert_eq!(lines(&vm).concat(), "2162112114000");
    assert_eq!(
        vm.grpc_streams().iter().map(|stream| stream.upstream.as_str()).collect::<Vec<_>>(),
        ["auth", "auth"]
    );
}
