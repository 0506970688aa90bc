//! TCP connections through a plugin used as a network filter.

mod common;

use common::{body_mode, host, lines, module};
use seqroute_harness::{Action, ClosedBy, Error, FailurePolicy, TcpConnection, Vm, VmOptions};

/// Holds the client's data until it has five bytes, then prepends "+"; lets the upstream's data pass with "!" appended.
/// Closes the connection when the upstream's data is empty. Logs sizes and peers that close.
const FILTER: &str = r#"
  (data (i32.const 0) "+!source\00addressnote")
  (func (export "proxy_on_new_connection") (param i32) (result i32)
    (call $die (call $get_property (i32.const 2) (i32.const 14) (i32.const 4000) (i32.const 4004)))
    (call $die (call $set_property (i32.const 16) (i32.const 4)
      (i32.load (i32.const 4000)) (i32.load (i32.const 4004))))
    i32.const 0)
  (func (export "proxy_on_downstream_data") (param i32) (param $size i32) (param i32) (result i32)
    (call $digit (local.get $size))
    (if (i32.lt_u (local.get $size) (i32.const 5)) (then (return (i32.const 1))))
    (call $die (call $set_buffer (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)))
    i32.const 0)
  (func (export "proxy_on_upstream_data") (param i32) (param $size i32) (param i32) (result i32)
    (if (i32.eqz (local.get $size)) (then (call $die (call $close_stream (i32.const 2)))))
    (call $die (call $set_buffer (i32.const 3) (i32.const 999) (i32.const 0) (i32.const 1) (i32.const 1)))
    i32.const 0)
  (func (export "proxy_on_downstream_connection_close") (param i32) (param $by i32) (call $digit (local.get $by)))
  (func (export "proxy_on_upstream_connection_close") (param i32) (param $by i32) (call $digit (local.get $by)))
  (func (export "proxy_on_done") (param i32) (result i32) i32.const 1)
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_delete") (param i32))
"#;

fn connection(wat: &str, options: VmOptions) -> (Vm, TcpConnection) {
    let vm = host().vm(&module(wat), options).unwrap();
    let mut connection = vm.plugin("", b"").unwrap().connection();
    connection.set_property(&["source", "address"], "10.0.0.7:4711");
    (vm, connection)
}

#[test]
fn held_data_accumulates_and_is_forwarded_as_the_plugin_edited_it() {
    let (vm, mut connection) = connection(FILTER, VmOptions::default());
    assert_eq!(connection.open().unwrap(), Action::Continue);
    assert_eq!(connection.filter_state("note"), Some(b"10.0.0.7:4711".to_vec()));
    assert_eq!(connection.downstream_data("ab", false).unwrap(), Action::Pause);
    assert_eq!(connection.upstream_received(), b"");
    assert_eq!(connection.downstream_data("cde", true).unwrap(), Action::Continue);
    assert_eq!(
        (connection.upstream_received(), connection.upstream_received_end()),
        (b"+abcde".to_vec(), true)
    );
    connection.upstream_data("hi", false).unwrap();
    connection.upstream_data("ho", true).unwrap();
    assert_eq!((connection.client_received(), connection.client_received_end()), (b"hi!ho!".to_vec(), true));
    connection.close(ClosedBy::Client).unwrap();
    // Sizes, then the upstream's close by an unknown peer, then the client's.
    assert_eq!(lines(&vm), ["2", "5", "0", "2"]);
    assert_eq!(
        connection.callbacks(),
        [
            "proxy_on_new_connection",
            "proxy_on_downstream_data",
            "proxy_on_downstream_data",
            "proxy_on_upstream_data",
            "proxy_on_upstream_data",
            "proxy_on_upstream_connection_close",
            "proxy_on_downstream_connection_close",
            "proxy_on_done",
            "proxy_on_log",
            "proxy_on_delete",
        ]
    );
}

