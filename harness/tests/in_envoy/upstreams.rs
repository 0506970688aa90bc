//! Calls to upstreams that do not respond.

use std::net::TcpListener;

use seqroute_harness::{Host, Vm};

use crate::common;
use crate::envoy::{Envoy, exchange};
use crate::probe::Probe;

/// Calls an upstream that accepts connections and never responds, with a timeout of 300 ms, and holds the request until
/// the call ends.
const HTTP: Probe = Probe {
    name: "http_timeout",
    imports: "",
    functions: r#"
  (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
    (i32.store (i32.const 300) (local.get $id))
    (call $number (call $http_call @"silent"
      @"\03\00\00\00\05\00\00\00\01\00\00\00\07\00\00\00\03\00\00\00\0a\00\00\00\01\00\00\00:path\00/\00:method\00GET\00:authority\00a\00"
      @"" @"" (i32.const 300) (i32.const 304)))
    (call $number (i32.load (i32.const 304)))
    i32.const 1)
  (func (export "proxy_on_http_call_response")
    (param i32) (param $token i32) (param $headers i32) (param $body i32) (param $trailers i32)
    (call $number (local.get $token))
    (call $number (local.get $body))
    (call $number (local.get $trailers))
    (call $show_header (i32.const 6) @":status")
    (call $show_header (i32.const 6) @"content-type")
    (call $show_header (i32.const 6) @"content-length")
    (call $show_header (i32.const 7) @"t")
    (call $number (call $map_size (i32.const 6) (i32.const 200)))
    (call $show_buffer (i32.const 4) (i32.const 0) (i32.const 99))
    (call $number (call $set_buffer (i32.const 4) (i32.const 0) (i32.const 9) @"x"))
    (call $number (call $get_status (i32.const 200) (i32.const 204) (i32.const 208)))
    (call $number (i32.load (i32.const 200)))
    (call $info_status)
    (call $number (call $effective (i32.load (i32.const 300))))
    (call $show_header (i32.const 6) @":status")
    (call $number (call $continue_stream (i32.const 0))))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $show_header (i32.const 6) @":status")
    i32.const 0)
  (func (export "proxy_on_log") (param i32) (call $info @"end"))"#,
    request: ("GET", "/", &[]),
    body: "",
};

/// Makes a unary gRPC call of the same kind.
const GRPC: Probe = Probe {
    name: "grpc_timeout",
    imports: "",
    functions: r#"
  (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
    (i32.store (i32.const 300) (local.get $id))
    (call $number (call $grpc_call @"grpc_silent" @"s" @"m" @"" @"ask" (i32.const 300) (i32.const 304)))
    (call $number (i32.load (i32.const 304)))
    i32.const 1)
  (func (export "proxy_on_grpc_receive") (param i32 i32 i32) (call $info @"received"))
  (func (export "proxy_on_grpc_close") (param i32) (param $token i32) (param $status i32)
    (call $number (local.get $token))
    (call $number (local.get $status))
    (call $show_buffer (i32.const 5) (i32.const 0) (i32.const 99))
    (call $show_header (i32.const 4) @"k")
    (call $show_header (i32.const 5) @"k")
    (call $number (call $get_status (i32.const 200) (i32.const 204) (i32.const 208)))
    (call $number (i32.load (i32.const 200)))
    (call $info_status)
    (call $number (call $effective (i32.load (i32.const 300))))
    (call $number (call $continue_stream (i32.const 0))))
  (func (export "proxy_on_log") (param i32) (call $info_status) (call $info @"end"))"#,
    request: ("GET", "/", &[]),
    body: "",
};

/// Lets the plugin's call time out in the harness.
fn let_it_time_out((host, vm): &(Host, Vm)) {
    host.clock().advance_ms(299);
    assert_eq!(vm.run_timeouts().unwrap(), 0);
    host.clock().advance_ms(1);
    assert_eq!(vm.run_timeouts().unwrap(), 1);
}

#[test]
fn calls_that_time_out_end_the_same_here_and_in_envoy() {
    // The operating system accepts the connections; nothing reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let probes = [HTTP, GRPC];
    let listeners: Vec<_> = probes.iter().map(Probe::listener).collect();
    let envoy = Envoy::start(&listeners, &[("silent", address), ("grpc_silent", address)]);
    for probe in &probes {
        let started = probe.start();
        let mut stream = probe.send(&started.1);
        let_it_time_out(&started);
        probe.end(&mut stream);
        let mut here = common::lines(&started.1);
        assert_eq!(here.pop().as_deref(), Some("end"));

        exchange(envoy.address(probe.name), probe.request()).unwrap();
        assert_eq!(here, envoy.lines_to_the_end(probe.name), "{}", probe.name);
    }
}
