//! TCP: the callbacks of a network filter and their order.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use seqroute_harness::{Action, ClosedBy, Host, HostOptions, Module, ModuleCache, VmOptions};

use crate::common;
use crate::envoy::{Envoy, Kind, Listener};
use crate::probe;

/// Holds the client's data until it has five bytes or ends, and prepends "+". Appends "!" to the upstream's data.
/// Logs all callbacks with their arguments.
const FILTER: &str = r#"
  (func (export "proxy_on_new_connection") (param i32) (result i32)
    (call $info @"new")
    (call $show_buffer (i32.const 2) (i32.const 0) (i32.const 9))
    (call $show_header (i32.const 0) @":path")
    (call $number (call $set_property @"note" @"1"))
    (call $show_property @"note")
    (call $show_property @"nothing")
    (call $number (call $continue_stream (i32.const 3)))
    i32.const 0)
  (func (export "proxy_on_downstream_data") (param i32) (param $size i32) (param $end i32) (result i32)
    (call $info @"downstream")
    (call $number (local.get $size))
    (call $number (local.get $end))
    (call $show_buffer (i32.const 2) (i32.const 0) (i32.const 99))
    (call $show_buffer (i32.const 3) (i32.const 0) (i32.const 99))
    (if (i32.and (i32.eqz (local.get $end)) (i32.lt_u (local.get $size) (i32.const 5)))
      (then (return (i32.const 1))))
    (call $number (call $set_buffer (i32.const 2) (i32.const 1) (i32.const 1) @"?"))
    (call $number (call $set_buffer (i32.const 2) (i32.const 0) (i32.const 0) @"+"))
    i32.const 0)
  (func (export "proxy_on_upstream_data") (param i32) (param $size i32) (param $end i32) (result i32)
    (call $info @"upstream")
    (call $number (local.get $size))
    (call $number (local.get $end))
    (call $show_buffer (i32.const 3) (i32.const 0) (i32.const 99))
    (if (local.get $size)
      (then (call $number (call $set_buffer (i32.const 3) (i32.const 999) (i32.const 0) @"!"))))
    i32.const 0)
  (func (export "proxy_on_downstream_connection_close") (param i32) (param $by i32)
    (call $info @"downstream closed")
    (call $number (local.get $by)))
  (func (export "proxy_on_upstream_connection_close") (param i32) (param $by i32)
    (call $info @"upstream closed")
    (call $number (local.get $by)))
  (func (export "proxy_on_done") (param i32) (result i32) (call $info @"done") i32.const 0)
  (func (export "proxy_on_log") (param i32) (call $info @"log") (call $show_property @"note"))
  (func (export "proxy_on_delete") (param i32) (call $info @"delete") (call $info @"end"))"#;

#[test]
fn a_network_filter_sees_the_same_here_and_in_envoy() {
    let text = probe::wat("", FILTER);
    let echo = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = echo.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = echo.accept().unwrap();
        let mut received = Vec::new();
        let mut chunk = [0; 64];
        while let Ok(len @ 1..) = connection.read(&mut chunk) {
            received.extend_from_slice(&chunk[..len]);
            connection.write_all(&chunk[..len]).unwrap();
        }
        received
    });
    let listener = Listener {
        name: "tcp".into(),
        wasm: wat::parse_str(&text).unwrap(),
        configuration: String::new(),
        kind: Kind::Tcp,
    };
    let envoy = Envoy::start(&[listener], &[("echo", address)]);
    let mut client = TcpStream::connect(envoy.address("tcp")).unwrap();
    client.write_all(b"ab").unwrap();
    envoy.wait_for("first piece", |envoy| envoy.lines("tcp").contains(&"ab".to_owned()).then_some(()));
    client.write_all(b"cde").unwrap();
    let mut answer = [0; 7];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+abcde!");
    client.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    let there = envoy.lines_to_the_end("tcp");
    let received = server.join().unwrap();

    let module = Module::from_bytes(text.as_bytes(), ModuleCache::none()).unwrap();
    let vm = Host::new(HostOptions::default()).vm(&module, VmOptions::default()).unwrap();
    let mut connection = vm.plugin("", b"").unwrap().connection();
    assert_eq!(connection.open().unwrap(), Action::Continue);
    connection.downstream_data("ab", false).unwrap();
    connection.downstream_data("cde", false).unwrap();
    connection.upstream_data(connection.upstream_received(), false).unwrap();
    connection.downstream_data("", true).unwrap();
    // The last bytes and the end arrive together or separately.
    let together = there.windows(3).any(|lines| lines == ["upstream", "2", "1"]);
    connection.upstream_data(&connection.upstream_received()[6..], together).unwrap();
    if !together {
        connection.upstream_data("", true).unwrap();
    }
    connection.close(ClosedBy::Proxy).unwrap();
    let mut here = common::lines(&vm);
    assert_eq!(here.pop().as_deref(), Some("end"));
    assert_eq!(here, there);
    assert_eq!(connection.upstream_received(), received);
    assert_eq!(connection.client_received(), [&answer[..], rest.as_bytes()].concat());
}
