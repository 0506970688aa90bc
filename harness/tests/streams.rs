//! Streams: what the plugin sees, and what the upstream and the client get.

mod common;

use common::{REQUEST, body_mode, host, module};
use seqroute_harness::{
    Action, Error, FinishOrder, HeaderMap, ReplyOrigin, StepState, StreamType, VmOptions,
};

/// Copies header `x-in` to `x-out`.
const COPY: &str = r#"
  (data (i32.const 0) "x-inx-out")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $get (i32.const 0) (i32.const 0) (i32.const 4)))
    (call $die (call $set_header (i32.const 0) (i32.const 4) (i32.const 5)
      (global.get $value) (global.get $value_len)))
    i32.const 0)
"#;

#[test]
fn a_header_with_any_bytes_can_be_read_and_written() {
    let plugin = host().vm(&module(COPY), VmOptions::default()).unwrap().plugin("", b"").unwrap();
    let mut stream = plugin.stream();
    let step = stream.request_headers(&[(&b"X-In"[..], &b"\xff\xfe"[..])], true).unwrap();
    assert_eq!((step.action, step.state), (Action::Continue, StepState::Forwarded));
    let sent = stream.upstream_request_headers().unwrap();
    assert_eq!(sent, HeaderMap::from(&[("x-in", b"\xff\xfe"), ("x-out", b"\xff\xfe")]));
    assert!(stream.upstream_request_complete());
    stream.finish().unwrap();
}

/// Pauses in the headers callback; at the end of the body replaces the first byte with "[" and sets a header.
const PEEK: &str = r#"
  (data (i32.const 0) "[x-size")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_request_body") (param $id i32) (param $size i32) (param $end i32) (result i32)
    (call $digit (local.get $size))
    (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
    (call $die (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))
    (call $die (call $set_header (i32.const 0) (i32.const 1) (i32.const 6) (i32.const 4008) (i32.const 1)))
    i32.const 0)
"#;

#[test]
fn held_headers_and_the_cumulative_body_can_be_edited_in_body_mode() {
    let vm = host().vm(&module(PEEK), body_mode()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    assert_eq!(stream.request_headers(&REQUEST, false).unwrap().state, StepState::Paused);
    assert_eq!(stream.request_body("abc", false).unwrap().state, StepState::Paused);
    assert_eq!((stream.upstream_request_headers(), stream.upstream_request_body()), (None, vec![]));
    assert_eq!(stream.request_body("de", true).unwrap().state, StepState::Forwarded);
    assert_eq!(stream.upstream_request_headers().unwrap().get("x-size"), Some(&b"5"[..]));
    assert_eq!(stream.upstream_request_body(), b"[bcde");
    assert_eq!(vm.logs().iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["3", "5"]);
    stream.finish().unwrap();
}

#[test]
fn without_body_mode_a_pause_in_the_headers_holds_everything() {
    let mut stream =
        host().vm(&module(PEEK), VmOptions::default()).unwrap().plugin("", b"").unwrap().stream();
    assert_eq!(stream.request_headers(&REQUEST, false).unwrap().state, StepState::Held);
    assert_eq!(stream.request_body("abc", true).unwrap().state, StepState::Held);
    assert_eq!(stream.callbacks(), ["proxy_on_context_create", "proxy_on_request_headers"][1..]);
    assert_eq!(stream.upstream_request_headers(), None);
    stream.finish().unwrap();
}

#[test]
fn a_paused_body_over_the_limit_leads_to_413() {
    let options = VmOptions { buffer_limit_bytes: 4, ..body_mode() };
    let mut stream = host().vm(&module(PEEK), options).unwrap().plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, false).unwrap();
    stream.request_body("abcd", false).unwrap();
    let reply = stream.request_body("e", false).unwrap().local_response.unwrap();
    assert_eq!((reply.status, reply.origin), (413, ReplyOrigin::Host));
    assert_eq!(stream.client_response_headers().unwrap().get(":status"), Some(&b"413"[..]));
    stream.finish().unwrap();
}

/// Writes into the middle of the body and logs the status.
const SPLICE: &str = r#"
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (call $digit (call $set_buffer (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 1)))
    i32.const 0)