#[test]
fn a_connection_the_plugin_closes_ends_with_all_callbacks() {
    let (vm, mut connection) = connection(FILTER, VmOptions::default());
    connection.open().unwrap();
    connection.upstream_data("", false).unwrap();
    assert!(connection.is_closed());
    assert_eq!(lines(&vm), ["1"]);
    assert_eq!(connection.callbacks().last(), Some(&"proxy_on_delete"));
    assert!(matches!(connection.close(ClosedBy::Proxy), Err(Error::Misuse(_))));
    assert!(matches!(connection.downstream_data("x", false), Err(Error::Misuse(_))));
}

/// Holds a new connection, and continues it when a call to "auth" is answered.
const ASK_FIRST: &str = r#"
  (data (i32.const 0) "auth")
  (data (i32.const 8) "\03\00\00\00\05\00\00\00\01\00\00\00\07\00\00\00\03\00\00\00\0a\00\00\00\01\00\00\00")
  (data (i32.const 36) ":path\00/\00:method\00GET\00:authority\00a\00")
  (func (export "proxy_on_new_connection") (param $id i32) (result i32)
    (i32.store (i32.const 200) (local.get $id))
    (call $die (call $http_call (i32.const 0) (i32.const 4) (i32.const 8) (i32.const 61)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 204)))
    i32.const 1)
  (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_http_call_response") (param i32 i32) (param $headers i32) (param i32 i32)
    (call $die (call $effective (i32.load (i32.const 200))))
    (call $info_buffer (i32.const 2))
    (call $digit (i32.sub (call $continue_stream (i32.const 3)) (i32.const 10)))
    (if (local.get $headers)
      (then (call $die (call $continue_stream (i32.const 2))))
      (else (call $die (call $close_stream (i32.const 3))))))
  (func (export "proxy_on_downstream_connection_close") (param i32 i32))
"#;

#[test]
fn a_held_connection_continues_or_ends_when_a_call_is_answered() {
    let (vm, mut connection) = connection(ASK_FIRST, VmOptions::default());
    assert_eq!(connection.open().unwrap(), Action::Pause);
    connection.downstream_data("hel", false).unwrap();
    connection.downstream_data("lo", false).unwrap();
    assert!(!connection.is_connected());
    assert!(matches!(connection.upstream_data("x", false), Err(Error::Misuse(_))));
    vm.answer_http_call(4, seqroute_harness::HttpCallResponse::new(200, "")).unwrap();
    assert!(connection.is_connected());
    assert_eq!(connection.upstream_received(), b"hello");
    connection.close(ClosedBy::Client).unwrap();
    // Held data can be read; continuing the upstream's direction is unimplemented (12), as in Envoy.
    assert_eq!(lines(&vm), ["hello", "2"]);

    let mut refused = vm.plugin("", b"").unwrap().connection();
    refused.open().unwrap();
    vm.fail_http_call(8).unwrap();
    assert!(refused.is_closed() && !refused.is_connected());
    assert_eq!(refused.callbacks().last(), Some(&"proxy_on_downstream_connection_close"));
}

/// Traps on the client's data.
const TRAP: &str = r#"
  (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32) unreachable)
  (func (export "proxy_on_downstream_connection_close") (param i32 i32))
"#;

#[test]
fn a_trap_closes_the_connection_or_lets_it_pass_without_the_plugin() {
    let (vm, mut closed) = connection(TRAP, VmOptions::default());
    closed.open().unwrap();
    assert!(matches!(closed.downstream_data("x", false), Err(Error::Trap { .. })));
    assert!(closed.is_closed() && vm.failure().is_some());
    assert_eq!(closed.callbacks(), ["proxy_on_downstream_data"]);

    let open = VmOptions { failure_policy: FailurePolicy::Open, ..body_mode() };
    let (_vm, mut passed) = connection(TRAP, open);
    passed.open().unwrap();
    assert!(passed.downstream_data("x", false).is_err());
    passed.downstream_data("y", true).unwrap();
    assert_eq!(passed.upstream_received(), b"xy");
    passed.close(ClosedBy::Client).unwrap();
}

#[test]
fn a_dropped_connection_is_counted() {
    let host = host();
    let plugin = host.vm(&module(TRAP), VmOptions::default()).unwrap().plugin("", b"").unwrap();
    let mut connection = plugin.connection();
    connection.open().unwrap();
    drop(connection);
    assert_eq!(host.leaked_streams(), 1);
}
