//! Foreign functions: some of Envoy's, and those that a test registers.

mod common;

use std::sync::{Arc, Mutex};

use common::{REQUEST, host, lines, module};
use seqroute_harness::{Host, Stream, Vm, VmOptions};

/// Calls the foreign function named by header "f" with the value of header "a", and logs the status as a digit and the
/// result. Does the same in `proxy_on_configure` if the configuration is "name arguments".
const CALLER: &str = r#"
  (data (i32.const 0) "fa")
  (func $run (param $name i32) (param $name_len i32) (param $at i32) (param $len i32)
    (call $digit (call $foreign (local.get $name) (local.get $name_len) (local.get $at) (local.get $len)
      (i32.const 300) (i32.const 304)))
    (call $info (i32.load (i32.const 300)) (i32.load (i32.const 304))))
  (func (export "proxy_on_configure") (param i32) (param $len i32) (result i32)
    (if (local.get $len) (then
      (call $die (call $get_buffer (i32.const 7) (i32.const 0) (i32.const 999) (i32.const 4000) (i32.const 4004)))
      (call $run (i32.load (i32.const 4000)) (i32.const 16) (i32.add (i32.load (i32.const 4000)) (i32.const 16))
        (i32.sub (local.get $len) (i32.const 16)))))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $name i32) (local $name_len i32)
    (call $die (call $get (i32.const 0) (i32.const 0) (i32.const 1)))
    (local.set $name (global.get $value))
    (local.set $name_len (global.get $value_len))
    (call $die (call $get (i32.const 0) (i32.const 1) (i32.const 1)))
    (call $run (local.get $name) (local.get $name_len) (global.get $value) (global.get $value_len))
    i32.const 0)
  ;; Sets property "p" to "f", and then to "a".
  (func (export "proxy_on_log") (param i32)
    (i32.store8 (i32.const 310) (i32.const 112))
    (call $digit (call $set_property (i32.const 310) (i32.const 1) (i32.const 0) (i32.const 1)))
    (call $digit (call $set_property (i32.const 310) (i32.const 1) (i32.const 1) (i32.const 1))))
"#;

fn call(vm: &Vm, name: &str, arguments: &[u8]) -> Stream {
    let mut headers = seqroute_harness::HeaderMap::from(&REQUEST);
    headers.add("f", name);
    headers.add("a", arguments);
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(headers, true).unwrap();
    stream
}

fn outcome(host: &Host, name: &str, arguments: &[u8]) -> (String, String) {
    let vm = host.vm(&module(CALLER), VmOptions::default()).unwrap();
    call(&vm, name, arguments).abandon();
    let lines = lines(&vm);
    (lines[0].clone(), lines[1].clone())
}

fn answer(status: &str, result: &str) -> (String, String) {
    (status.to_owned(), result.to_owned())
}

#[test]
fn a_registered_function_is_called_and_may_return_a_status() {
    let host = host();
    host.register_foreign_function("shout", |call| match call.arguments {
        b"" => Err(2),
        text => Ok(text.to_ascii_uppercase()),
    });
    assert_eq!(outcome(&host, "shout", b"hey"), answer("0", "HEY"));
    assert_eq!(outcome(&host, "shout", b""), answer("2", ""));
    assert_eq!(outcome(&host, "whisper", b"hey"), answer("1", ""));
    // A function of Envoy can be replaced.
    host.register_foreign_function("compress", |_| Ok(b"packed".to_vec()));
    assert_eq!(outcome(&host, "compress", b"x"), answer("0", "packed"));
}

/// How a test supplies functions of its proxy that the harness does not have, here for a plugin that evaluates
/// expressions. The stand-in knows the one expression that the plugin uses, and returns a token for it as Envoy does.
#[test]
fn a_test_can_supply_the_expression_functions_its_plugin_needs() {
    const NOT_FOUND: u32 = 1;
    const BAD_ARGUMENT: u32 = 2;
    let host = host();
    let expressions = Arc::new(Mutex::new(Vec::new()));
    let known = Arc::clone(&expressions);
    host.register_foreign_function("expr_create", move |call| {
        if call.arguments != b"request.method == 'GET'" {
            return Err(BAD_ARGUMENT);
        }
        let mut known = known.lock().unwrap();
        known.push(call.root_id.to_owned());
        Ok((known.len() as u32 - 1).to_le_bytes().to_vec())
    });
    host.register_foreign_function("expr_evaluate", move |call| {
        let token = call.arguments.try_into().map(u32::from_le_bytes).map_err(|_| BAD_ARGUMENT)?;
        let known = expressions.lock().unwrap();
        known.get(token as usize).map(|_| b"true".to_vec()).ok_or(NOT_FOUND)
    });
    assert_eq!(outcome(&host, "expr_evaluate", b"\0\0\0\0"), answer("1", ""));
    assert_eq!(outcome(&host, "expr_create", b"1 +"), answer("2", ""));
    assert_eq!(outcome(&host, "expr_create", b"request.method == 'GET'"), answer("0", "\0\0\0\0"));
    assert_eq!(outcome(&host, "expr_evaluate", b"\0\0\0\0"), answer("0", "true"));
}

#[test]
fn functions_the_harness_leaves_out_are_not_found() {
    for name in ["expr_create", "expr_evaluate", "expr_delete", "sign", "verify_signature"] {
        assert_eq!(outcome(&host(), name, b"x"), answer("1", ""), "{name}");
    }
}

#[test]
fn damaged_data_cannot_be_uncompressed() {
    assert_eq!(outcome(&host(), "uncompress", b"x"), answer("3", ""));
}

#[test]
fn filter_state_of_envoy_takes_known_names_and_checks_their_values() {
    let vm = host().vm(&module(CALLER), VmOptions::default()).unwrap();
    let stream = call(&vm, "set_envoy_filter_state", b"\x0a\x17envoy.tcp_proxy.cluster\x12\x04blue");
    assert_eq!(stream.envoy_filter_state("envoy.tcp_proxy.cluster"), Some(b"blue".to_vec()));
    stream.abandon();
    let unknown = b"\x0a\x05other\x12\x01x";
    assert_eq!(outcome(&host(), "set_envoy_filter_state", unknown), answer("1", ""));
    let port = b"\x0a\x1benvoy.upstream.dynamic_port\x12\x03abc";
    assert_eq!(outcome(&host(), "set_envoy_filter_state", port), answer("2", ""));
    assert_eq!(outcome(&host(), "set_envoy_filter_state", b"\xff"), answer("2", ""));
}

#[test]
fn a_property_declared_read_only_is_written_once_by_each_stream() {
    let vm = host().vm(&module(CALLER), VmOptions::default()).unwrap();
    let plugin = vm.plugin("", b"declare_property\x0a\x01p\x10\x01").unwrap();
    let mut stream = plugin.stream();
    stream.finish().unwrap();
    assert_eq!(stream.filter_state("p"), Some(b"f".to_vec()));
    assert_eq!(lines(&vm), ["0", "", "0", "2"]);
}

#[test]
fn a_declaration_in_a_streams_callback_has_no_effect_but_cannot_be_repeated() {
    let vm = host().vm(&module(CALLER), VmOptions::default()).unwrap();
    let mut stream = call(&vm, "declare_property", b"\x0a\x01p\x10\x01");
    stream.finish().unwrap();
    assert_eq!(stream.filter_state("p"), Some(b"a".to_vec()));
    assert_eq!(lines(&vm), ["0", "", "0", "0"]);
}