"#;

#[test]
fn writing_into_the_middle_of_a_body_is_refused() {
    let vm = host().vm(&module(SPLICE), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, false).unwrap();
    stream.request_body("abc", true).unwrap();
    assert_eq!((vm.logs()[0].text.as_str(), stream.upstream_request_body()), ("2", b"abc".to_vec()));
    stream.finish().unwrap();
}

/// Logs the status of reading request header `:path` in the body callback, the response callback and the log.
const LATE_READS: &str = r#"
  (data (i32.const 0) ":path")
  (func $try (call $digit (call $get (i32.const 0) (i32.const 0) (i32.const 5))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $try) i32.const 0)
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (call $try) i32.const 0)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $try) i32.const 0)
  (func (export "proxy_on_log") (param i32) (call $try))
"#;

#[test]
fn request_headers_are_unavailable_between_continue_and_the_log() {
    let vm = host().vm(&module(LATE_READS), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, false).unwrap();
    stream.request_body("", true).unwrap();
    stream.response_headers(&[(":status", "200")], true).unwrap();
    stream.finish().unwrap();
    assert_eq!(vm.logs().iter().map(|line| line.text.clone()).collect::<String>(), "0220");
}

/// Replies to every request with 429 "no"; the response callback adds header `x-seen`.
const REFUSE: &str = r#"
  (data (i32.const 0) "out of moneyno\01\00\00\00\01\00\00\00\01\00\00\00a\00b\00x-seen")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $reply (i32.const 429) (i32.const 0) (i32.const 12) (i32.const 12) (i32.const 2)
      (i32.const 14) (i32.const 16) (i32.const -1)))
    i32.const 0)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $die (call $set_header (i32.const 2) (i32.const 30) (i32.const 6) (i32.const 12) (i32.const 2)))
    i32.const 0)
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) i32.const 0)
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_done") (param i32) (result i32) i32.const 1)
  (func (export "proxy_on_delete") (param i32))
"#;

#[test]
fn a_local_reply_passes_through_the_response_callbacks() {
    let mut stream =
        host().vm(&module(REFUSE), VmOptions::default()).unwrap().plugin("", b"").unwrap().stream();
    let step = stream.request_headers(&REQUEST, false).unwrap();
    let reply = step.local_response.unwrap();
    assert_eq!((step.state, reply.status, reply.details.as_str()), (StepState::Replied, 429, "out_of_money"));
    assert_eq!((reply.origin, reply.grpc_status), (ReplyOrigin::Plugin, None));
    assert_eq!(stream.upstream_request_headers(), None);
    let client = stream.client_response_headers().unwrap();
    assert_eq!(client.get(":status"), Some(&b"429"[..]));
    assert_eq!((client.get("a"), client.get("x-seen")), (Some(&b"b"[..]), Some(&b"no"[..])));
    assert_eq!((stream.client_response_body(), stream.client_response_complete()), (b"no".to_vec(), true));
    assert_eq!(stream.request_body("late", true).unwrap().state, StepState::Replied);
    stream.finish().unwrap();
    let after_headers = ["proxy_on_response_headers", "proxy_on_response_body"];
    let at_the_end = ["proxy_on_log", "proxy_on_done", "proxy_on_delete"];
    assert_eq!(stream.callbacks()[1..], [&after_headers[..], &at_the_end[..]].concat());
}

#[test]
fn a_stream_can_end_in_the_order_of_the_specification() {
    let options = VmOptions { finish_order: FinishOrder::Specification, ..VmOptions::default() };
    let mut stream = host().vm(&module(REFUSE), options).unwrap().plugin("", b"").unwrap().stream();
    stream.finish().unwrap();
    assert_eq!(stream.callbacks(), ["proxy_on_done", "proxy_on_log", "proxy_on_delete"]);
    assert!(stream.logged());
}

/// Replies in a response callback: for the headers, or, with header `x-late`, for the body.
const SECOND_THOUGHTS: &str = r#"
  (data (i32.const 0) "x-late")
  (func $answer
    (call $die (call $reply (i32.const 502) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const -1))))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (if (call $get (i32.const 2) (i32.const 0) (i32.const 6)) (then (call $answer)))
    i32.const 0)
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (call $answer) i32.const 0)
"#;

