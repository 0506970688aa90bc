//! Calls that end Envoy's process are traps in the harness.

use seqroute_harness::Error;

use crate::envoy::{Envoy, exchange};
use crate::probe::Probe;

const CLOSE: Probe = Probe {
    name: "close_in_log",
    imports: "",
    functions: r#"
  (func (export "proxy_on_log") (param i32) (call $die (call $close_stream (i32.const 0))))"#,
    request: ("GET", "/", &[]),
    body: "",
};

const REPLY: Probe = Probe {
    name: "reply_in_log",
    imports: "",
    functions: r#"
  (func (export "proxy_on_log") (param i32)
    (call $die (call $reply (i32.const 403) @"" @"" @"" (i32.const -1))))"#,
    request: ("GET", "/", &[]),
    body: "",
};

#[test]
fn closing_or_answering_a_stream_in_its_log_ends_envoy() {
    for (probe, hostcall) in [(CLOSE, "proxy_close_stream"), (REPLY, "proxy_send_local_response")] {
        let (_host, vm) = probe.start();
        let mut stream = probe.send(&vm);
        let error = stream.finish().unwrap_err();
        assert!(matches!(&error, Error::Trap { callback: "proxy_on_log", .. }), "{error}");
        assert!(error.to_string().contains(hostcall), "{error}");

        let mut envoy = Envoy::start(&[probe.listener()], &[]);
        assert_eq!(exchange(envoy.address(probe.name), probe.request()), None);
        envoy.wait_for_its_end();
    }
}
