//! Callbacks that Envoy has but never calls.

use crate::envoy::{Envoy, exchange, validate};
use crate::probe::Probe;

const NEVER: Probe = Probe {
    name: "never",
    imports: "",
    functions: r#"
  (func (export "proxy_validate_configuration") (param i32 i32) (result i32) (call $info @"validate") i32.const 0)
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $info @"configure")
    (call $number (call $foreign @"clear_route_cache" @"x" (i32.const 200) (i32.const 204)))
    i32.const 1)
  (func (export "proxy_on_foreign_function") (param i32 i32 i32) (call $info @"foreign"))
  (func (export "proxy_on_request_metadata") (param i32 i32) (result i32) (call $info @"metadata") i32.const 0)
  (func (export "proxy_on_response_metadata") (param i32 i32) (result i32) (call $info @"metadata") i32.const 0)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $number (call $foreign @"clear_route_cache" @"x" (i32.const 200) (i32.const 204)))
    i32.const 0)
  (func (export "proxy_on_log") (param i32) (call $info @"end"))"#,
    request: ("GET", "/", &[]),
    body: "",
};

#[test]
fn envoy_calls_neither_validate_configuration_nor_on_foreign_function() {
    let envoy = Envoy::start(&[NEVER.listener()], &[]);
    exchange(envoy.address(NEVER.name), NEVER.request()).unwrap();
    let there = envoy.lines_to_the_end(NEVER.name);
    assert!(there.contains(&"configure".to_owned()), "{there:?}");
    for never in ["validate", "foreign", "metadata"] {
        assert!(!there.contains(&never.to_owned()), "{there:?}");
    }
    // A configuration that `proxy_validate_configuration` would refuse is valid.
    validate(&NEVER.listener().wasm).unwrap();
}
