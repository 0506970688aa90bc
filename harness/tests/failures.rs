//! Traps and what follows: responses, reloads, back-off and configuration.

mod common;

use common::{REQUEST, host, module};
use seqroute_harness::{ConfigureFailure, Error, FailurePolicy, ReplyOrigin, StepState, Vm, VmOptions};

/// Stores "v" under "k" in the request callback, and traps if there is a header `x-die`. Writes "l" in `proxy_on_log`.
const MORTAL: &str = r#"
  (data (i32.const 0) "kvlx-die")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $set_shared (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 0)))
    (if (i32.eqz (call $get (i32.const 0) (i32.const 3) (i32.const 5))) (then unreachable))
    i32.const 0)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) i32.const 0)
  (func (export "proxy_on_log") (param i32)
    (call $die (call $set_shared (i32.const 2) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 0))))
"#;

const DEADLY: [(&str, &str); 2] = [(":path", "/"), ("x-die", "1")];

fn options(failure_policy: FailurePolicy) -> VmOptions {
    VmOptions { vm_id: "v".into(), failure_policy, ..VmOptions::default() }
}

fn status(headers: Option<seqroute_harness::HeaderMap>) -> Option<String> {
    headers?.get_str(":status")
}

#[test]
fn a_trap_is_an_error_with_its_text_and_a_503_for_the_client() {
    let vm = host().vm(&module(MORTAL), options(FailurePolicy::Closed)).unwrap();
    let mut stream = vm.plugin("", b"").unwrap().stream();
    let Err(Error::Trap { callback, message }) = stream.request_headers(&DEADLY, true) else { panic!() };
    assert_eq!(callback, "proxy_on_request_headers");
    assert!(message.contains("unreachable"), "{message}");
    assert_eq!(vm.failure(), Some(message));
    let reply = stream.local_response().unwrap();
    assert_eq!(
        (reply.status, reply.details.as_str(), reply.origin),
        (503, "wasm_fail_stream", ReplyOrigin::Host)
    );
    assert_eq!(status(stream.client_response_headers()).as_deref(), Some("503"));
    stream.finish().unwrap();
    assert!(!stream.logged());
}

#[test]
fn closed_refuses_every_later_stream() {
    let plugin = host().vm(&module(MORTAL), options(FailurePolicy::Closed)).unwrap().plugin("", b"").unwrap();
    let mut first = plugin.stream();
    first.request_headers(&DEADLY, true).unwrap_err();
    first.finish().unwrap();
    let mut second = plugin.stream();
    let step = second.request_headers(&REQUEST, true).unwrap();
    assert_eq!((step.state, step.local_response.unwrap().status), (StepState::Replied, 503));
    second.finish().unwrap();
}

#[test]
fn reload_gives_a_fresh_vm_and_keeps_shared_data() {
    let host = host();
    let vm = host.vm(&module(MORTAL), options(FailurePolicy::Reload)).unwrap();
    let plugin = vm.plugin("", b"").unwrap();
    let mut in_flight = plugin.stream();
    in_flight.request_headers(&REQUEST, true).unwrap();
    let mut deadly = plugin.stream();
    deadly.request_headers(&DEADLY, true).unwrap_err();
    deadly.finish().unwrap();

    let mut next = plugin.stream();
    assert_eq!(next.request_headers(&REQUEST, true).unwrap().state, StepState::Forwarded);
    assert_eq!((vm.reloads(), vm.failure()), (1, None));
    assert_eq!(host.shared_data("v").get("k").unwrap().0, b"v");

    // The stream of the dead VM gets 503 and no log, even after the reload.
    let step = in_flight.response_headers(&[(":status", "200")], true).unwrap();
    assert_eq!(
        (step.state, status(in_flight.client_response_headers()).unwrap().as_str()),
        (StepState::Replied, "503")
    );
    in_flight.finish().unwrap();
    assert!(!in_flight.logged());
    assert_eq!(host.shared_data("v").get("l"), None);
    next.finish().unwrap();
    assert!(host.shared_data("v").get("l").is_some());
}

#[test]
fn a_response_that_has_begun_is_reset_when_the_vm_dies() {
    let vm = host().vm(&module(MORTAL), options(FailurePolicy::Reload)).unwrap();
    let plugin = vm.plugin("", b"").unwrap();
    let mut stream = plugin.stream();
    stream.request_headers(&REQUEST, true).unwrap();
    stream.response_headers(&[(":status", "200")], false).unwrap();
    let mut deadly = plugin.stream();
    deadly.request_headers(&DEADLY, true).unwrap_err();
    assert_eq!(stream.response_body("data", false).unwrap().state, StepState::Reset);
    assert!(!stream.client_response_complete());
    stream.finish().unwrap();
    deadly.finish().unwrap();
}