#[test]
fn a_reply_replaces_held_response_headers_and_resets_after_them() {
    let plugin = host().vm(&module(SECOND_THOUGHTS), VmOptions::default()).unwrap().plugin("", b"").unwrap();
    let mut early = plugin.stream();
    early.request_headers(&REQUEST, true).unwrap();
    assert_eq!(early.response_headers(&[(":status", "200")], false).unwrap().state, StepState::Replied);
    assert_eq!(early.client_response_headers().unwrap(), HeaderMap::from(&[(":status", "502")]));
    early.finish().unwrap();

    let mut late = plugin.stream();
    late.request_headers(&REQUEST, true).unwrap();
    late.response_headers(&[(":status", "200"), ("x-late", "1")], false).unwrap();
    assert_eq!(late.response_body("x", false).unwrap().state, StepState::Reset);
    assert!(late.is_reset() && !late.client_response_complete());
    late.finish().unwrap();
}

/// Closes each request.
const CLOSE: &str = r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $close_stream (i32.const 0)))
    i32.const 0)
"#;

#[test]
fn a_closed_stream_is_reset() {
    let mut stream =
        host().vm(&module(CLOSE), VmOptions::default()).unwrap().plugin("", b"").unwrap().stream();
    assert_eq!(stream.request_headers(&REQUEST, false).unwrap().state, StepState::Reset);
    assert_eq!(stream.closed(), [StreamType::Request]);
    stream.finish().unwrap();
}

/// Writes filter state "seen" from a property, and clears the route cache.
const PROPERTIES: &str = r#"
  (data (i32.const 0) "xds\00cluster_nameseenclear_route_cacheunknown")
  (func (export "proxy_on_log") (param i32)
    (call $die (call $get_property (i32.const 0) (i32.const 16) (i32.const 4000) (i32.const 4004)))
    (call $die (call $set_property (i32.const 16) (i32.const 4)
      (i32.load (i32.const 4000)) (i32.load (i32.const 4004))))
    (call $die (call $foreign (i32.const 20) (i32.const 17) (i32.const 0) (i32.const 0)
      (i32.const 4000) (i32.const 4004)))
    (call $digit (call $foreign (i32.const 37) (i32.const 7) (i32.const 0) (i32.const 0)
      (i32.const 4000) (i32.const 4004))))
"#;

#[test]
fn the_test_sees_filter_state_and_foreign_calls() {
    let vm = host().vm(&module(PROPERTIES), VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&REQUEST, true).unwrap();
    stream.set_property(&["xds", "cluster_name"], "small");
    stream.finish().unwrap();
    assert_eq!(stream.filter_state("seen"), Some(b"small".to_vec()));
    assert_eq!((stream.route_cache_clears(), vm.foreign_calls("unknown")), (1, 1));
    assert_eq!(vm.logs()[0].text, "1");
}

#[test]
fn a_dropped_stream_is_counted_and_an_abandoned_one_is_not() {
    let host = host();
    let plugin = host.vm(&module(COPY), VmOptions::default()).unwrap().plugin("", b"").unwrap();
    drop(plugin.stream());
    plugin.stream().abandon();
    plugin.stream().finish().unwrap();
    assert_eq!(host.leaked_streams(), 1);
}

#[test]
fn events_in_an_impossible_order_are_refused() {
    let mut stream = host().vm(&module(PEEK), body_mode()).unwrap().plugin("", b"").unwrap().stream();
    assert!(matches!(stream.request_body("x", true), Err(Error::Misuse(_))));
    assert!(matches!(stream.response_headers(&[(":status", "200")], true), Err(Error::Misuse(_))));
    stream.request_headers(&REQUEST, true).unwrap();
    assert!(matches!(stream.request_headers(&REQUEST, true), Err(Error::Misuse(_))));
    assert!(matches!(stream.request_body("x", true), Err(Error::Misuse(_))));
    stream.finish().unwrap();
    assert!(matches!(stream.finish(), Err(Error::Misuse(_))));
}