#[test]
fn within_the_backoff_a_dead_vm_is_not_reloaded() {
    let host = host();
    let vm = host
        .vm(&module(MORTAL), VmOptions { reload_backoff_ms: 1_000, ..options(FailurePolicy::Reload) })
        .unwrap();
    let plugin = vm.plugin("", b"").unwrap();
    let mut stream = plugin.stream();
    stream.request_headers(&DEADLY, true).unwrap_err();
    stream.finish().unwrap();
    let mut refused = plugin.stream();
    assert_eq!(refused.request_headers(&REQUEST, true).unwrap().state, StepState::Replied);
    refused.finish().unwrap();
    host.clock().advance_ms(1_000);
    let mut served = plugin.stream();
    assert_eq!(served.request_headers(&REQUEST, true).unwrap().state, StepState::Forwarded);
    served.finish().unwrap();
}

#[test]
fn open_lets_streams_pass_unchanged() {
    let vm = host().vm(&module(MORTAL), options(FailurePolicy::Open)).unwrap();
    let plugin = vm.plugin("", b"").unwrap();
    let mut deadly = plugin.stream();
    deadly.request_headers(&DEADLY, false).unwrap_err();
    assert!(deadly.upstream_request_headers().is_some());
    assert_eq!(deadly.request_body("x", true).unwrap().state, StepState::Bypassed);
    assert_eq!(deadly.upstream_request_body(), b"x");
    deadly.finish().unwrap();
    let mut next = plugin.stream();
    assert_eq!(next.request_headers(&DEADLY, true).unwrap().state, StepState::Bypassed);
    next.finish().unwrap();
}

fn crash_and_reload(vm: &Vm, arm: impl FnOnce(&Vm)) -> Error {
    let plugin = vm.plugin("", b"").unwrap();
    arm(vm);
    let mut stream = plugin.stream();
    let error = stream.request_headers(&REQUEST, true).unwrap_err();
    stream.finish().unwrap();
    let mut next = plugin.stream();
    assert_eq!(next.request_headers(&REQUEST, true).unwrap().state, StepState::Forwarded);
    next.finish().unwrap();
    error
}

#[test]
fn a_crash_can_be_injected_before_the_next_callback() {
    let host = host();
    let vm = host.vm(&module(MORTAL), VmOptions { canary: false, ..options(FailurePolicy::Reload) }).unwrap();
    let error = crash_and_reload(&vm, Vm::inject_trap_on_next_call);
    assert!(error.to_string().contains("injected trap"), "{error}");
}

#[test]
fn a_crash_can_be_injected_into_a_host_call_which_then_has_no_effect() {
    let host = host();
    let vm = host.vm(&module(MORTAL), options(FailurePolicy::Closed)).unwrap();
    let plugin = vm.plugin("", b"").unwrap();
    vm.inject_trap_on_hostcall("proxy_set_shared_data", 1);
    let mut stream = plugin.stream();
    stream.request_headers(&REQUEST, true).unwrap();
    // The second write is that in `proxy_on_log`.
    stream.finish().unwrap_err();
    assert_eq!(host.shared_data("v").keys(), [b"k"]);
    assert!(!stream.logged());
}

/// Logs its configuration and rejects it if empty; "!" makes it trap.
const CHOOSY: &str = r#"
  (func (export "proxy_on_configure") (param $id i32) (param $len i32) (result i32)
    (call $die (call $get_buffer (i32.const 7) (i32.const 0) (local.get $len)
      (i32.const 4000) (i32.const 4004)))
    (call $info (i32.load (i32.const 4000)) (i32.load (i32.const 4004)))
    (if (local.get $len) (then
      (if (i32.eq (i32.load8_u (i32.load (i32.const 4000))) (i32.const 33)) (then unreachable))))
    local.get $len)
"#;

#[test]
fn a_rejected_configuration_leaves_the_serving_vm_alone() {
    let vm = host().vm(&module(CHOOSY), VmOptions::default()).unwrap();
    let serving = vm.plugin("a", b"good").unwrap();
    let rejected = vm.plugin("b", b"").err().unwrap();
    assert!(matches!(rejected.failure, ConfigureFailure::Rejected));
    assert_eq!((rejected.root_id.as_str(), rejected.logs.len()), ("b", 1));
    let trapped = vm.plugin("c", b"!").err().unwrap();
    assert!(matches!(trapped.failure, ConfigureFailure::Failed(_)), "{trapped}");
    assert_eq!(vm.failure(), None);
    let mut stream = serving.stream();
    assert_eq!(stream.request_headers(&REQUEST, true).unwrap().state, StepState::Forwarded);
    stream.finish().unwrap();
    assert_eq!(vm.logs().len(), 1);
}

#[test]
fn without_a_canary_a_rejection_still_leaves_the_other_plugins_alone() {
    let vm = host().vm(&module(CHOOSY), VmOptions { canary: false, ..VmOptions::default() }).unwrap();
    let serving = vm.plugin("a", b"good").unwrap();
    let rejected = vm.plugin("b", b"").err().unwrap();
    assert_eq!(
        rejected.to_string(),
        "plugin `b` was not configured: proxy_on_configure returned false (last log line: )"
    );
    let mut stream = serving.stream();
    assert_eq!(stream.request_headers(&REQUEST, true).unwrap().state, StepState::Forwarded);
    stream.finish().unwrap();
}
